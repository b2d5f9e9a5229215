"""The HTTP client, against real sockets that behave and misbehave."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from server import transport
from server.errors import AttemptFailed
from server.rows import Limits
from server.sse import EventReader
from server.transport import EVENT_BYTES, HttpAnswer, HttpRequest, Transport
from tests.programs import wait_until
from tests.upstream import Upstream

LIMIT = 2**20
BODY = b'{"stream": false}'


def request(url: str, body: bytes = BODY) -> HttpRequest:
    return HttpRequest("POST", url, {"content-type": "application/json"}, body)


async def whole(client: Transport, url: str) -> HttpAnswer:
    async with client.open(request(url), Limits(connect=2)) as answer:
        return await answer.read()


async def events(client: Transport, url: str) -> list[bytes]:
    async with client.open(request(url, b'{"stream": true}'), Limits()) as answer:
        assert answer.media_type == "text/event-stream"
        return [event async for arrived in answer.events(EventReader(EVENT_BYTES)) for event in arrived]


async def test_an_answer_is_read_whole(upstream: Upstream) -> None:
    async with transport.connect(LIMIT) as client:
        answer = await whole(client, f"{upstream.url}/429/v1")
    assert answer.status == 429
    assert answer.headers["retry-after"] == "7"
    assert b"the script says 429" in answer.body


async def test_connections_are_used_again_after_answers_and_streams(upstream: Upstream) -> None:
    async with transport.connect(LIMIT) as client:
        before = upstream.connections
        for _ in range(3):
            await whole(client, f"{upstream.url}/ok/v1")
            assert (await events(client, f"{upstream.url}/ok/v1"))[-1] == b"[DONE]"
    assert upstream.connections == before + 1


async def test_a_stream_that_is_left_at_its_end_gives_its_connection_back(upstream: Upstream) -> None:
    async with transport.connect(LIMIT) as client:
        before = upstream.connections
        for _ in range(3):
            asked = request(f"{upstream.url}/ok/v1", b'{"stream": true}')
            async with client.open(asked, Limits()) as answer:
                async for arrived in answer.events(EventReader(EVENT_BYTES)):
                    if arrived[-1] == b"[DONE]":
                        break
    assert upstream.connections <= before + 2  # the end may come a moment after the last event


async def test_a_kept_connection_that_was_closed_meanwhile_costs_no_request(upstream: Upstream) -> None:
    async with transport.connect(LIMIT) as client:
        before = len(upstream.seen)
        for _ in range(2):
            assert (await whole(client, f"{upstream.url}/stale/v1")).status == 200
    assert len(upstream.seen) == before + 3  # the second was sent twice


async def test_a_new_connection_that_is_dropped_is_not_tried_again(upstream: Upstream) -> None:
    async with transport.connect(LIMIT) as client:
        before = len(upstream.seen)
        with pytest.raises(AttemptFailed):
            await whole(client, f"{upstream.url}/reset/v1")
    assert len(upstream.seen) == before + 1


@pytest.mark.parametrize("script", ["silent", "half"])
async def test_a_cancelled_call_is_closed_at_once(upstream: Upstream, script: str) -> None:
    async with transport.connect(LIMIT) as client:
        asked = asyncio.create_task(events(client, f"{upstream.url}/{script}/v1"))
        await asyncio.to_thread(wait_until, lambda: upstream.open == 1, lambda: "never asked")
        asked.cancel()
        await asyncio.to_thread(wait_until, lambda: upstream.open == 0, lambda: "still open", 1)
        await asyncio.gather(asked, return_exceptions=True)


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("reset", "connection_lost"),
        ("bomb", "broken_answer"),
        ("endless-headers", "broken_answer"),
        ("not-http", "broken_answer"),
    ],
)
async def test_a_hostile_answer_fails_the_attempt(upstream: Upstream, script: str, cause: str) -> None:
    async with transport.connect(LIMIT) as client:
        with pytest.raises(AttemptFailed) as failed:
            await whole(client, f"{upstream.url}/{script}/v1")
    assert failed.value.cause == cause


@pytest.mark.parametrize(
    ("script", "cause"), [("endless-line", "broken_answer"), ("cut-later", "connection_lost")]
)
async def test_a_hostile_stream_fails_the_attempt(upstream: Upstream, script: str, cause: str) -> None:
    async with transport.connect(LIMIT) as client:
        with pytest.raises(AttemptFailed) as failed:
            await events(client, f"{upstream.url}/{script}/v1")
    assert failed.value.cause == cause


@pytest.mark.parametrize(
    ("url", "told"),
    [
        pytest.param("http://127.0.0.1:1/", "cannot connect to 127.0.0.1:1", id="refused"),
        pytest.param("http://none.invalid/", "none.invalid cannot be resolved", id="DNS"),
        pytest.param("http://b\u00fccher.invalid/", "xn--bcher-kva.invalid cannot be resolved", id="IDNA"),
        pytest.param("http://", "not a valid address", id="no host"),
        pytest.param("http://a:port/", "not a valid address", id="no port"),
        pytest.param("ftp://a/", "not a valid address", id="no HTTP"),
    ],
)
async def test_a_server_that_is_not_there_fails_the_attempt(url: str, told: str) -> None:
    async with transport.connect(LIMIT) as client:
        with pytest.raises(AttemptFailed) as failed:
            await whole(client, url)
    assert failed.value.cause == "connect_failed"
    assert told in failed.value.message


@asynccontextmanager
async def tls_server(certificate: trustme.LeafCert) -> AsyncIterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("trusted", "name", "told"),
    [
        pytest.param(True, "127.0.0.1", None, id="trusted"),
        pytest.param(False, "127.0.0.1", "certificate was refused", id="unknown issuer"),
        pytest.param(True, "other.example", "certificate was refused", id="another's name"),
    ],
)
async def test_certificates_are_verified(
    trusted: bool, name: str, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    with authority.cert_pem.tempfile() as bundle:
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", bundle)
        async with tls_server(authority.issue_cert(name)) as port, transport.connect(LIMIT) as client:
            if told is None:
                assert (await whole(client, f"https://127.0.0.1:{port}/")).body == b"ok"
                return
            with pytest.raises(AttemptFailed) as failed:
                await whole(client, f"https://127.0.0.1:{port}/")
    assert failed.value.cause == "connect_failed"
    assert told in failed.value.message


async def test_a_name_with_a_port_is_said_as_it_is(upstream: Upstream) -> None:
    async with transport.connect(LIMIT) as client:
        await whole(client, f"{upstream.url.replace('127.0.0.1', 'LocalHost')}/ok/v1?a=b c&d=%20")
    assert upstream.last().headers["host"] == f"LocalHost:{upstream.url.rpartition(':')[2]}"
    assert upstream.last().path == "/ok/v1?a=b%20c&d=%20"
