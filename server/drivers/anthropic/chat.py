"""Chat completions as Anthropic's messages. https://platform.claude.com/docs/en/api/messages"""

from typing import Any
from uuid import uuid4

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion
from server import forms
from server.drivers import answers
from server.drivers.anthropic import answer as read
from server.drivers.anthropic import wire
from server.drivers.anthropic.request import of_request
from server.drivers.anthropic.stream import MessageDecoder
from server.drivers.base import Target
from server.drivers.openai import calls
from server.errors import AttemptFailed
from server.transport import HttpAnswer, HttpRequest

Json = dict[str, Any]


class _Input(msgspec.Struct, gc=False):
    """A block, of which the input is kept as it was written."""

    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Inputs(msgspec.Struct, gc=False):
    content: list[_Input]


_inputs = msgspec.json.Decoder(_Inputs).decode


class ChatTranslator:
    """Translates chat completions."""

    def request(self, request: CreateCompletionRequest, target: Target, *, stream: bool) -> HttpRequest:
        """POST /messages."""
        return wire.post(target, "messages", of_request(request, target, stream=stream))

    def answer(self, answer: HttpAnswer, _: CreateCompletionRequest, target: Target) -> ChatCompletion:
        """Reads a whole message."""
        message = wire.read(answer.body, target)
        content = _content(message)
        told: Json = {
            "id": read.text(message, "id"),
            "model": read.text(message, "model"),
            "choices": [
                {"index": 0, "message": _message(content, answer.body), **read.ending(_delta(message))}
            ],
            **read.usage(message.get("usage")),
            **read.adding(read.spare(message, *_MESSAGE, *_DELTA)),
        }
        completion = answers.lift(ChatCompletion, told)
        answers.check_choices(completion, "message")
        answers.complete(completion, target)
        completion.id = completion.id or f"chatcmpl-{uuid4().hex}"
        completion.object = "chat.completion"
        return completion

    def decoder(self, request: CreateCompletionRequest, target: Target) -> MessageDecoder:
        """Reads a streamed message."""
        return MessageDecoder(target, include_usage=request.stream_options.include_usage)


_MESSAGE = ("id", "type", "role", "model", "content", "usage")
_DELTA = ("stop_reason", "stop_sequence", "stop_details")


def _delta(message: Json) -> Json:
    return {name: message[name] for name in _DELTA if name in message}


def _content(message: Json) -> list[Json]:
    content = message.get("content")
    if not isinstance(content, list) or len(content) > read.MOST:
        raise AttemptFailed(answers.BROKEN, "answered with no list of blocks")
    if not all(isinstance(block, dict) and isinstance(block.get("type"), str) for block in content):
        raise AttemptFailed(answers.BROKEN, "answered with blocks of another shape")
    return content


def _message(content: list[Json], body: bytes) -> Json:
    """The message that the blocks make."""
    texts: list[str] = []
    cited: list[Json] = []
    length = 0
    for block in content:
        if block["type"] == "text":
            texts.append(read.text(block, "text"))
            start, length = length, length + len(texts[-1])
            citations = block.get("citations")
            cited += read.annotations(citations if isinstance(citations, list) else (), start, length)
    thoughts = [read.text(block, "thinking") for block in content if block["type"] == "thinking"]
    made: Json = {"role": "assistant", "tool_calls": _calls(content, body)}
    made |= read.adding(read.given_back(content))
    if texts or not made["tool_calls"]:
        made["content"] = "".join(texts)
    if reasoning := "\n".join(filter(None, thoughts)):
        made["reasoning"] = reasoning
    if cited:
        made["annotations"] = cited
    return made


def _calls(content: list[Json], body: bytes) -> list[Json]:
    places = [place for place, block in enumerate(content) if block["type"] == "tool_use"]
    if not places:
        return []
    try:
        inputs = _inputs(body).content
        made = [read.call(content[place], None, bytes(inputs[place].input).decode()) for place in places]
    except forms.JSON_FAULTS:
        raise AttemptFailed(answers.BROKEN, "answered with blocks of another shape") from None
    for one in made:
        one["id"] = one["id"] or calls.new_id()
    return made
