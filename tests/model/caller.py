"""Asks a worker over gRPC as a step of a script says, and notes what came of it."""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.rpc.status_pb2 import Status

from interference.v1 import error_pb2
from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.error_pb2 import ErrorResponse
from tests.model.circuits import Span
from tests.model.reference import Told
from tests.model.scripts import Ask

_MOMENT = 0.05  # seconds after which a caller leaves who does not wait for chunks
_LONGEST = 10.0  # seconds, after which the service hangs
_ITEM = re.compile(r'"([^"]+)"(?:;cause=(\w+))?(?:;duration_ms=([0-9.]+))?')


@dataclass
class Outcome:
    """What a caller saw. `attempts` is None where none were told; `code` is empty where it left."""

    code: str = ""
    reason: str = ""
    pieces: list[str] = field(default_factory=list)
    providers: set[str] = field(default_factory=set)
    finished: bool = False
    attempts: tuple[Told, ...] | None = None
    served: bool = False  # whether the last attempt told is the one that answers
    span: Span = field(default_factory=lambda: Span(0, 0))  # when the call was


async def call(channel: grpc.aio.Channel, ask: Ask) -> Outcome:
    """Asks once."""
    clock = asyncio.get_running_loop().time
    outcome, began = Outcome(), clock()
    try:
        await asyncio.wait_for(_call(ChatStub(channel), ask, outcome), _LONGEST)
    except grpc.aio.AioRpcError as error:
        _note_error(error, outcome)
    outcome.span = Span(began, clock())
    return outcome


async def _call(stub: Any, ask: Ask, outcome: Outcome) -> None:
    way, seconds = ask.deadline or ("", 0.0)
    metadata = (("x-request-timeout", f"{seconds}"),) if way == "header" else ()
    options = {"metadata": metadata, "timeout": seconds if way == "grpc" else None}
    if not ask.stream:
        running = stub.CreateCompletion(_request(ask), **options)
        if ask.leave is None or not await _left(running):
            _note_whole(await running, outcome)
        return
    running = stub.StreamCompletion(_request(ask), **options)
    if ask.leave == 0 and await _left(running):
        return
    seen = 0
    async for chunk in running:
        _note_chunk(chunk, outcome)
        seen += 1
        if ask.leave and seen >= ask.leave:
            running.cancel()
            return
    outcome.code = "OK"


async def _left(running: Any) -> bool:
    """Hangs up after a moment; says whether that came before the end."""
    await asyncio.sleep(_MOMENT)
    return bool(running.cancel())


def _request(ask: Ask) -> CreateCompletionRequest:
    messages: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
    request = CreateCompletionRequest(model=ask.model, providers=ask.names, messages=messages)
    if ask.deadline is not None and ask.deadline[0] == "field":
        request.timeout = ask.deadline[1]
    if ask.first_content is not None:
        request.time_limits.first_content = ask.first_content
    if ask.hedge is not None:
        request.hedge.delay = ask.hedge
    return request


def _note_whole(whole: ChatCompletion, outcome: Outcome) -> None:
    outcome.code, outcome.served = "OK", True
    outcome.pieces.append(whole.choices[0].message.content)
    outcome.providers.add(whole.provider)
    outcome.finished = whole.choices[0].finish_reason == "stop"
    outcome.attempts = _told(whole.routing.attempts)
    assert 0 < whole.routing.time_to_first_content_ms <= whole.routing.total_ms


def _note_chunk(chunk: ChatCompletionChunk, outcome: Outcome) -> None:
    if outcome.attempts is None:
        outcome.attempts, outcome.served = _told(chunk.routing.attempts), True
    outcome.providers.add(chunk.provider)
    for choice in chunk.choices:
        if choice.delta.content:
            outcome.pieces.append(choice.delta.content)
        outcome.finished = outcome.finished or choice.finish_reason == "stop"


def _note_error(error: grpc.aio.AioRpcError, outcome: Outcome) -> None:
    outcome.code = "" if error.code() is grpc.StatusCode.CANCELLED else error.code().name
    found = ErrorResponse()
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if isinstance(details, bytes):
        assert any(packed.Unpack(found) for packed in Status.FromString(details).details)
        outcome.reason, outcome.attempts = found.error.code, _told(found.attempts)
        outcome.served = False
        return
    outcome.reason = "deadline_passed" if outcome.code == "DEADLINE_EXCEEDED" else ""
    header = dict(error.initial_metadata() or ()).get("x-interference-attempts")
    if header is not None and not outcome.served:
        outcome.attempts = tuple(_item(*found) for found in _ITEM.findall(str(header)))


def _item(provider: str, cause: str, milliseconds: str) -> Told:
    return Told(provider, cause, float(milliseconds) / 1000 if milliseconds else None)


def _told(attempts: Any) -> tuple[Told, ...]:
    def seconds(attempt: error_pb2.Attempt) -> float | None:
        return attempt.duration_ms / 1000 if attempt.HasField("duration_ms") else None

    return tuple(Told(one.provider, one.cause, seconds(one)) for one in attempts)
