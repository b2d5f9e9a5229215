"""`interference serve`: starts the workers and Envoy, keeps them running, and ends them in order."""

import asyncio
import contextlib
import logging
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp

import interference_edge
from interference.v1 import chat_pb2
from server import __version__, processes
from server.config import Secrets, Settings
from server.errors import SettingsError
from server.processes import Child, Envoy, Worker
from server.rows import Row
from server.worker import Order

_log = logging.getLogger("interference")
_WORDS = 5.0  # seconds that a worker has beyond the grace time, to notify balancers and callers
_START = 20.0  # seconds until Envoy must have found the workers
_LAST_BYTES = 5.0  # seconds that Envoy gets to send on what the workers have answered
_STEADY = 30.0  # seconds after which a process that was started anew counts as well
_DESCRIPTOR = Path(chat_pb2.__file__).parents[2] / "descriptor.binpb"


class Supervisor:
    """Runs one Envoy and its workers."""

    def __init__(self, settings: Settings, catalog: tuple[Row, ...], secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets
        self._catalog = catalog
        self._home = Path(tempfile.mkdtemp(prefix="interference-"))
        self._admin = self._home / "admin.sock"
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._workers = [
            Worker(index + 1, Order(settings, catalog, settings.grpc_port and settings.grpc_port + index))
            for index in range(settings.worker_count)
        ]
        self._envoy = Envoy(self._home / "envoy.yaml", self._admin)

    async def run(self) -> int:
        """Serves until SIGTERM or Ctrl-C; a second one does not wait for running calls."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled)
        keepers: list[asyncio.Task[None]] = []
        try:
            if await self._started():
                keepers = [asyncio.create_task(self._keep(child)) for child in self._children]
                await self._stop.wait()
        finally:
            for keeper in keepers:
                keeper.cancel()
            await self._end()
            shutil.rmtree(self._home, ignore_errors=True)
        return 0

    @property
    def _children(self) -> list[Child]:
        return [*self._workers, self._envoy]

    def _signalled(self) -> None:
        (self._hurry if self._stop.is_set() else self._stop).set()

    async def _started(self) -> bool:
        """Starts everything; False where it was told to stop before all was there."""
        starting = asyncio.create_task(self._start())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return False
        await starting
        return True

    async def _start(self) -> None:
        began = time.monotonic()
        settings = self._settings
        processes.check_free(settings.host, settings.port, "--port")
        for worker in self._workers:
            processes.check_free(settings.host, worker.port, "--grpc-port")
        await asyncio.gather(*(worker.start() for worker in self._workers))
        self._configure(settings.port)
        await self._envoy.start()
        port = await self._port()
        if not settings.port:
            self._configure(port)  # for when Envoy is started anew
        enabled = await self._until_healthy(port)
        self._announce(port, enabled, time.monotonic() - began)

    def _configure(self, port: int) -> None:
        settings = self._settings
        edge = interference_edge.EdgeSettings(
            host=settings.host,
            port=port,
            workers=tuple((_reachable(settings.host), worker.port) for worker in self._workers),
            max_body_bytes=settings.max_body_bytes,
            max_answer_bytes=2 * settings.max_answer_bytes,
            cors_origins=settings.cors_origins,
            admin_socket=str(self._admin),
            descriptor=str(_DESCRIPTOR),
            openapi=str(_DESCRIPTOR.with_name("openapi.json")),
        )
        text = interference_edge.render(edge, _DESCRIPTOR.read_bytes())
        (self._home / "envoy.yaml").write_text(text, encoding="utf-8")

    async def _admin_call(self, method: str, path: str) -> Any:
        """Asks Envoy's admin interface; JSON where it answers with JSON."""
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._admin))) as session,
            session.request(method, f"http://envoy{path}") as answer,
        ):
            text = await answer.text()
            return await answer.json() if "json" in answer.content_type else text

    async def _port(self) -> int:
        """The port that our Envoy listens on, by its own word: another's could answer on it, too."""
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline:
            self._envoy.check()
            with contextlib.suppress(aiohttp.ClientError, OSError, KeyError):
                if "LIVE" in await self._admin_call("GET", "/ready"):
                    listeners = await self._admin_call("GET", "/listeners?format=json")
                    for status in listeners["listener_statuses"]:
                        return int(status["local_address"]["socket_address"]["port_value"])
            await asyncio.sleep(0.02)
        raise SettingsError(f"Envoy did not listen within {_START:g} s")

    async def _until_healthy(self, port: int) -> list[str]:
        """Waits until a call through Envoy is answered; gives the ids of the enabled providers."""
        key = next(iter(self._secrets.own), "")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        url = f"http://{_bracketed(_reachable(self._settings.host))}:{port}/v1/providers"
        deadline = time.monotonic() + _START
        async with aiohttp.ClientSession(headers=headers) as session:
            while time.monotonic() < deadline:
                self._envoy.check()
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            return [provider["id"] for provider in await answer.json()]
                await asyncio.sleep(0.02)
        raise SettingsError(f"Envoy found no healthy worker within {_START:g} s")

    def _announce(self, port: int, enabled: Iterable[str], took: float) -> None:
        host = _bracketed("localhost" if self._settings.host == "127.0.0.1" else self._settings.host)
        workers = ", ".join(str(worker.port) for worker in self._workers)
        names = list(enabled)
        others = len(self._catalog) - len(names)
        _say(f"Interference {__version__}")
        _say(f"  REST       http://{host}:{port}/v1")
        _say(f"  gRPC       {host}:{port}  (the workers themselves: {workers})")
        _say(f"  Providers  {', '.join(names)}  ({others} more in `interference providers`)")
        _say(f"Ready in {took:.1f} s. Ctrl-C ends it.")

    async def _keep(self, child: Child) -> None:
        """Starts a process anew whenever it ends, at once at first and less often when it keeps ending."""
        pause = 0.0
        while True:
            began = time.monotonic()
            if child.process is not None:
                code = await child.process.wait()
                _log.warning("%s %s; starting it anew", child.name, processes.describe_end(code))
            pause = 0.0 if time.monotonic() - began > _STEADY else min(2 * pause + 0.1, 5.0)
            await asyncio.sleep(pause)
            try:
                await child.start()
            except SettingsError as error:
                _log.error("%s", error)
                await processes.end(child.process)

    async def _end(self) -> None:
        """Takes no new calls, waits for the running ones within the grace time, then ends everything."""
        grace = self._settings.grace
        if self._stop.is_set():
            _say(f"Ending; running calls have {grace:g} s (Ctrl-C again: none).")
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await self._admin_call("POST", "/drain_listeners")
        ending = asyncio.gather(
            *(processes.end(worker.process, grace + _WORDS) for worker in self._workers)
        )
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait((ending, hurry), return_when=asyncio.FIRST_COMPLETED)
        if hurry.done():
            await asyncio.gather(*(processes.end(worker.process, 0) for worker in self._workers))
        else:
            await self._last_bytes()
        hurry.cancel()
        await ending
        await self._envoy.release()
        await processes.end(self._envoy.process)

    async def _last_bytes(self) -> None:
        """Waits until Envoy has sent on what the workers answered."""
        deadline = time.monotonic() + _LAST_BYTES
        with contextlib.suppress(aiohttp.ClientError, OSError):
            while time.monotonic() < deadline and not self._hurry.is_set():
                stats = await self._admin_call("GET", "/stats?filter=downstream_rq_active")
                if all(line.endswith(": 0") for line in stats.splitlines() if "admin" not in line):
                    return
                await asyncio.sleep(0.05)


def _reachable(host: str) -> str:
    """The address on which this machine reaches a listener on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}.get(host, host)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # `interference serve | head -1` is no reason to end
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
