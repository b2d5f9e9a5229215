"""What goes into an endpoint for a request: the values of its inputs, in their order."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from interference.v1.message_pb2 import ChatMessage
from server import forms, operations
from server.drivers.base import Target
from server.drivers.gradio.options import Input, Space
from server.errors import AttemptFailed
from server.operations import STEERING, Request
from server.rows import ONES, TWINS

# The driver's own to see to, whether or not they go in, too.
_OURS: Final = frozenset({"n", "output_format", "response_format"})
_SIZES: Final = frozenset({"size", "width", "height"})
_ENVELOPE: Final = STEERING | {"model", "providers", "stream", "stream_options"}
_SYSTEM: Final = ("system", "developer")
_SPEAKERS: Final = {"user": "User", "assistant": "Assistant"}


def of_images(request: GenerateImagesRequest, space: Space, target: Target, index: int = 0) -> list[Any]:
    """The inputs for the image of this number. Each further one varies the seed, where there is one.

    Raises `AttemptFailed` where the endpoint has no input for what the request gives.
    """
    given = forms.lower(request, _ENVELOPE | _SIZES)
    sizes = _sizes(request)
    fields = {one.field for one in space.mapped()}
    if sizes and not fields & _SIZES and target.row.unsupported != "drop":
        raise _lacking("size")
    for name in _OURS - fields:
        given.pop(name, None)
    _check(given, fields, request, target)
    data = [_value(one, given | sizes) for one in space.mapped()]
    if index:
        _vary(data, space, index)
    return data


def of_chat(request: CreateCompletionRequest, space: Space, target: Target) -> list[Any]:
    """The inputs for a conversation.

    Raises `AttemptFailed` where the endpoint has no input for what the request gives or says.
    """
    given = forms.lower(request, _ENVELOPE | {"messages"})
    fields = {one.field for one in space.mapped()}
    for name, twin in TWINS.items():
        if name in given and name not in fields and twin in fields:
            given.setdefault(twin, given.pop(name))
    for name in ONES:
        if given.get(name) == 1 and name not in fields:
            del given[name]
    _check(given, fields, request, target)
    said = _said(request.messages, fields)
    return [_formed(_value(one, given | said), one.form) for one in space.mapped()]


def _check(given: Mapping[str, Any], fields: set[str], request: Request, target: Target) -> None:
    """Raises `AttemptFailed` where there is something for which the endpoint has no input.

    What the row says it drops may be dropped; members that the contract does not know never are.
    """
    operation = operations.of(request)
    dropped = operation.hints
    if target.row.unsupported == "drop":
        dropped |= operation.wanted
    for name in given:
        if name not in fields and name not in dropped:
            raise _lacking(name)


def _lacking(name: str) -> AttemptFailed:
    told = f"this Space has no input for {name}"
    return AttemptFailed("parameter_unsupported", told, param=name, blame=False)


def _value(one: Input, given: Mapping[str, Any]) -> Any:
    if one.absent:
        return one.absent not in given
    if one.field in given:
        return given[one.field]
    return None if one.value is msgspec.UNSET else one.value


def _vary(data: list[Any], space: Space, index: int) -> None:
    """Another seed for another image of one request."""
    for place, one in enumerate(space.mapped()):
        if one.field == "seed" and isinstance(data[place], int):
            data[place] += index


def _sizes(request: GenerateImagesRequest) -> dict[str, Any]:
    """The size in every field in which an endpoint may take it. `auto` is the Space's own."""
    width, height = request.width, request.height
    if request.size and request.size != "auto":
        width, height = map(int, request.size.split("x"))
    return {"size": f"{width}x{height}", "width": width, "height": height} if width and height else {}


def _said(messages: Sequence[ChatMessage], fields: set[str]) -> dict[str, Any]:
    """A conversation in the forms in which an endpoint takes it. Raises `AttemptFailed` where it cannot
    take all that was said.
    """
    texts = [(message.role, _text(message)) for message in messages]
    system = "\n\n".join(text for role, text in texts if role in _SYSTEM)
    turns = [(role, text) for role, text in texts if role not in _SYSTEM]
    if not turns or turns[-1][0] != "user":
        raise _unsaid("a conversation that does not end with the user's words")
    if any(role not in _SPEAKERS for role, _ in turns):
        raise _unsaid("messages of tools")
    if turns[1:] and not fields & {"history", "transcript"}:
        raise _unsaid("more than one message")
    if system and not fields & {"system", "transcript"}:
        raise _unsaid("instructions of the system")
    said: dict[str, Any] = {"message": turns[-1][1], "history": turns[:-1]}
    if "transcript" in fields:
        said["transcript"] = _transcript("" if "system" in fields else system, turns)
    return said | ({"system": system} if system else {})


def _transcript(system: str, turns: Sequence[tuple[str, str]]) -> str:
    """A conversation as one text: what was said where there is no more, or else as a play has it."""
    if len(turns) == 1:
        return "\n\n".join(filter(None, (system, turns[0][1])))
    lines = [f"{_SPEAKERS[role]}: {text}" for role, text in turns]
    return "\n\n".join(filter(None, (system, *lines, "Assistant:")))


def _formed(value: Any, form: str) -> Any:
    """A history as messages, or as pairs of a question and its answer; a message with its files."""
    if form == "multimodal":
        return {"text": value, "files": []}
    if not isinstance(value, list) or not all(isinstance(one, tuple) for one in value):
        return value
    if form != "pairs":
        return [{"role": role, "content": text} for role, text in value]
    pairs: list[list[str | None]] = []
    for role, text in value:
        if role == "user":
            pairs.append([text, None])
        elif pairs and pairs[-1][1] is None:
            pairs[-1][1] = text
        else:
            pairs.append([None, text])
    return pairs


def _text(message: ChatMessage) -> str:
    """What a message says. Raises `AttemptFailed` where it has more than text.

    Its `reasoning` is left out, as the contract has it.
    """
    for field, _ in message.ListFields():
        if field.name not in ("role", "content", "reasoning"):
            raise _unsaid(f"{field.name} of a message")
    for part in message.content:
        if any(field.name not in ("type", "text") for field, _ in part.ListFields()):
            raise _unsaid(f"a part of the content that is {forms.case(part) or 'no text'}")
    return "\n".join(part.text for part in message.content)


def _unsaid(what: str) -> AttemptFailed:
    told = f"this Space does not take {what}"
    return AttemptFailed("parameter_unsupported", told, param="messages", blame=False)
