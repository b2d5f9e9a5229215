"""Reads the head of a GGUF file, where a model says what it is; without a library.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_MAGIC: Final = b"GGUF"
_STRING, _ARRAY = 8, 9
# The numbers by their type: how each is packed.
_NUMBERS: Final = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_MAX_ENTRIES = 10_000
_MAX_TEXT = 2**20  # bytes of a text that is kept
_MAX_ITEMS = 4_000_000  # of an array: vocabularies have some hundred thousand


class NotGgufError(Exception):
    """A file is none, or not whole; the message says what is wrong with it."""


@dataclass(frozen=True)
class Head:
    """What a file says of its model: its texts and numbers by name. Arrays are left out."""

    entries: dict[str, Any]

    def text(self, name: str) -> str:
        """A text; empty where there is none."""
        value = self.entries.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int | None:
        """A whole number or a truth; None where there is none."""
        value = self.entries.get(name)
        return int(value) if isinstance(value, int) else None

    @property
    def architecture(self) -> str:
        """What kind of model it is: `llama`, `qwen3`, `bert` ..."""
        return self.text("general.architecture")

    def own(self, name: str) -> int | None:
        """A number that is kept under the architecture's name."""
        return self.number(f"{self.architecture}.{name}")


def read(path: Path) -> Head:
    """Reads a file's head. Raises `NotGgufError`, or `OSError`."""
    with path.open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return Head(_Reader(data).entries())
        except (struct.error, ValueError, IndexError) as error:  # it ends too soon, or is empty
            raise NotGgufError(f"is cut short ({error})") from None


class _Reader:
    """Reads one file from its beginning."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def entries(self) -> dict[str, Any]:
        if self._data[:4] != _MAGIC:
            raise NotGgufError("is no GGUF file")
        version, _, count = struct.unpack_from("<IQQ", self._data, 4)
        self._at = 24
        if version not in (2, 3):
            raise NotGgufError(f"is a GGUF file of version {version}, which is not known")
        if count > _MAX_ENTRIES:
            raise NotGgufError(f"says {count} things of its model, more than can be")
        found: dict[str, Any] = {}
        for _ in range(count):
            name = self._text()
            value = self._value(self._number("<I"))
            if value is not None:
                found[name] = value
        return found

    def _number(self, packed: str) -> Any:
        (value,) = struct.unpack_from(packed, self._data, self._at)
        self._at += struct.calcsize(packed)
        return value

    def _text(self) -> str:
        length = self._number("<Q")
        self._skip(length)
        return self._data[self._at - length : self._at][:_MAX_TEXT].decode("utf-8", "replace")

    def _skip(self, length: int) -> None:
        if length > len(self._data) - self._at:
            raise NotGgufError("is cut short")
        self._at += length

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            self._skip_array()
            return None
        if kind not in _NUMBERS:
            raise NotGgufError(f"has a value of the type {kind}, which is not known")
        return self._number(_NUMBERS[kind])

    def _skip_array(self) -> None:
        kind, count = self._number("<I"), self._number("<Q")
        if count > _MAX_ITEMS:
            raise NotGgufError(f"has a list of {count} items, more than can be")
        if kind in _NUMBERS:
            self._skip(count * struct.calcsize(_NUMBERS[kind]))
        elif kind == _STRING:
            for _ in range(count):
                self._skip(self._number("<Q"))
        else:
            raise NotGgufError(f"has a list of the type {kind}, which is not known")
