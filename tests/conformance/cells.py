"""What a dialect says of a feature: it works, the vendor has no such thing, or so it fails; and what must
have arrived at the vendor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.openai_api.shapes import text_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import msgspec

    from tests.conformance.said import Said
    from tests.conformance.stage import Own, Seen

    Check = Callable[[Seen], None]

Members = dict[str, Any]
_NOTHING: Any = object()


class Works:
    """The feature reaches the vendor, and its answer the caller.

    `sent` are checks of the request that arrived. `answer` has what comes back otherwise than the feature
    says, by the members of `tests.conformance.hearing.heard`; `said` and `body` take the place of the
    feature's.
    """

    def __init__(
        self,
        *sent: Check,
        said: Said | Own | None = None,
        answer: Mapping[str, Any] | None = None,
        body: Members | None = None,
    ) -> None:
        self.sent = sent
        self.said = said
        self.answer = answer or {}
        self.body = body


class Ignores(Works):
    """A mere hint that the vendor has no member for: the answer is the same without it, and nothing of it
    is sent, which `sent` shows. Only what changes no answer may be ignored.
    """

    def __init__(self, why: str, *sent: Check) -> None:
        super().__init__(*sent)
        self.why = why


@dataclass(frozen=True)
class Lacks:
    """The vendor has no such thing: the request ends as a 400 that names `param`, and nobody is called."""

    param: str
    why: str
    body: Members | None = None


@dataclass(frozen=True)
class Fails:
    """What becomes of an error of the vendor's, by its word.

    `status` is what REST callers get and `cause` that of the attempt, where they are not the feature's.
    """

    word: str
    status: int = 0
    cause: str = ""


@dataclass(frozen=True)
class Absent:
    """A fault that this vendor cannot have."""

    why: str


@dataclass(frozen=True)
class At:
    """A place in the JSON that arrived, as `messages.0.content`."""

    path: str
    steps: tuple[str | int, ...] = field(init=False)

    def __post_init__(self) -> None:
        steps = tuple(int(step) if step.isdigit() else step for step in self.path.split("."))
        object.__setattr__(self, "steps", steps)

    def of(self, body: Any) -> Any:
        """What stands there; `_NOTHING` where there is no such place."""
        for step in self.steps:
            try:
                body = body[step]
            except (KeyError, IndexError, TypeError):
                return _NOTHING
        return body


def has(path: str, value: Any) -> Check:
    """This value stands there. Of an object all these members do, and perhaps others."""
    place = At(path)

    def check(seen: Seen) -> None:
        found = place.of(seen.body)
        assert found is not _NOTHING, f"no {path} in {json.dumps(seen.body)}"
        assert _within(value, found), f"{path} is {found!r}, not {value!r}"

    return check


def lacks(path: str) -> Check:
    """Nothing stands there."""
    place = At(path)

    def check(seen: Seen) -> None:
        found = place.of(seen.body)
        assert found is _NOTHING, f"{path} is {found!r}"

    return check


def exact(path: str, text: bytes | msgspec.Raw) -> Check:
    """This JSON text stands there, byte for byte."""
    place = At(path)

    def check(seen: Seen) -> None:
        assert text_at(seen.raw, place.steps) == bytes(text)

    return check


def path(ending: str) -> Check:
    """The address ends so, its query aside."""

    def check(seen: Seen) -> None:
        assert seen.path.partition("?")[0].endswith(ending), seen.path

    return check


def header(name: str, value: str) -> Check:
    """A header has this value."""

    def check(seen: Seen) -> None:
        assert seen.headers.get(name) == value, seen.headers.get(name)

    return check


def _within(wanted: Any, found: Any) -> bool:
    """Whether all that is wanted is there: objects may have more members, all else is the very same."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(name in found and _within(value, found[name]) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_within, wanted, found))
    return (type(wanted) is type(found) and bool(wanted == found)) or _same_number(wanted, found)


def _same_number(wanted: Any, found: Any) -> bool:
    numbers = (int, float)
    is_number = isinstance(wanted, numbers) and isinstance(found, numbers)
    return is_number and not isinstance(wanted, bool) and not isinstance(found, bool) and wanted == found
