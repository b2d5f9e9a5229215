"""What a row says for its driver alone, in the type that the driver gives it."""

from functools import lru_cache
from typing import Any, TypeVar, cast

import msgspec

from server.rows import Row

T = TypeVar("T", bound=msgspec.Struct)


class _ById:
    """A row as a key: rows have no hash, do not change and are few."""

    __slots__ = ("row",)

    def __init__(self, row: Row) -> None:
        self.row = row

    def __hash__(self) -> int:
        return id(self.row)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self.row is other.row


def of(row: Row, kind: type[T]) -> T:
    """The options of a row, which were found to be of this type when it was read."""
    return cast("T", _read(_ById(row), kind))


@lru_cache(maxsize=4096)
def _read(key: _ById, kind: type[Any]) -> Any:
    return msgspec.convert(key.row.options, kind)
