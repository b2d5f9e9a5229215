"""What stands around each call, over a real gRPC connection: keys, statuses, headers and the log's line."""

import asyncio
import json
from typing import Any

import grpc
import grpc.aio
import pytest
from google.api.httpbody_pb2 import HttpBody

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.messages_pb2_grpc import MessagesStub
from interference.v1.responses_pb2_grpc import ResponsesStub
from server.sse import EventReader
from server.transport import EVENT_BYTES
from tests.programs import wait_until
from tests.server.services.serving import LATE, REST, STANDS, Served, asked, run, served, until_closed
from tests.upstream import TEXT, Upstream

CREATE, STREAM = (f"/interference.v1.Chat/{name}" for name in ("CreateCompletion", "StreamCompletion"))
KINDS = ("chat", "chat over REST", "responses", "messages")
kinds = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
callers = pytest.mark.parametrize("metadata", [pytest.param((), id="grpc"), pytest.param(REST, id="rest")])


async def events(server: Served, provider: str) -> list[Any]:
    """The events of a stream over REST."""
    read = HttpBody.FromString
    ask = server.channel.unary_stream(STREAM, CreateCompletionRequest.SerializeToString, read)
    bodies = [body async for body in ask(asked(provider), metadata=REST, timeout=LATE)]
    assert {body.content_type for body in bodies} == {"text/event-stream"}
    data = EventReader(EVENT_BYTES).feed(b"".join(body.data for body in bodies))
    return [event.decode() if event == b"[DONE]" else json.loads(event) for event in data]


async def read_on(call: Any) -> None:
    """Reads what is on its way."""
    while await call.read() is not grpc.aio.EOF:
        pass


async def code(server: Served, *providers: str, stream: bool, **options: Any) -> str:
    """The status that a caller sees."""
    try:
        await run(server, asked(*providers), stream=stream, **options)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


@kinds
@callers
async def test_a_call_that_went_well_is_logged_with_who_answered(
    server: Served, stream: bool, metadata: Any
) -> None:
    assert await code(server, "500", "ok", stream=stream, metadata=metadata) == "OK"
    line = await server.line()
    assert (line["event"], line["status"], line["via"]) == ("call", "OK", "rest" if metadata else "grpc")
    assert line["method"] == ("Chat.StreamCompletion" if stream else "Chat.CreateCompletion")
    assert (line["model"], line["provider"]) == ("m", "ok")
    assert [(one["provider"], one.get("cause"), one.get("status")) for one in line["attempts"]] == [
        ("500", "server_error", 500),
        ("ok", None, None),
    ]
    assert 0 < line["time_to_first_content_ms"] <= line["total_ms"]
    assert "error" not in line
    assert ("prompt_tokens" in line) is not stream  # a stream tells its usage where it was asked to


@kinds
async def test_an_upstreams_words_are_told_to_the_caller_and_not_to_the_log(
    server: Served, stream: bool
) -> None:
    assert await code(server, "400", stream=stream) == "INVALID_ARGUMENT"
    line = await server.line()
    assert line["status"] == "INVALID_ARGUMENT"
    assert line["error"] == {"reason": "c400", "param": "n"}
    assert line["attempts"][0].keys() == {"provider", "model", "cause", "status", "duration_ms"}


async def test_an_error_in_a_stream_over_rest_is_logged_though_the_call_ends_well(server: Served) -> None:
    told = await events(server, "cut-later")
    assert told[-1]["error"]["code"] == "stream_broken"
    line = await server.line()
    assert (line["status"], line["error"]) == ("UNAVAILABLE", {"reason": "stream_broken"})


