"""What a provider says of a tool call beyond the contract reaches the caller, and returns with the call."""

import json
from typing import Any

from interference.v1.completion_pb2 import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
)
from interference.v1.error_pb2 import Attempt, Error, ErrorResponse
from interference.v1.tool_pb2 import FunctionCall, ToolCall
from server.ingress.messages.events import MessagesAnswer
from server.ingress.messages.request import read

SIGNED: dict[str, Any] = {"extra_content": {"google": {"thought_signature": "s", "step": 1}}}


def call() -> ToolCall:
    made = ToolCall(index=0, id="c", type="function", function=FunctionCall(name="f", arguments="{}"))
    made.extra.update(SIGNED)
    return made


def block_of_stream() -> Any:
    answer = MessagesAnswer("m")
    delta = AnswerMessage(tool_calls=[call()])
    text = answer.chunk(ChatCompletionChunk(choices=[ChunkChoice(index=0, delta=delta)])) + answer.end()
    events = [json.loads(line[6:]) for line in text.decode().split("\n") if line.startswith("data: ")]
    return next(e["content_block"] for e in events if e["type"] == "content_block_start")


def test_a_whole_call_and_a_streamed_one_have_it() -> None:
    message = AnswerMessage(tool_calls=[call()])
    whole = json.loads(MessagesAnswer("m").whole(ChatCompletion(choices=[Choice(message=message)])))
    [block] = [block for block in whole["content"] if block["type"] == "tool_use"]
    assert block["extra"] == SIGNED
    assert block_of_stream()["extra"] == SIGNED


def test_it_goes_back_with_the_call() -> None:
    block = {"type": "tool_use", "id": "c", "name": "f", "input": {}, "extra": SIGNED}
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": [block]}]
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": messages}).encode()
    [given] = read(body).request.messages[-1].tool_calls
    assert json.loads(given.extra_json) == SIGNED


def test_a_failure_within_a_stream_tells_who_was_tried() -> None:
    attempts = [Attempt(provider="A", cause="server_error")]
    error = Error(message="It broke.", type="api_error", code="stream_broken")
    told = MessagesAnswer("m").failed(ErrorResponse(error=error, provider="A", attempts=attempts))
    data = json.loads(told.decode().split("data: ")[1])
    assert data["error"]["type"] == "api_error"
    assert (data["provider"], data["attempts"][0]["cause"]) == ("A", "server_error")
