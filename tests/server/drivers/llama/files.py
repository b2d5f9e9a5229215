"""Writes the heads of model files, which is all of them that is looked at without the library."""

import itertools
import struct
from pathlib import Path
from typing import Any

from tests.upstreams.model_file import entry

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
    return data + b"".join(itertools.starmap(entry, entries.items()))


def write(path: Path, entries: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head(entries))
