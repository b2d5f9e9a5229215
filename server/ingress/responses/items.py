"""The input items of the Responses API as the contract's messages.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-input

What an item has of its own and a conversation does not need is passed over: ids, states, phases, callers,
annotations and logprobs of earlier answers, encrypted reasoning (whose key is OpenAI's).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from interference.v1.message_pb2 import (
    CacheBreakpoint,
    ChatMessage,
    ContentPart,
    ImageUrl,
    InputAudio,
    InputFile,
)
from interference.v1.tool_pb2 import CustomToolCall, FunctionCall, ToolCall
from server.ingress.additions import give_back
from server.ingress.chat import Parts, one_text, tool_message
from server.ingress.wire import Members, extra_json, fault

_ROLES: Final = ("user", "assistant", "system", "developer")
_OURS: Final = ("type", "id", "status", "phase", "caller", "created_by", "parsed_arguments")
_ITEMS: Final = (
    "message",
    "reasoning",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
)
_SEND_ALL: Final = "; nothing is stored here: send the whole conversation in `input`"


def messages(request: Members) -> list[ChatMessage]:
    """Reads `input`: a string or a list of items. Neighbours that the assistant said are one message."""
    given = request.text_or_objects("input")
    if given is None:
        raise fault("input", "is required: a string or a list of items")
    if isinstance(given, str):
        return [ChatMessage(role="user", content=[ContentPart(text=given)])]
    conversation = _Conversation()
    for item in given:
        conversation.add(item)
    return conversation.close()


@dataclass(slots=True)
class _Turn:
    """What the assistant said without another speaking in between."""

    content: Parts = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    extra: dict[str, msgspec.Raw] = field(default_factory=dict)

    def message(self) -> ChatMessage | None:
        """The one message, as chat wants it; none where there are thoughts without what they led to."""
        if not self.content and not self.calls:
            return None
        content = one_text(self.content, "\n")
        message = ChatMessage(role="assistant", content=content, tool_calls=self.calls)
        if self.thoughts:
            message.reasoning = "\n".join(self.thoughts)
        extra_json(message, self.extra)
        return message


class _Conversation:
    """Gathers messages from items; every item is one method's."""

    def __init__(self) -> None:
        self._messages: list[ChatMessage] = []
        self._turn: _Turn | None = None
        self._seen: Parts = []  # what tools returned that a user is to show

    def add(self, item: Members) -> None:
        """Takes the next item."""
        kind = item.text("type") or ("message" if item.has("role") else "item_reference")
        if kind == "item_reference":
            raise fault(item.path, f"refers to an item{_SEND_ALL}")
        if kind not in _ITEMS:
            raise fault(item.where("type"), f"is {kind[:64]}; the items served are {', '.join(_ITEMS)}")
        getattr(self, f"_{kind}")(item)

    def close(self) -> list[ChatMessage]:
        """Takes the end; gives the messages."""
        self._fall_silent()
        self._show()
        return self._messages

    def _message(self, item: Members) -> None:
        role = item.required_text("role")
        if role not in _ROLES:
            raise fault(item.where("role"), f"must be one of {', '.join(_ROLES)}")
        content = _content(item, "content")
        item.skip(*_OURS)
        if role == "assistant":
            turn = self._assistant()
            turn.content += one_text(content, "")
            turn.extra |= item.unknown(ChatMessage)
            return
        content = content if role == "user" else one_text(content, "\n")
        message = ChatMessage(role=role, content=content, name=item.text("name"))
        item.leave(message)
        self._fall_silent()
        self._put(message)

    def _reasoning(self, item: Members) -> None:
        """Its text, or else what it was summed up as: a text of the message in chat, and what nobody knows
        of it is the message's own."""
        turn = self._assistant()
        texts: dict[str, list[str]] = {"content": [], "summary": []}
        for name, found in texts.items():
            for part in item.parts(name) or ():
                found.append(part.text("text") or "")
                part.skip("type")
                turn.extra |= part.unknown(ChatMessage)
        thoughts = [text for text in map("\n".join, texts.values()) if text.strip()]
        turn.thoughts += thoughts[:1]
        item.skip(*_OURS, "encrypted_content")
        turn.extra |= item.unknown(ChatMessage)

    def _function_call(self, item: Members) -> None:
        function = FunctionCall(name=item.required_text("name"), arguments=item.required_text("arguments"))
        call = ToolCall(id=item.required_text("call_id"), type="function", function=function)
        self._call(item, call)

    def _custom_tool_call(self, item: Members) -> None:
        custom = CustomToolCall(name=item.required_text("name"), input=item.required_text("input"))
        call = ToolCall(id=item.required_text("call_id"), type="custom", custom=custom)
        self._call(item, call)

    def _call(self, item: Members, call: ToolCall) -> None:
        """Adds a call. Its member `extra` is what an answer said there: the provider's own, given back."""
        if item.text("namespace") is not None:
            raise fault(item.where("namespace"), "is not served: tools have no namespaces here")
        item.skip(*_OURS, "async")
        give_back(call, item)
        self._assistant().calls.append(call)

    def _function_call_output(self, item: Members) -> None:
        message, seen = tool_message(item.required_text("call_id"), _content(item, "output"))
        item.skip(*_OURS, "name", "namespace")
        item.leave(message)
        self._fall_silent()
        self._put(message)
        self._seen += seen

    def _custom_tool_call_output(self, item: Members) -> None:
        self._function_call_output(item)

    def _assistant(self) -> _Turn:
        if self._turn is None:
            self._turn = _Turn()
        return self._turn

    def _fall_silent(self) -> None:
        """Ends what the assistant says."""
        if self._turn is not None and (message := self._turn.message()) is not None:
            self._put(message)
        self._turn = None

    def _put(self, message: ChatMessage) -> None:
        """Adds a message. The results of one turn's calls stay together."""
        if message.role != "tool":
            self._show()
        self._messages.append(message)

    def _show(self) -> None:
        """Has the user show what tools returned and their messages cannot hold."""
        if self._seen:
            self._messages.append(ChatMessage(role="user", content=self._seen))
            self._seen = []


