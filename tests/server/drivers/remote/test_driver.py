"""What the driver makes of a plug-in that answers, fails, is not there, comes back, or will not end."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.models_pb2 import ListModelsResponse
from server.errors import AttemptFailed, RequestRefused
from server.rows import Limits
from tests.background import unreachable
from tests.plugin import CREATE, STREAM, TEXT, Asked, Plugin, chunk
from tests.server.drivers.remote.driven import KEY, LIMIT, asked, driven, driving, until

each_way = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
Code = grpc.StatusCode


async def failure(made: Any, model: str, *, stream: bool = False, **fields: Any) -> AttemptFailed:
    with pytest.raises(AttemptFailed) as caught:
        await made.ask(model, stream=stream, **fields)
    return caught.value


async def test_a_small_answer_is_completed() -> None:
    async with driven(Plugin()) as made:
        [answer] = await made.ask()
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model, answer.provider) == ("chat.completion", "ok", "Plug")
    assert answer.created
    [choice] = answer.choices
    assert (choice.index, choice.message.role, choice.message.content) == (0, "assistant", TEXT)
    assert choice.HasField("index")
    assert choice.finish_reason == "stop"


async def test_a_small_stream_is_completed() -> None:
    async with driven(Plugin()) as made:
        chunks = await made.ask(stream=True)
    assert len({chunk.id for chunk in chunks}) == len({chunk.created for chunk in chunks}) == 1
    assert {(chunk.object, chunk.model, chunk.provider) for chunk in chunks} == {
        ("chat.completion.chunk", "ok", "Plug")
    }
    assert [chunk.choices[0].delta.role for chunk in chunks] == ["assistant", "", "", "", ""]
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"


@each_way
async def test_the_key_the_model_and_what_is_carried_arrive(stream: bool) -> None:
    plugin = Plugin()
    carried = {"x-request-id": "r-1", "traceparent": "00-a", "cdn-loop": "me", "odd": "\x00"}
    async with driven(plugin) as made:
        await made.ask(stream=stream, carried=carried)
    [seen] = plugin.seen
    assert seen.stream is stream
    assert seen.request.model == "ok"
    assert seen.metadata["authorization"] == f"Bearer {KEY}"
    assert {name: seen.metadata.get(name) for name in carried} == carried | {"odd": None}
    assert seen.remaining is None or seen.remaining > 1000  # no deadline was given


@each_way
async def test_the_deadline_goes_along(stream: bool) -> None:
    plugin = Plugin()
    async with driven(plugin) as made:
        await made.ask(stream=stream, deadline=asyncio.get_running_loop().time() + 5)
    assert plugin.seen[0].remaining == pytest.approx(5, abs=1)


STATUSES = [
    (Code.UNIMPLEMENTED, "no_such_model"),
    (Code.NOT_FOUND, "no_such_model"),
    (Code.UNAUTHENTICATED, "key_refused"),
    (Code.PERMISSION_DENIED, "access_refused"),
    (Code.RESOURCE_EXHAUSTED, "rate_limited"),
    (Code.ABORTED, "conflict"),
    (Code.ALREADY_EXISTS, "conflict"),
    (Code.UNAVAILABLE, "server_error"),
    (Code.INTERNAL, "server_error"),
    (Code.UNKNOWN, "server_error"),
    (Code.DATA_LOSS, "server_error"),
    (Code.DEADLINE_EXCEEDED, "timed_out"),
    (Code.CANCELLED, "connection_lost"),
]


@each_way
@pytest.mark.parametrize(
    ("code", "cause"), [pytest.param(code, cause, id=code.name) for code, cause in STATUSES]
)
async def test_a_status_has_a_cause(stream: bool, code: grpc.StatusCode, cause: str) -> None:
    async def fails(call: Asked) -> AsyncGenerator[bytes, None]:
        await call.fail(code, f"because of {KEY}")
        yield b""

    async with driven(Plugin(scripts={"m": fails}), key_env="A_KEY") as made:
        failed = await failure(made, "m", stream=stream)
    assert failed.cause == cause
    assert KEY not in failed.message


@each_way
@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE])
async def test_a_wrong_request_is_refused_with_its_field(stream: bool, code: grpc.StatusCode) -> None:
    fault = BadRequest(field_violations=[BadRequest.FieldViolation(field="messages[0].role")])

    async def fails(call: Asked) -> AsyncGenerator[bytes, None]:
        await call.fail(code, "too hot", details(ErrorInfo(reason="TOO_HOT"), fault))
        yield b""

    async with driven(Plugin(scripts={"m": fails})) as made:
        with pytest.raises(RequestRefused, match=r"Plug refused the request \(400\): too hot") as caught:
            await made.ask("m", stream=stream)
    assert (caught.value.param, caught.value.reason) == ("messages[0].role", "too_hot")


@pytest.mark.parametrize(
    ("code", "detail", "cause", "param"),
    [
        pytest.param(
            Code.INVALID_ARGUMENT,
            ErrorInfo(reason="PARAMETER_UNSUPPORTED"),
            "parameter_unsupported",
            None,
            id="nobody there takes it",
        ),
        pytest.param(
            Code.INVALID_ARGUMENT,
            BadRequest(field_violations=[BadRequest.FieldViolation(field="model")]),
            "no_such_model",
            "model",
            id="the model",
        ),
        pytest.param(
            Code.FAILED_PRECONDITION,
            ErrorInfo(reason="LOOP_DETECTED"),
            "no_such_model",
            None,
            id="a circle",
        ),
    ],
)
async def test_a_reason_says_more_than_a_status(
    code: grpc.StatusCode, detail: Any, cause: str, param: str | None
) -> None:
    async def fails(call: Asked) -> AsyncGenerator[bytes, None]:
        await call.fail(code, "no", details(detail))
        yield b""

    async with driven(Plugin(scripts={"m": fails})) as made:
        failed = await failure(made, "m")
    assert (failed.cause, failed.param) == (cause, param)


async def test_when_to_return_is_heeded() -> None:
    async def fails(call: Asked) -> AsyncGenerator[bytes, None]:
        await call.fail(
            Code.RESOURCE_EXHAUSTED, "later", details(RetryInfo(retry_delay=Duration(seconds=7)))
        )
        yield b""

    async with driven(Plugin(scripts={"m": fails})) as made:
        failed = await failure(made, "m")
    assert (failed.cause, failed.status, failed.retry_after) == ("rate_limited", 429, 7)


@each_way
@pytest.mark.parametrize("packed", [b"\xff", b"", b"\x1a\x02\x12\x00"], ids=["garbage", "empty", "odd"])
async def test_details_that_are_none_do_no_harm(stream: bool, packed: bytes) -> None:
    async def fails(call: Asked) -> AsyncGenerator[bytes, None]:
        await call.fail(Code.UNAVAILABLE, "busy", (("grpc-status-details-bin", packed),))
        yield b""

    async with driven(Plugin(scripts={"m": fails})) as made:
        failed = await failure(made, "m", stream=stream)
    assert (failed.cause, failed.message) == ("server_error", "busy")


@each_way
async def test_a_plug_in_that_throws_has_failed(stream: bool) -> None:
    async def throws(_: Asked) -> AsyncGenerator[bytes, None]:
        raise ValueError(f"no {KEY}")
        yield b""

    async with driven(Plugin(scripts={"m": throws})) as made:
        failed = await failure(made, "m", stream=stream)
    assert failed.cause == "server_error"
    assert "no [key]" in failed.message


@each_way
async def test_what_is_no_message_is_broken(stream: bool) -> None:
    async def garbage(_: Asked) -> AsyncGenerator[bytes, None]:
        yield b"\xff\xff"

    async with driven(Plugin(scripts={"m": garbage})) as made:
        assert (await failure(made, "m", stream=stream)).cause == "broken_answer"


@each_way
async def test_a_message_that_is_too_large_is_broken(stream: bool) -> None:
    async def huge(_: Asked) -> AsyncGenerator[bytes, None]:
        yield chunk("a" * (LIMIT + 1))

    async with driven(Plugin(scripts={"m": huge})) as made:
        assert (await failure(made, "m", stream=stream)).cause == "broken_answer"


async def test_a_stream_that_is_too_long_is_broken() -> None:
    async def endless(_: Asked) -> AsyncGenerator[bytes, None]:
        while True:
            yield chunk("a" * 1000)

    plugin = Plugin(scripts={"m": endless})
    async with driven(plugin) as made:
        failed = await failure(made, "m", stream=True)
        await until(lambda: plugin.open == 0)
    assert (failed.cause, failed.message) == ("broken_answer", f"streamed more than {LIMIT} bytes")


@each_way
async def test_who_is_not_there_fails_at_once(stream: bool) -> None:
    async with Plugin().serving() as address:
        pass
    async with driving(f"grpc://{address}") as made:
        for _ in range(3):
            began = time.monotonic()
            failed = await failure(made, "ok", stream=stream)
            assert (failed.cause, failed.status) == ("connect_failed", None)
            assert time.monotonic() - began < 1


async def test_an_address_without_a_listener_is_named() -> None:
    async with driving("unix:/nowhere/at/all.sock") as made:
        failed = await failure(made, "ok")
    assert failed.message.startswith("cannot connect to unix:/nowhere/at/all.sock")


async def test_who_takes_no_connection_is_waited_for_as_long_as_said() -> None:
    with unreachable() as nowhere:
        async with driving(nowhere.replace("http:", "grpc:")) as made:
            failed = await failure(made, "ok", limits=Limits(connect=0.2))
    assert (failed.cause, failed.message) == ("timed_out", "no connection within the connect limit")


async def test_who_comes_back_is_found_soon() -> None:
    plugin = Plugin()
    async with plugin.serving() as address:
        pass
    async with driving(f"grpc://{address}") as made:
        for _ in range(5):
            await failure(made, "ok")
        async with plugin.serving(address):
            began = time.monotonic()
            while not await answers(made):
                assert time.monotonic() - began < 3
                await asyncio.sleep(0.05)


@each_way
async def test_a_server_that_ends_has_lost_the_connection(stream: bool) -> None:
    plugin = Plugin()
    async with AsyncExitStack() as stack:
        async with plugin.serving() as address:
            made = await stack.enter_async_context(driving(f"grpc://{address}"))
            asking = asyncio.create_task(failure(made, "half" if stream else "silent", stream=stream))
            await until(lambda: plugin.open == 1)
        assert (await asking).cause == "connection_lost"


@each_way
async def test_being_cancelled_ends_the_call(stream: bool) -> None:
    plugin = Plugin()
    async with driven(plugin) as made:
        asking = asyncio.create_task(made.ask("silent", stream=stream))
        await until(lambda: plugin.open == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: plugin.open == 0)


async def test_a_stream_that_is_closed_ends_the_call() -> None:
    plugin = Plugin()
    async with driven(plugin) as made:
        async with aclosing(made.driver.stream(asked(), made.target("half"))) as chunks:
            await anext(chunks)
            assert plugin.open == 1
        await until(lambda: plugin.open == 0)


async def test_an_operation_that_is_missing_counts_as_no_model() -> None:
    async with driven(Plugin()) as made:
        with pytest.raises(AttemptFailed, match="has no embedding models") as caught:
            await made.driver.answer(CreateEmbeddingsRequest(), made.target())
    assert caught.value.cause == "no_such_model"


async def test_who_has_no_list_of_models_is_there_all_the_same() -> None:
    async with driven(Plugin()) as made:
        assert await made.driver.models(made.target("")) == []


async def test_a_list_of_models_tells_what_they_can_do() -> None:
    listed: Any = [
        {"id": "a", "capabilities": ["chat", "tools"], "context_length": 1000},
        {"id": "b", "image": True},
        {"id": "c"},
        {},
    ]

    async def lists(_: Asked) -> AsyncGenerator[bytes, None]:
        yield ListModelsResponse(data=listed).SerializeToString()

    plugin = Plugin(methods=("/interference.v1.Models/ListModels",), scripts={"": lists})
    async with driven(plugin) as made:
        models = await made.driver.models(made.target(""))
    found = {one.name: (one.capabilities, one.context_length) for one in models}
    assert found == {"a": ({"chat", "tools"}, 1000), "b": ({"images"}, None), "c": (None, None)}
    assert models[0].lacks == {"json_schema", "logprobs", "reasoning"}  # of vision, silence is no no
    assert "stream" not in models[0].lacks


async def test_tls_is_checked(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("plug.example")
    credentials = grpc.ssl_server_credentials(
        [(issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())]
    )
    own = {"ca": str(tmp_path / "ca.pem"), "server_name": "plug.example"}
    async with Plugin().serving(credentials=credentials) as address:
        async with driving(f"grpcs://{address}", options={"tls": own}) as made:
            await made.ask()
        for tls in (None, {"ca": own["ca"]}, {"server_name": "plug.example"}):
            async with driving(f"grpcs://{address}", options={"tls": tls}) as made:
                assert (await failure(made, "ok")).cause == "connect_failed"


async def test_a_certificate_of_ours_is_shown(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("us.example").private_key_and_cert_chain_pem.write_to_path(
        str(tmp_path / "us.pem")
    )
    issued = authority.issue_cert("127.0.0.1")
    credentials = grpc.ssl_server_credentials(
        [(issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())],
        authority.cert_pem.bytes(),
        require_client_auth=True,
    )
    own = {"ca": str(tmp_path / "ca.pem")}
    shown = own | {"cert": str(tmp_path / "us.pem"), "key": str(tmp_path / "us.pem")}
    async with Plugin().serving(credentials=credentials) as address:
        async with driving(f"grpcs://{address}", options={"tls": shown}) as made:
            await made.ask()
        async with driving(f"grpcs://{address}", options={"tls": own}) as made:
            assert (await failure(made, "ok")).cause in ("connect_failed", "connection_lost")


@pytest.mark.parametrize(
    ("base_url", "tls", "told"),
    [
        pytest.param("grpc://h:1", {"ca": "x"}, "options.tls is for an address", id="plain"),
        pytest.param("grpcs://h:1", {"ca": "/not/there"}, "options.tls.ca cannot be read", id="no file"),
        pytest.param("http://h:1", None, "not a valid address", id="of another kind"),
    ],
)
async def test_settings_that_cannot_be_are_told_with_the_attempt(
    base_url: str, tls: dict[str, str] | None, told: str
) -> None:
    async with driving(base_url, options={"tls": tls}) as made:
        failed = await failure(made, "ok")
    assert failed.cause in ("connect_failed", "not_enabled")
    assert told in failed.message


@pytest.mark.parametrize("key", ["a\nb", "schlüssel"])
async def test_a_key_that_no_header_can_hold_is_not_sent(key: str) -> None:
    async with driven(Plugin()) as made:
        failed = await failure(made, "ok", key=key)
    assert failed.cause == "connect_failed"
    assert key not in failed.message


async def test_a_plug_in_that_has_one_of_both_ways_has_no_model_for_the_other() -> None:
    for methods, stream in ((CREATE, True), (STREAM, False)):
        async with driven(Plugin(methods=(methods,))) as made:
            await made.ask(stream=not stream)
            assert (await failure(made, "ok", stream=stream)).message == "has no chat models"


async def answers(made: Any) -> bool:
    try:
        await made.ask()
    except AttemptFailed:
        return False
    return True


def details(*found: Any) -> tuple[tuple[str, bytes], ...]:
    status = Status()
    for one in found:
        packed = Packed()
        packed.Pack(one)
        status.details.append(packed)
    return (("grpc-status-details-bin", status.SerializeToString()),)
