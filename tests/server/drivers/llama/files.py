"""Writes the heads of model files, which is all of them that is looked at without the library."""

import struct
from pathlib import Path
from typing import Any

TEMPLATE = "{% for tool in tools %}{% endfor %}<think>"
CHAT: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.context_length": 4096,
    "tokenizer.chat_template": TEMPLATE,
    "tokenizer.ggml.tokens": ["a", "b"],
    "tokenizer.ggml.scores": [0.5, 0.25],
}
EMBEDS: dict[str, Any] = {
    "general.architecture": "nomic-bert",
    "nomic-bert.context_length": 2048,
    "nomic-bert.attention.causal": False,
    "nomic-bert.pooling_type": 1,
}


def head(entries: dict[str, Any], version: int = 3) -> bytes:
    """The head of a file without tensors."""
    data = struct.pack("<4sIQQ", b"GGUF", version, 0, len(entries))
    return data + b"".join(_text(name) + _value(value) for name, value in entries.items())


def write(path: Path, entries: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head(entries))


def _value(value: Any) -> bytes:
    kind, data = _typed(value)
    return struct.pack("<I", kind) + data


def _typed(value: Any) -> tuple[int, bytes]:
    match value:
        case bool():
            return 7, struct.pack("<?", value)
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