def _content(item: Members, name: str) -> Parts:
    content = item.text_or_parts(name)
    if content is None:
        raise fault(item.where(name), "is required: a string or a list of parts")
    if isinstance(content, str):
        return [ContentPart(text=content)]
    return [_part(part) for part in content] or [ContentPart(text="")]


def _part(part: Members) -> ContentPart:
    kind = part.required_text("type")
    read = _PARTS.get(kind)
    if read is None:
        raise fault(part.where("type"), f"is {kind[:64]}; the parts served are {', '.join(_PARTS)}")
    found = read(part)
    if (mark := part.object("prompt_cache_breakpoint")) is not None:
        breakpoint_ = CacheBreakpoint(mode=mark.required_text("mode"), ttl=mark.text("ttl"))
        mark.leave(breakpoint_)
        found.prompt_cache_breakpoint.CopyFrom(breakpoint_)
    part.leave(found)
    return found


def _text(part: Members) -> ContentPart:
    part.skip("annotations", "logprobs", "parsed")
    return ContentPart(text=part.required_text("text"))


def _refusal(part: Members) -> ContentPart:
    part.skip("logprobs")
    return ContentPart(refusal=part.required_text("refusal"))


def _image(part: Members) -> ContentPart:
    if part.text("file_id") is not None:
        raise fault(part.where("file_id"), "is not served: give the image in image_url, as a data: URL")
    return ContentPart(
        image_url=ImageUrl(url=part.required_text("image_url"), detail=part.text("detail")),
    )


def _file(part: Members) -> ContentPart:
    if part.text("file_url") is not None:
        raise fault(part.where("file_url"), "is not served: give the file in file_data, as a data: URL")
    file = InputFile(
        file_data=part.text("file_data"), file_id=part.text("file_id"), filename=part.text("filename")
    )
    if not file.HasField("file_data") and not file.HasField("file_id"):
        raise fault(part.where("file_data"), "is required: a string")
    if (detail := part.text("detail")) not in (None, "auto"):
        file.extra_json = msgspec.json.encode({"detail": detail}).decode()
    return ContentPart(file=file)


def _audio(part: Members) -> ContentPart:
    audio = part.object("input_audio")
    if audio is None:
        raise fault(part.where("input_audio"), "is required: an object")
    found = InputAudio(data=audio.required_text("data"), format=audio.required_text("format"))
    audio.leave(found)
    return ContentPart(input_audio=found)


_PARTS: dict[str, Callable[[Members], ContentPart]] = {
    "input_text": _text,
    "output_text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}
