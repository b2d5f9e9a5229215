"""Streams in other dialects end in one of two ways, whatever happens."""

from typing import TYPE_CHECKING, Any, cast

import pytest
from google.api.httpbody_pb2 import HttpBody

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.error_pb2 import ErrorResponse
from server.drivers.echo import EchoDriver
from server.ingress.base import Asked
from server.routing.roster import Provider, Roster
from server.routing.router import Router
from server.rows import Row
from server.services import call, translated

if TYPE_CHECKING:
    from server.services.call import Context

ROUTER = Router(Roster([Provider(Row(id="Echo", driver="echo", models=("echo",)), EchoDriver(), None)]))


class Plain:
    """A dialect whose events are the texts; `odd` is one that it cannot write."""

    def whole(self, completion: ChatCompletion) -> bytes:
        return completion.choices[0].message.content.encode()

    def chunk(self, chunk: ChatCompletionChunk) -> bytes:
        text = "".join(choice.delta.content for choice in chunk.choices)
        if text.strip() == "odd":
            raise KeyError("a defect")
        return text.encode()

    def end(self) -> bytes:
        return b"[end]"

    def failed(self, failure: ErrorResponse) -> bytes:
        return f"[{failure.error.code}]".encode()


class NoContext:
    """What is asked of a call's context."""

    def invocation_metadata(self) -> tuple[()]:
        return ()

    def time_remaining(self) -> None:
        return None


def read(body: bytes) -> Asked:
    messages: Any = [{"role": "user", "content": [{"text": body.decode()}]}]
    request = CreateCompletionRequest(model="echo", messages=messages)
    return Asked(request, stream=True, answer=Plain(), names={}, hints=())


async def told(text: str) -> bytes:
    call.begin(cast("Context", NoContext()))
    parts = translated.answer(read, HttpBody(data=text.encode()), ROUTER)
    return b"".join([part.data async for part in parts])


async def test_a_stream_that_went_well_has_its_end() -> None:
    assert await told("one two") == b"one two[end]"


async def test_a_defect_after_the_first_event_is_told_in_an_event(caplog: pytest.LogCaptureFixture) -> None:
    assert await told("one odd two") == b"one[internal_error]"
    assert "a defect" in caplog.text


async def test_a_defect_before_the_first_event_is_the_calls() -> None:
    with pytest.raises(KeyError):
        await told("odd")
