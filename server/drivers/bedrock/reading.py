"""Reads what must be of one type, in answers that may be anything."""

from typing import Any, Final

from server.drivers import answers
from server.errors import AttemptFailed

_MOST: Final = 2**31 - 1  # what the contract's numbers hold


def members(value: Any) -> dict[str, Any]:
    """An object."""
    return value if isinstance(value, dict) else _odd()


def items(value: Any) -> list[Any]:
    """A list."""
    return value if isinstance(value, list) else _odd()


def text(value: Any) -> str:
    """A text."""
    return value if isinstance(value, str) else _odd()


def count(value: Any) -> int:
    """A number of things; none where it is not told."""
    if value is None:
        return 0
    return value if type(value) is int and 0 <= value <= _MOST else _odd()


def _odd() -> Any:
    raise AttemptFailed(answers.BROKEN, "answered with JSON of another shape")