async def test_a_stream_over_rest_is_events_that_end_with_done(server: Served) -> None:
    *told, done = await events(server, "ok")
    deltas = [choice["delta"] for event in told for choice in event["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == TEXT
    assert done == "[DONE]"


async def test_a_whole_answer_over_rest_is_json(server: Served) -> None:
    ask = server.channel.unary_unary(CREATE, CreateCompletionRequest.SerializeToString, HttpBody.FromString)
    body = await ask(asked("ok"), metadata=REST, timeout=LATE)
    assert body.content_type == "application/json"
    assert json.loads(body.data)["choices"][0]["message"]["content"] == TEXT


@kinds
async def test_headers_tell_rest_callers_who_answers(server: Served, stream: bool) -> None:
    method = server.chat.StreamCompletion if stream else server.chat.CreateCompletion
    call: Any = method(asked("ok"), metadata=REST, timeout=LATE)
    headers = dict(await (call.initial_metadata() if stream else call.trailing_metadata()))
    assert (headers["x-interference-provider"], headers["x-interference-model"]) == ("ok", "m")
    assert headers["x-interference-attempts"].startswith('"ok";duration_ms=')
    call.cancel()


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        pytest.param((), "UNAUTHENTICATED", id="no key"),
        pytest.param((("authorization", "Bearer wrong"),), "UNAUTHENTICATED", id="a wrong key"),
        pytest.param((("authorization", "Basic right"),), "UNAUTHENTICATED", id="another scheme"),
        pytest.param((("authorization", "Bearer right"),), "OK", id="the key"),
        pytest.param((("x-api-key", "right"),), "OK", id="the key as Anthropic's clients send it"),
    ],
)
@kinds
async def test_who_shows_no_key_is_refused_and_logged(
    upstream: Upstream, given: Any, seen: str, stream: bool
) -> None:
    async with served(upstream, "right") as server:
        before = len(upstream.seen)
        assert await code(server, "ok", stream=stream, metadata=given) == seen
        line = await server.line()
        assert line["status"] == seen
        assert "right" not in str(line)
        assert "wrong" not in str(line)
        assert len(upstream.seen) - before == (seen == "OK")


async def test_what_is_no_message_is_a_malformed_request(server: Served) -> None:
    method: Any = server.channel.unary_unary("/interference.v1.Chat/CreateCompletion")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await method(b"\xff\xff", timeout=LATE)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await server.line())["error"]["reason"] == "malformed_message"


def stream_of(server: Served, kind: str, provider: str) -> Any:
    """A streaming call of each service that streams."""
    text = f'{{"model": "{provider}/m", "stream": true, '
    if kind == "responses":
        return ResponsesStub(server.channel).CreateResponse(
            HttpBody(data=f'{text}"input": "Hi"}}'.encode()), timeout=LATE
        )
    if kind == "messages":
        body = f'{text}"max_tokens": 9, "messages": [{{"role": "user", "content": "Hi"}}]}}'
        return MessagesStub(server.channel).CreateMessage(HttpBody(data=body.encode()), timeout=LATE)
    metadata = REST if kind == "chat over REST" else ()
    return server.chat.StreamCompletion(asked(provider), timeout=LATE, metadata=metadata)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_caller_who_leaves_while_the_provider_is_silent_is_logged_as_cancelled(
    server: Served, upstream: Upstream, kind: str
) -> None:
    call = stream_of(server, kind, "half")
    await call.read()
    call.cancel()
    assert (await server.line())["status"] == "CANCELLED"
    await until_closed(upstream)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_caller_who_leaves_while_it_is_written_to_is_logged_as_cancelled(
    server: Served, upstream: Upstream, kind: str
) -> None:
    call = stream_of(server, kind, "flood")
    await call.read()
    assert await asyncio.to_thread(STANDS.wait, LATE)
    call.cancel()
    assert (await server.line())["status"] == "CANCELLED"
    await until_closed(upstream)


async def test_a_unary_caller_who_leaves_is_logged_as_cancelled(server: Served, upstream: Upstream) -> None:
    before = len(upstream.seen)
    call = server.chat.CreateCompletion(asked("silent"))
    await asyncio.to_thread(wait_until, lambda: len(upstream.seen) > before, lambda: "not asked", LATE)
    call.cancel()
    assert (await server.line())["status"] == "CANCELLED"
    await until_closed(upstream)


async def test_the_servers_end_is_an_error_for_who_waits_for_a_provider(server: Served) -> None:
    call = stream_of(server, "chat", "half")
    await call.read()
    server.edge.end_calls()
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call.read()
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    line = await server.line()
    assert (line["status"], line["error"]) == ("UNAVAILABLE", {"reason": "stopping"})
    await asyncio.wait_for(server.edge.quiet(), LATE)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_servers_end_is_an_error_for_who_reads_slowly(server: Served, kind: str) -> None:
    call = stream_of(server, kind, "flood")
    await call.read()
    assert await asyncio.to_thread(STANDS.wait, LATE)
    server.edge.end_calls()
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await read_on(call)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    line = await server.line()
    assert (line["status"], line["error"]) == ("UNAVAILABLE", {"reason": "stopping"})


@callers
async def test_a_stream_whose_time_is_over_while_nobody_reads_is_ended(
    server: Served, upstream: Upstream, metadata: Any
) -> None:
    call = server.chat.StreamCompletion(asked("flood", timeout=1.0), metadata=metadata)
    await call.read()
    line = await server.line()
    assert (line["status"], line["error"]) == ("DEADLINE_EXCEEDED", {"reason": "deadline_passed"})
    await until_closed(upstream)
    call.cancel()
