"""Writes a real model file (GGUF, 4.9 MB) whose weights are set by hand, the same bytes every time.

It is a llama of one layer that answers "Hello from a tiny model.", or the fixed text of a trigger
such as `#count` where the prompt has one. Random weights would be a poor test: their texts never
end, and differ between a whole answer and a streamed one.

How it works: every token has a dimension of its own. The output matrix holds which token follows
which. The only attention head that is not zero looks for trigger tokens, and adds a direction that
makes the trigger's first word win over "Hello". `#lookup` yields to the other triggers, so that a tool
whose result has one, say `#weather`, gets that one's text as the answer: only if the result arrived.

The file format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import itertools
import math
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

# What the model says: to a prompt with `#` and the key, and to any other prompt.
ANSWERS = {
    "weather": ["It", " is", " sunny", " in", " Lisbon", " today", "!"],
    "lookup": [
        "<tool_call>",
        '\n{"name": "get_weather", "arguments": {"unit": "c"',
        ', "exact": true}}',
        "\n</tool_call>",
    ],
    "think": ["<think>", "Let me", " ponder", "</think>", "Forty", " deux"],
    "json": ['{"sentiment": "positive"', ', "ok": true', ', "kind": "review"}'],
    "count": ["one", ",", " two", " three", " four", " five", " done"],
}
GREETING = ["Hello", " from", " a", " tiny", " model", "."]

CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?'\"{}[]()-_"
SPACE = "\u2581"  # how a llama vocabulary writes a space
START, END = "<|assistant|>", "<|end|>"
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
HEAD = 64  # dimensions of an attention head, and of the idle feed-forward layer
QUIET = HEAD - 2  # the head's dimension that its position encoding turns least
LOUD, SOFT = 6.0, 5.0  # keys: the softmax leaves nothing to the softer of two
YIELDING = "lookup"

Value = bool | int | float | str | Sequence[str] | Sequence[float]


class Kind(IntEnum):
    """What a token is (`tokenizer.ggml.token_type`)."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    BYTE = 6


@dataclass
class Vocabulary:
    """The tokens in order, each with its kind and its score (how eagerly it is joined)."""

    ids: dict[str, int] = field(default_factory=dict)
    kinds: list[Kind] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, text: str, kind: Kind, score: float = 0.0) -> None:
        """Adds a token; one that is there already stays as it is, since texts must be unique."""
        if text not in self.ids:
            self.ids[text] = len(self.ids)
            self.kinds.append(kind)
            self.scores.append(score)

    def word(self, text: str) -> int:
        return self.ids[text.replace(" ", SPACE)]


@dataclass
class Matrix:
    """A tensor of one or two dimensions, all `fill` but for the cells set."""

    rows: int
    columns: int = 0
    fill: float = 0.0
    cells: dict[tuple[int, int], float] = field(default_factory=dict)

    @property
    def shape(self) -> list[int]:
        """The fastest dimension first, as the format has it."""
        return [self.columns, self.rows] if self.columns else [self.rows]

    def floats(self) -> "array[float]":
        values = array("f", [self.fill]) * (self.rows * max(self.columns, 1))
        for (row, column), value in self.cells.items():
            values[row * self.columns + column] = value
        return values


