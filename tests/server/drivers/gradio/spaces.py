"""What the tests of Gradio's dialect share: rows, requests, events, and a scripted app."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from PIL import Image

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from server.drivers.base import Target
from server.drivers.gradio.options import GradioOptions, Space
from server.rows import Limits, Row

KEY = "hf_secret0123456789"
FLUX: dict[str, Any] = {
    "endpoint": "infer",
    "inputs": ["prompt", {"field": "seed", "value": 0}, {"absent": "seed"}],
    "extra": {"seed": 1},
}
CHAT: dict[str, Any] = {"endpoint": "chat", "inputs": ["message"]}
LIMITS = Limits(connect=1, first_content=5, idle=5, total=10)
JOB = "job0123456789"


def space(said: dict[str, Any]) -> Space:
    return msgspec.convert(said, Space)


def target(
    said: dict[str, Any] | None = None, address: str = "", limits: Limits = LIMITS, **row: Any
) -> Target:
    options = {"models": {"m": {**(said or FLUX), "address": address or "https://up"}}}
    msgspec.convert(options, GradioOptions)
    return Target(Row(id="Up", driver="gradio", options=options, **row), "m", KEY, limits)


def images(**fields: Any) -> GenerateImagesRequest:
    return GenerateImagesRequest(**{"model": "m", "prompt": "a cat"} | fields)


def chat(*turns: tuple[str, str], **fields: Any) -> CreateCompletionRequest:
    messages: Any = [{"role": role, "content": [{"text": text}]} for role, text in turns]
    return CreateCompletionRequest(model="m", messages=messages, **fields)


def event(msg: str, **members: Any) -> bytes:
    return json.dumps({"msg": msg, "event_id": JOB, **members}).encode()


def completed(*values: Any) -> bytes:
    return event("process_completed", success=True, output={"data": list(values)})


def growing(*values: Any) -> bytes:
    return event("process_generating", success=True, output={"data": list(values)})


def failed(error: Any, title: Any = "Error") -> bytes:
    return event("process_completed", success=False, output={"error": error, "title": title})


def queued(position: int, size: int = 9, eta: float = 1.5) -> bytes:
    return event("estimation", rank=position, queue_size=size, rank_eta=eta)


def picture(kind: str = "PNG", side: int = 8) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(out, kind)
    return out.getvalue()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class App:
    """A scripted Gradio app: the events of each job, files by their paths, and what it was asked."""

    url: str = ""
    prefix: str = "/gradio_api"
    joined: Handler | None = None
    events: list[bytes] = field(default_factory=list)
    stays: bool = False  # whether the stream stays open after its events
    pause: float = 0  # seconds before each event
    files: dict[str, Handler | bytes] = field(default_factory=dict)
    config: Any = None
    seen: list[tuple[str, str, Any]] = field(default_factory=list)  # method, path with query, body
    keys: set[str | None] = field(default_factory=set)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)  # nobody asks any more

    async def until(self, method: str, path: str) -> Any:
        """Waits for a request; its body."""
        async with asyncio.timeout(5):
            while True:
                for seen in self.seen:
                    if seen[:2] == (method, path):
                        return seen[2]
                self.news.clear()
                await self.news.wait()

    def bodies(self, path: str) -> list[Any]:
        """The bodies that came to a path."""
        return [body for _, known, body in self.seen if known == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.keys.add(request.headers.get("authorization"))
        body = await request.read()
        path = str(request.rel_url)
        self.seen.append((request.method, path, json.loads(body) if body else None))
        self.news.set()
        if path == "/config":
            return web.json_response(self.config)
        if path.startswith("/gradio_api/") is not bool(self.prefix):
            return web.json_response({"detail": "Not Found"}, status=404)
        path = path.removeprefix(self.prefix)
        if path.startswith("/call/"):
            return await self.joined(request) if self.joined else web.json_response({"event_id": JOB})
        if path == f"/queue/data?session_hash={JOB}":
            return await self._tell(request)
        if path.startswith("/file="):
            given = self.files[path.removeprefix("/file=")]
            return web.Response(body=given) if isinstance(given, bytes) else await given(request)
        return web.json_response({"success": True})

    async def _tell(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        for one in self.events:
            await asyncio.sleep(self.pause)
            await answer.write(b"data: " + one + b"\n\n")
        if self.stays:
            await self.over.wait()
        return answer


@asynccontextmanager
async def scripted(**script: Any) -> AsyncIterator[App]:
    """Runs a scripted app on a free port."""
    app = App(**script)
    server = web.Application()
    server.router.add_route("*", "/{path:.*}", app.handle)
    runner = web.AppRunner(server, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    app.url = f"http://{host}:{port}"
    try:
        yield app
    finally:
        app.over.set()
        await runner.cleanup()
