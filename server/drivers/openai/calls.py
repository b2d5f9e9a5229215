"""Which tool call each piece of a stream belongs to, where the upstream says it wrong or not at all."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import uuid4

import msgspec

from interference.v1.tool_pb2 import ToolCall
from server import forms
from server.errors import AttemptFailed

_MOST = 1000  # calls of a choice; nobody answers more
_FURTHEST = 2**30  # an index from which on there is no room for those that follow


@dataclass(slots=True)
class _Call:
    """A call that has begun."""

    index: int
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)
    asked: bool = False  # whether its arguments were looked at, which is done once


class CallIndexes:
    """The tool calls of one choice as their pieces arrive.

    Some upstreams leave `index` out, or give 0 to each of several parallel calls, and some the id, too
    (Gemini). Then a new id is a new call, or else a name where the last call has another or is whole. A
    piece without any of these goes on with the last call. A call that begins without an id or a type gets
    them; an id or a name that later pieces repeat is left out, for clients put pieces together.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, _Call] = {}
        self._by_index: dict[int, _Call] = {}  # by our index
        self._latest: dict[int | None, _Call] = {}  # the call that each of their indexes stands for
        self._next = 0

    def settle(self, calls: Iterable[ToolCall]) -> None:
        """Sets the index of each piece, completes a call's first. Raises `AttemptFailed` for too many."""
        for call in calls:
            theirs = call.index if call.HasField("index") else None
            known = self._known(call, theirs)
            if known is None:
                known = self._begin(call, theirs)
            else:
                _go_on(call, known)
            if arguments := call.function.arguments:
                known.arguments.append(arguments)
            self._latest[theirs] = self._latest[None] = known
            call.index = known.index

    def _known(self, call: ToolCall, theirs: int | None) -> _Call | None:
        """The call that a piece belongs to; none for the first of one."""
        latest = self._latest.get(theirs)
        if latest is None:
            return None
        if call.id and call.id != latest.id:
            return self._by_id.get(call.id)
        name = _name(call)
        if call.id or not name or not latest.name:
            return latest
        return None if name != latest.name or _is_whole(latest) else latest

    def _begin(self, call: ToolCall, theirs: int | None) -> _Call:
        if len(self._by_index) == _MOST:
            raise AttemptFailed("broken_answer", f"called more than {_MOST} tools at once")
        taken = theirs is None or theirs in self._by_index or not 0 <= theirs < _FURTHEST
        index = self._next if taken or theirs is None else theirs
        self._next = max(self._next, index + 1)
        if not call.id or call.id in self._by_id:
            call.id = new_id()
        call.type = call.type or kind(call)
        made = _Call(index, call.id, _name(call))
        self._by_id[call.id] = self._by_index[index] = made
        return made


def new_id() -> str:
    """An id for a call that has none."""
    return f"call_{uuid4().hex}"


def kind(call: ToolCall) -> str:
    """The type of a call that does not say it."""
    return "custom" if call.HasField("custom") else "function"


def _go_on(call: ToolCall, known: _Call) -> None:
    call.ClearField("id")
    if not known.name:
        known.name = _name(call)
        return
    for called in (call.function, call.custom):
        if called.name and called.name == known.name:
            called.ClearField("name")


def _name(call: ToolCall) -> str:
    return call.function.name or call.custom.name


def _is_whole(call: _Call) -> bool:
    """Whether a call's arguments are an object already, so that no more of them can come."""
    if call.asked or not call.arguments:
        return False
    call.asked = True
    try:
        return isinstance(msgspec.json.decode("".join(call.arguments)), dict)
    except forms.JSON_FAULTS:
        return False