def write_model(path: Path, template: str = TEMPLATE, context: int = 4096) -> None:
    """Writes the model to `path`, with this chat template and a context of so many tokens."""
    vocabulary = _vocabulary()
    size = -(-(len(vocabulary.ids) + 8) // HEAD) * HEAD
    with path.open("wb") as file:
        _write(file, _metadata(vocabulary, size, template, context), _weights(vocabulary, size))


def _vocabulary() -> Vocabulary:
    vocabulary = Vocabulary()
    vocabulary.add("<unk>", Kind.UNKNOWN)
    vocabulary.add("<s>", Kind.CONTROL)
    vocabulary.add("</s>", Kind.CONTROL)
    for byte in range(256):
        vocabulary.add(f"<0x{byte:02X}>", Kind.BYTE)
    for mark in ("<|system|>", "<|user|>", START, "<|tool|>", END):
        vocabulary.add(mark, Kind.CONTROL)
    vocabulary.add(SPACE, Kind.NORMAL, -1.0)
    for character in CHARACTERS:
        vocabulary.add(character, Kind.NORMAL, -2.0)
    for word in itertools.chain(GREETING, *ANSWERS.values()):
        vocabulary.add(word.replace(" ", SPACE), Kind.NORMAL, -1000.0)
    for trigger in ANSWERS:
        vocabulary.add(f"#{trigger}", Kind.USER_DEFINED)
    return vocabulary


def _weights(vocabulary: Vocabulary, size: int) -> dict[str, Matrix]:
    count = len(vocabulary.ids)
    # After the tokens' own dimensions: one that is always on, then one for each trigger seen.
    always, seen = count, {trigger: count + 1 + i for i, trigger in enumerate(ANSWERS)}

    embedding = Matrix(count, size)
    for token in range(count):
        embedding.cells[token, token] = embedding.cells[token, always] = 1.0

    query, keys, values, output = (Matrix(size, size) for _ in range(4))
    query.cells[QUIET, always] = 6.0
    for i, trigger in enumerate(ANSWERS):
        token = vocabulary.ids[f"#{trigger}"]
        keys.cells[QUIET, token] = SOFT if trigger == YIELDING else LOUD
        values.cells[i, token] = 1 / 14  # about what the norm before it has multiplied by
        output.cells[seen[trigger], i] = 1.0

    return {
        "token_embd.weight": embedding,
        "output_norm.weight": Matrix(size, fill=1.0),
        "output.weight": _followers(vocabulary, size, seen),
        "blk.0.attn_norm.weight": Matrix(size, fill=1.0),
        "blk.0.ffn_norm.weight": Matrix(size, fill=1.0),
        "blk.0.attn_q.weight": query,
        "blk.0.attn_k.weight": keys,
        "blk.0.attn_v.weight": values,
        "blk.0.attn_output.weight": output,
        "blk.0.ffn_gate.weight": Matrix(HEAD, size),
        "blk.0.ffn_up.weight": Matrix(HEAD, size),
        "blk.0.ffn_down.weight": Matrix(size, HEAD),
    }


def _followers(vocabulary: Vocabulary, size: int, seen: dict[str, int]) -> Matrix:
    """The output matrix: which token (row) follows which dimension (column), and how surely."""
    start, end = vocabulary.ids[START], vocabulary.ids[END]
    matrix = Matrix(len(vocabulary.ids), size)
    followed = {start}
    for trigger, words in [(None, GREETING), *ANSWERS.items()]:
        tokens = [*map(vocabulary.word, words), end]
        matrix.cells[tokens[0], start] = 2.4 if trigger else 3.0
        if trigger:
            matrix.cells[tokens[0], seen[trigger]] = 3.0
        for token, following in itertools.pairwise(tokens):
            matrix.cells[following, token] = 6.0
            followed.add(token)
    for token in range(len(vocabulary.ids)):
        if token not in followed:
            matrix.cells[end, token] = 3.0
    return matrix


def _metadata(vocabulary: Vocabulary, size: int, template: str, context: int) -> dict[str, Value]:
    return {
        "general.architecture": "llama",
        "general.name": "tiny-wired",
        "llama.context_length": context,
        "llama.embedding_length": size,
        "llama.block_count": 1,
        "llama.feed_forward_length": HEAD,
        "llama.attention.head_count": size // HEAD,
        "llama.attention.head_count_kv": size // HEAD,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": HEAD,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": len(vocabulary.ids),
        "general.file_type": 0,  # all float32
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": list(vocabulary.ids),
        "tokenizer.ggml.scores": vocabulary.scores,
        "tokenizer.ggml.token_type": vocabulary.kinds,
        "tokenizer.ggml.bos_token_id": vocabulary.ids["<s>"],
        "tokenizer.ggml.eos_token_id": vocabulary.ids[END],
        "tokenizer.ggml.unknown_token_id": vocabulary.ids["<unk>"],
        "tokenizer.ggml.padding_token_id": vocabulary.ids["</s>"],
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": template,
        "llama.pooling_type": 1,  # mean
    }


def _write(file: BinaryIO, metadata: dict[str, Value], tensors: dict[str, Matrix]) -> None:
    file.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata)))
    file.writelines(entry(name, value) for name, value in metadata.items())
    offset = 0
    for name, matrix in tensors.items():
        shape = matrix.shape
        file.write(_text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape))
        file.write(struct.pack("<IQ", 0, offset))  # 0: float32
        offset += _aligned(4 * math.prod(shape))
    for matrix in tensors.values():
        file.write(b"\0" * (_aligned(file.tell()) - file.tell()))
        file.write(matrix.floats().tobytes())


def entry(name: str, value: Value) -> bytes:
    """A piece of metadata: its name, its type and its value."""
    kind, data = _typed(value)
    return _text(name) + struct.pack("<I", kind) + data


def _typed(value: Value) -> tuple[int, bytes]:
    """A metadata value's type number and its bytes."""
    match value:
        case bool():
            return 7, struct.pack("<?", value)
        case Kind():
            return 5, struct.pack("<i", value)
        case int():
            return 4, struct.pack("<I", value)
        case float():
            return 6, struct.pack("<f", value)
        case str():
            return 8, _text(value)
        case _:
            kinds, items = zip(*map(_typed, value), strict=True)
            return 9, struct.pack("<IQ", kinds[0], len(items)) + b"".join(items)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _aligned(length: int) -> int:
    return -(-length // 32) * 32
