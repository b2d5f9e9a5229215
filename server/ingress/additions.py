"""What a provider says beyond the contract (`extra`), as dialects pass it on and take it back."""

from typing import Any, Literal

from google.protobuf.struct_pb2 import Struct

from interference.v1.tool_pb2 import CustomToolCall, FunctionCall, ToolCall
from server import forms
from server.ingress.wire import Members, extra_json

Json = dict[str, Any]
_PADDING = "obfuscation"  # a member of chunks, against traffic analysis
_KINDS: tuple[Literal["function", "custom"], ...] = ("function", "custom")


def plain(struct: Struct) -> Json:
    """A `Struct` as JSON has it."""
    return forms.plain(struct)


def gather(extra: Json, message: Any) -> None:
    """Adds what a message says beyond the contract."""
    if message.HasField("extra") and list(message.extra.fields) != [_PADDING]:
        add(extra, plain(message.extra))


def gather_call(extra: Json, call: ToolCall) -> None:
    """Adds what a provider says of a call beyond the contract, that of the function under `function`.

    What it says in the name of a field of the contract, and so in another form, could not be given back.
    """
    add(extra, _beyond(call))
    for kind in _KINDS:
        if call.HasField(kind) and (said := _beyond(getattr(call, kind))):
            add(extra.setdefault(kind, {}), said)


def give_back(call: ToolCall, item: Members) -> None:
    """Takes what `gather_call` told, from the member `extra` of a dialect's call, and what nobody knows."""
    extra = item.object("extra")
    for kind in _KINDS:
        inner = extra.object(kind) if extra is not None and call.HasField(kind) else None
        if inner is not None:
            inner.leave(getattr(call, kind))
    extra_json(call, item.unknown(ToolCall) | (extra.unknown(ToolCall) if extra else {}))


def add(extra: Json, said: Json) -> None:
    """Adds members to others, which are the caller's own. Lists grow; of all else the last counts."""
    said.pop(_PADDING, None)
    for name, value in said.items():
        held = extra.get(name)
        if isinstance(held, list) and isinstance(value, list):
            held += value
        else:
            extra[name] = value


def _beyond(message: ToolCall | FunctionCall | CustomToolCall) -> Json:
    """What a message says beyond the contract, and not in the name of one of its fields."""
    if not message.HasField("extra"):
        return {}
    fields = message.DESCRIPTOR.fields_by_name
    return {name: value for name, value in plain(message.extra).items() if name not in fields}
