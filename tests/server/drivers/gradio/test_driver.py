"""Jobs on a scripted app: what is asked for in which order, and what becomes of one that goes wrong."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from aiohttp import web

from server import transport
from server.drivers.gradio.driver import GradioDriver
from server.errors import AttemptFailed
from server.operations import Request
from tests.server.drivers.gradio.spaces import (
    CHAT,
    FLUX,
    JOB,
    KEY,
    LIMITS,
    App,
    chat,
    completed,
    event,
    failed,
    growing,
    images,
    picture,
    queued,
    scripted,
    target,
)

LIMIT = 2**20
HI = chat(("user", "Hi"))
CONFIG = {"dependencies": [{"id": 3, "api_name": "chat"}, {"id": 4, "api_name": "infer"}]}
CANCELLED = {"session_hash": JOB, "event_id": JOB, "fn_index": 3}
QUICK = msgspec.structs.replace(LIMITS, idle=0.3)


@asynccontextmanager
async def driving() -> AsyncIterator[GradioDriver]:
    async with transport.connect(LIMIT) as client, aclosing(Closing(GradioDriver(client))) as closing:
        yield closing.driver


class Closing:
    """A driver that is closed as the roster closes it."""

    def __init__(self, driver: GradioDriver) -> None:
        self.driver = driver

    async def aclose(self) -> None:
        await self.driver.close()


async def answered(app: App, request: Request, said: dict[str, Any] = FLUX, **more: Any) -> Any:
    async with driving() as driver:
        return await driver.answer(request, target(said, app.url, **more))


async def failure(app: App, request: Request, said: dict[str, Any] = FLUX, **more: Any) -> AttemptFailed:
    with pytest.raises(AttemptFailed) as raised:
        await answered(app, request, said, **more)
    return raised.value


def file(path: str, url: str | None = None) -> dict[str, Any]:
    return {"path": path, "url": url}


async def test_an_image_is_asked_for_and_fetched_with_the_key() -> None:
    data = picture()
    events = [queued(1), event("heartbeat"), completed(file("/a.png"), 7)]
    async with scripted(events=events, files={"/a.png": data}) as app:
        made = await answered(app, images(seed=7))
    assert base64.b64decode(made.data[0].b64_json) == data
    assert (made.provider, made.model, made.output_format) == ("Up", "m", "png")
    assert dict(made.data[0].extra) == {"seed": 7}
    assert app.bodies("/gradio_api/call/infer") == [{"data": ["a cat", 7, False]}]
    assert app.keys == {f"Bearer {KEY}"}
    assert not app.bodies("/gradio_api/cancel")


async def test_a_chat_is_answered_whole() -> None:
    async with scripted(events=[growing("H"), completed("Hi!")]) as app:
        made = await answered(app, HI, CHAT)
    assert made.choices[0].message.content == "Hi!"
    assert made.choices[0].finish_reason == "stop"


async def test_an_app_of_gradio_4_has_its_api_at_its_root() -> None:
    async with scripted(prefix="", events=[completed("Hi")], config=CONFIG) as app, driving() as driver:
        for _ in range(2):
            await driver.answer(HI, target(CHAT, app.url))
    asked = [path for method, path, _ in app.seen if method == "POST"]
    assert asked == ["/gradio_api/call/chat", "/call/chat", "/call/chat"]


async def test_an_endpoint_that_the_app_does_not_have_is_no_model() -> None:
    async def joined(_: web.Request) -> web.StreamResponse:
        return web.Response(status=500, text="Internal Server Error")

    async with scripted(joined=joined, config={"dependencies": []}) as app:
        told = await failure(app, HI, CHAT)
    assert (told.cause, told.message) == ("no_such_model", "the Space has no endpoint chat")


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        pytest.param({"event_id": 1}, "broken_answer", id="a number"),
        pytest.param({"event_id": "../x"}, "broken_answer", id="a path"),
        pytest.param([], "broken_answer", id="a list"),
    ],
)
async def test_a_job_without_an_id_is_a_broken_answer(answer: Any, cause: str) -> None:
    async def joined(_: web.Request) -> web.StreamResponse:
        return web.json_response(answer)

    async with scripted(joined=joined) as app:
        assert (await failure(app, HI, CHAT)).cause == cause


async def test_a_full_queue_is_told() -> None:
    async def joined(_: web.Request) -> web.StreamResponse:
        return web.json_response({"detail": "Queue is full. Max size is 1 and size is 1."}, status=503)

    async with scripted(joined=joined) as app:
        told = await failure(app, HI, CHAT)
    assert (told.cause, told.status) == ("rate_limited", 503)


@pytest.mark.parametrize(
    ("events", "cause"),
    [
        pytest.param([failed("blocked")], "server_error", id="an error"),
        pytest.param([queued(0)], "connection_lost", id="an early end"),
        pytest.param([], "connection_lost", id="nothing"),
        pytest.param([b"nonsense"], "broken_answer", id="nonsense"),
        pytest.param([completed()], "broken_answer", id="no outputs"),
        pytest.param(
            [completed(file("/a", "http://127.0.0.1.evil/a"))], "broken_answer", id="another host"
        ),
    ],
)
async def test_a_job_that_fails_is_told(events: list[bytes], cause: str) -> None:
    async with scripted(events=events) as app:
        assert (await failure(app, images())).cause == cause


async def test_a_queue_that_is_silent_for_too_long_is_left() -> None:
    async with scripted(events=[queued(0)], stays=True, config=CONFIG) as app, driving() as driver:
        with pytest.raises(AttemptFailed, match=r"sent nothing for 0\.3 s") as raised:
            await driver.answer(HI, target(CHAT, app.url, QUICK))
        assert await app.until("POST", "/gradio_api/cancel") == CANCELLED
    assert raised.value.cause == "timed_out"


async def test_heartbeats_keep_a_job_alive_for_longer_than_the_limit() -> None:
    events = [event("heartbeat")] * 5 + [completed("Hi")]
    async with scripted(events=events, pause=0.2) as app:
        made = await answered(app, HI, CHAT, limits=msgspec.structs.replace(LIMITS, idle=1))
    assert made.choices[0].message.content == "Hi"


async def test_a_job_is_cancelled_when_its_caller_goes() -> None:
    async with scripted(events=[queued(0)], stays=True, config=CONFIG) as app, driving() as driver:
        asking = asyncio.create_task(driver.answer(HI, target(CHAT, app.url)))
        await app.until("GET", f"/gradio_api/queue/data?session_hash={JOB}")
        asking.cancel()
        assert await app.until("POST", "/gradio_api/cancel") == CANCELLED


async def test_a_job_is_cancelled_when_its_stream_is_closed() -> None:
    events = [growing("H")]
    async with scripted(events=events, stays=True, config=CONFIG) as app, driving() as driver:
        async with aclosing(driver.stream(HI, target(CHAT, app.url))) as stream:
            first: Any = await anext(stream)
            assert first.choices[0].delta.content == "H"
        assert await app.until("POST", "/gradio_api/cancel") == CANCELLED


async def test_a_job_whose_id_was_not_yet_told_is_cancelled_too() -> None:
    told = asyncio.Event()

    async def joined(_: web.Request) -> web.StreamResponse:
        await told.wait()
        return web.json_response({"event_id": JOB})

    async with scripted(joined=joined, config=CONFIG) as app, driving() as driver:
        asking = asyncio.create_task(driver.answer(HI, target(CHAT, app.url)))
        await app.until("POST", "/gradio_api/call/chat")
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        told.set()
        assert await app.until("POST", "/gradio_api/cancel") == CANCELLED


async def test_what_is_being_cancelled_does_not_keep_a_driver_open() -> None:
    never = asyncio.Event()

    async def joined(_: web.Request) -> web.StreamResponse:
        await never.wait()
        raise AssertionError

    async with scripted(joined=joined) as app:
        async with asyncio.timeout(2), driving() as driver:
            asking = asyncio.create_task(driver.answer(HI, target(CHAT, app.url)))
            await app.until("POST", "/gradio_api/call/chat")
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
        never.set()


async def test_a_redirect_of_a_file_is_not_followed() -> None:
    async def moved(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/gradio_api/file=/b")

    files = {"/a": moved, "/b": picture()}
    async with scripted(events=[completed(file("/a"))], files=files) as app:
        told = await failure(app, images())
    assert "redirect, which is not followed" in told.message
    assert not [path for _, path, _ in app.seen if path.endswith("/b")]


async def test_a_file_that_is_too_large_is_not_taken() -> None:
    async with scripted(events=[completed(file("/a"))], files={"/a": b"\0" * (LIMIT + 1)}) as app:
        told = await failure(app, images())
    assert (told.cause, told.message) == ("broken_answer", f"answered with more than {LIMIT} bytes")


async def test_files_that_are_too_large_together_are_not_taken() -> None:
    large = picture() + b"\0" * (LIMIT // 2)
    gallery = [{"image": file("/a")}, {"image": file("/a")}]
    async with scripted(events=[completed(gallery)], files={"/a": large}) as app:
        told = await failure(app, images(n=2))
    assert told.message == f"gave images of more than {LIMIT} bytes"


async def test_a_file_that_is_no_image_is_not_taken_whatever_its_type() -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>", content_type="image/png")

    async with scripted(events=[completed(file("/a"))], files={"/a": page}) as app:
        assert (await failure(app, images())).cause == "broken_answer"


async def test_a_file_that_never_comes_is_left() -> None:
    never = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        await never.wait()
        raise AssertionError

    async with scripted(events=[completed(file("/a"))], files={"/a": slow}) as app:
        told = await failure(app, images(), limits=QUICK)
        never.set()
    assert told.cause == "timed_out"


async def test_a_gallery_is_one_job_and_further_images_are_further_ones() -> None:
    gallery = [{"image": file("/a")}, {"image": file("/a")}]
    async with scripted(events=[completed(gallery)], files={"/a": picture()}) as app:
        made = await answered(app, images(n=3, seed=1))
    assert len(made.data) == 3
    assert [body["data"][1] for body in app.bodies("/gradio_api/call/infer")] == [1, 2]


async def test_nobody_there_is_a_refused_connection() -> None:
    async with driving() as driver:
        with pytest.raises(AttemptFailed) as raised:
            await driver.answer(HI, target(CHAT, "http://127.0.0.1:1"))
    assert raised.value.cause == "connect_failed"


async def test_the_models_are_those_of_the_row() -> None:
    async with driving() as driver:
        made = target(models=("a",), image_models=("b",))
        assert [one.name for one in await driver.models(made)] == ["a", "b"]
