"""Until when a call must be answered, and what its path chooses, over a real gRPC connection."""

import time
from typing import Any

import grpc
import grpc.aio
import pytest

from server.drivers.http import DEADLINE_HEADER
from tests.server.services.serving import LATE, REST, Served, asked, run, told, until_closed
from tests.upstream import Upstream

kinds = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
TIMEOUT = DEADLINE_HEADER


async def failure(
    server: Served, *providers: str, stream: bool, fields: Any = (), **options: Any
) -> grpc.aio.AioRpcError:
    """The error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await run(server, asked(*providers, **dict(fields)), stream=stream, **options)
    return failed.value


@kinds
@pytest.mark.parametrize(
    ("fields", "options"),
    [
        pytest.param({}, {"metadata": ((TIMEOUT, "0.3"),)}, id="seconds in the header"),
        pytest.param({}, {"metadata": ((TIMEOUT, "300ms"),)}, id="milliseconds in the header"),
        pytest.param({}, {"metadata": ((TIMEOUT, "0.005m"),)}, id="minutes in the header"),
        pytest.param({"timeout": 0.3}, {}, id="the request's field"),
        pytest.param({"timeout": 5}, {"metadata": ((TIMEOUT, "0.3"),)}, id="the header is sooner"),
        pytest.param({"timeout": 0.3}, {"metadata": ((TIMEOUT, "5"),)}, id="the field is sooner"),
    ],
)
async def test_a_call_ends_when_its_time_is_over_and_tells_who_was_asked(
    server: Served, stream: bool, fields: Any, options: Any
) -> None:
    began = time.monotonic()
    error = await failure(server, "silent", stream=stream, fields=fields, **options)
    assert 0.3 <= time.monotonic() - began < 1.3
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert told(error).error.code == "deadline_passed"
    assert [(one.provider, one.cause) for one in told(error).attempts] == [("silent", "timed_out")]
    line = await server.line()
    assert (line["status"], line["error"]["reason"]) == ("DEADLINE_EXCEEDED", "deadline_passed")
    assert [one["cause"] for one in line["attempts"]] == ["timed_out"]


@kinds
async def test_a_grpc_deadline_ends_the_upstream_call_and_is_logged_with_who_was_asked(
    server: Served, upstream: Upstream, stream: bool
) -> None:
    error = await failure(server, "silent", stream=stream, timeout=0.3)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    line = await server.line()
    assert (line["status"], line["error"]["reason"]) == ("DEADLINE_EXCEEDED", "deadline_passed")
    assert [(one["provider"], one["cause"]) for one in line["attempts"]] == [("silent", "timed_out")]
    await until_closed(upstream)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="nothing"),
        pytest.param("0", id="no time"),
        pytest.param("-1", id="negative"),
        pytest.param("nan", id="no number"),
        pytest.param("1e3", id="an exponent"),
        pytest.param("1h", id="another unit"),
        pytest.param("3601", id="too long"),
        pytest.param("61m", id="too long in minutes"),
        pytest.param("9" * 5000, id="endless"),
        pytest.param("1 s", id="a space"),
    ],
)
async def test_a_time_limit_that_is_none_is_refused_before_anybody_is_asked(
    server: Served, upstream: Upstream, value: str
) -> None:
    before = len(upstream.seen)
    error = await failure(server, "ok", stream=False, metadata=((TIMEOUT, value),))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told(error).error.param == TIMEOUT
    assert (await server.line())["error"] == {"reason": "invalid_request", "param": TIMEOUT}
    assert len(upstream.seen) == before


async def test_the_path_of_a_rest_call_chooses_the_providers(server: Served) -> None:
    metadata = (*REST, ("x-interference-provider", "500 ok"))
    await server.chat.CreateCompletion(asked(), metadata=metadata, timeout=LATE)
    assert [one["provider"] for one in (await server.line())["attempts"]] == ["500", "ok"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("ok", ("500",), id="another than the body"),
        pytest.param("500 ok", ("ok", "500"), id="in another order"),
        pytest.param(" ", (), id="nobody"),
    ],
)
async def test_a_path_that_contradicts_the_body_or_names_nobody_is_refused(
    server: Served, path: str, body: tuple[str, ...]
) -> None:
    metadata = (*REST, ("x-interference-provider", path))
    error = await failure(server, *body, stream=False, metadata=metadata)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told(error).error.param == "provider"
