"""Which tool call each piece of a stream belongs to, where the upstream says it wrong or not at all."""

from collections.abc import Iterable
from uuid import uuid4

from interference.v1.tool_pb2 import ToolCall


class CallIndexes:
    """The tool calls of one choice as their pieces arrive.

    Some upstreams leave `index` out, or give 0 to each of several parallel calls (Gemini). Then a new id
    is a new call, and a piece without either goes on with the last one. A call that begins without an id or
    a type gets them; an id or a name that later pieces repeat is left out, for clients put pieces together.
    """

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}  # by our index
        self._names: dict[int, str] = {}
        self._latest: dict[int | None, int] = {}  # our index of the call that each of theirs stands for

    def settle(self, calls: Iterable[ToolCall]) -> None:
        """Sets the index of each piece, and completes a call's first."""
        for call in calls:
            theirs = call.index if call.HasField("index") else None
            ours = self._known(call, theirs)
            if ours is None:
                ours = self._begin(call, theirs)
            else:
                self._go_on(call, ours)
            self._latest[theirs] = self._latest[None] = call.index = ours

    def _known(self, call: ToolCall, theirs: int | None) -> int | None:
        """Our index of a call that has begun; None for one that begins now."""
        latest = self._latest.get(theirs)
        if latest is None or not call.id or call.id == self._ids[latest]:
            return latest
        return next((ours for ours, known in self._ids.items() if known == call.id), None)

    def _go_on(self, call: ToolCall, ours: int) -> None:
        call.ClearField("id")
        for called in (call.function, call.custom):
            if called.name and called.name == self._names[ours]:
                called.ClearField("name")

    def _begin(self, call: ToolCall, theirs: int | None) -> int:
        ours = len(self._ids) if theirs is None or theirs in self._ids else theirs
        while ours in self._ids:
            ours += 1
        call.id = call.id or f"call_{uuid4().hex}"
        call.type = call.type or ("custom" if call.HasField("custom") else "function")
        self._ids[ours] = call.id
        self._names[ours] = call.function.name or call.custom.name
        return ours
