"""`interference serve`: starts the workers and Envoy, keeps them running, replaces them, and ends them."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

import interference_edge
from interference.v1 import chat_pb2
from server import __version__, processes, transport
from server.config import Secrets, Settings, address, check_keys, reachable
from server.control import EDGE, Order, new_name
from server.errors import AttemptFailed, SettingsError
from server.front import Configuration, Envoy
from server.peers import Hub
from server.processes import Child, Worker
from server.routes import Catalog
from server.transport import HttpRequest

_log = logging.getLogger("interference")
_WORDS = 5.0  # seconds that a worker has beyond the grace time, to notify balancers and callers
_START = 20.0  # seconds until Envoy must have found the workers
_ASKED = 2.0  # seconds for an answer while it has perhaps not
_LAST_BYTES = 5.0  # seconds that Envoy gets to send on what the workers have answered
# Envoy's part of a request is half of a worker's. More threads have fewer requests each at a time, and cost
# more for each; without a word of it Envoy starts one for each processor, whatever this process may use.
_WORKERS_A_THREAD = 2
_STEADY = 30.0  # seconds after which a process that was started anew counts as well
_DESCRIPTOR = Path(chat_pb2.__file__).parents[2] / "descriptor.binpb"
_KEPT = ("host", "port", "grpc_port", "workers")  # callers and systems around it rely on these

Load = Callable[[], tuple[Settings, Catalog, Secrets]]


class Supervisor:
    """Runs one Envoy and its workers; made and run on one event loop.

    `load` reads everything that can be set, and may be called again.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._settings, self._catalog, self._secrets = load()
        check_keys(self._settings, self._catalog.providers, self._secrets)
        self._port = self._settings.port
        self._name = new_name()
        self._terminal = _has_terminal()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._hangup = asyncio.Event()
        self._heed_signals()  # before there is anything to be left behind
        self._home = Path(tempfile.mkdtemp(prefix="interference-"))
        first, hub = self._settings.grpc_port, Hub()
        self._workers = [
            Worker(index + 1, self._order(first and first + index), self._home, hub)
            for index in range(self._settings.worker_count)
        ]
        self._envoy = Envoy(self._home, threads=-(-self._settings.worker_count // _WORKERS_A_THREAD))
        self._keepers: dict[Child, asyncio.Task[None]] = {}

    async def run(self) -> int:
        """Serves until SIGTERM or Ctrl-C; a second one does not wait for running calls.

        SIGHUP replaces everything without a failed call, unless it was ignored at the start (`nohup`).
        """
        reloading: asyncio.Task[None] | None = None
        try:
            if await self._started():
                for worker in self._workers:
                    self._watch(worker)
                self._watch(self._envoy)
                reloading = asyncio.create_task(self._reload())
                await self._stop.wait()
        finally:
            tasks = [*self._keepers.values(), *([reloading] if reloading else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._end()
            shutil.rmtree(self._home, ignore_errors=True)
        return 0

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._hung_up)

    def _signalled(self) -> None:
        (self._hurry if self._stop.is_set() else self._stop).set()

    def _hung_up(self) -> None:
        """Told to start anew; or the terminal is gone, and nobody is there to end what it started."""
        if self._terminal and not _has_terminal():
            self._signalled()
        else:
            self._hangup.set()

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
        self._envoy.configuration = self._configuration(settings, settings.port)
        await self._envoy.start()
        self._port = await self._envoy.port()
        self._envoy.configuration = self._configuration(settings, self._port)  # for when it starts anew
        enabled = await self._until_healthy()
        self._announce(enabled, time.monotonic() - began)

    def _order(self, port: int) -> Order:
        return Order(self._settings, self._catalog, port, server=self._name)

    def _configuration(self, settings: Settings, port: int) -> Configuration:
        """What Envoy is started with."""
        descriptor = _DESCRIPTOR.read_bytes()
        sockets = tuple(path for worker in self._workers for path in worker.sockets)

        def document(admin: str) -> str:
            edge = interference_edge.EdgeSettings(
                host=settings.host,
                port=port,
                workers=sockets,
                health_service=EDGE,
                max_body_bytes=settings.max_body_bytes,
                max_answer_bytes=2 * settings.max_answer_bytes,
                cors_origins=settings.cors_origins,
                admin_socket=admin,
                descriptor=str(_DESCRIPTOR.with_name("transcoder.binpb")),
                openapi=str(_DESCRIPTOR.with_name("openapi.json")),
            )
            return interference_edge.render(edge, descriptor)

        return document

    async def _until_healthy(self) -> list[str]:
        """Waits until a call through Envoy is answered; gives the ids of the enabled providers."""
        key = next(iter(self._secrets.own), "")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        url = f"http://{address(reachable(self._settings.host), self._port)}/v1/providers"
        asked, deadline = HttpRequest("GET", url, headers), time.monotonic() + _START
        while time.monotonic() < deadline:
            self._envoy.check()
            with contextlib.suppress(AttemptFailed, TimeoutError):
                told = await transport.ask(asked, _ASKED)
                if told.status == 200:
                    return [provider["id"] for provider in msgspec.json.decode(told.body)]
            await asyncio.sleep(0.02)
        raise SettingsError(f"Envoy found no healthy worker within {_START:g} s")

    def _announce(self, enabled: Iterable[str], took: float) -> None:
        host = "localhost" if self._settings.host == "127.0.0.1" else self._settings.host
        at = address(host, self._port)
        workers = ", ".join(str(worker.port) for worker in self._workers)
        names = list(enabled)
        others = len(self._catalog.providers) - len(names)
        _say(f"Interference {__version__}")
        _say(f"  REST       http://{at}/v1")
        _say(f"  gRPC       {at}  (the workers themselves: {workers})")
        _say(f"  Providers  {', '.join(names)}  ({others} more in `interference providers`)")
        _say(f"Ready in {took:.1f} s. Ctrl-C ends it.")

    def _watch(self, child: Child) -> None:
        """Starts anew what ends by itself, from now on the process that a child has now."""
        if (before := self._keepers.get(child)) is not None:
            before.cancel()
        self._keepers[child] = asyncio.create_task(self._keep(child))

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
            except (SettingsError, OSError) as error:
                _log.error("%s", error)

    async def _reload(self) -> None:
        """Starts everything anew at each SIGHUP, one after the other."""
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            began = time.monotonic()
            try:
                await self._read()
            except (SettingsError, OSError) as error:
                _log.error("Not restarted: %s. Everything goes on as before.", error)
                continue
            try:
                await self._replace()
            except (SettingsError, OSError) as error:
                _log.error("Restarted in part: %s. What is not goes on as before.", error)
                continue
            _log.info("Restarted in %.1f s; what ran before ends with its calls", time.monotonic() - began)

    async def _read(self) -> None:
        """Reads everything that can be set once more. Raises `SettingsError`, and nothing has changed."""
        settings, catalog, secrets = self._load()
        changed = [name for name in _KEPT if getattr(settings, name) != getattr(self._settings, name)]
        kept = {name: getattr(self._settings, name) for name in _KEPT}
        settings = msgspec.structs.replace(settings, **kept)
        check_keys(settings, catalog.providers, secrets)
        configuration = self._configuration(settings, self._port)
        await self._envoy.validate(configuration)
        if changed:
            _log.warning("%s: kept as before, until the next start", ", ".join(changed))
        self._settings, self._catalog, self._secrets = settings, catalog, secrets
        self._envoy.configuration = configuration

    async def _replace(self) -> None:
        """Replaces one worker after the other, and then Envoy, without a failed call."""
        for worker in self._workers:
            await worker.replace(self._order(worker.port), self._envoy.found)
            self._watch(worker)
        if not self._envoy.hot:
            _log.warning("On this system Envoy goes on as before, until the next start")
            return
        # A worker that leaves tells its last calls why they end; they are to hear it.
        await self._envoy.replace(self._settings.grace + _WORDS)
        self._watch(self._envoy)

    async def _end(self) -> None:
        """Takes no new calls, waits for the running ones within the grace time, then ends everything."""
        grace = self._settings.grace
        if self._stop.is_set():
            _say(f"Ending; running calls have {grace:g} s (Ctrl-C again: none).")
        with contextlib.suppress(AttemptFailed, TimeoutError):
            await self._envoy.ask("POST", "/drain_listeners")
        ending = asyncio.gather(*(worker.end(grace + _WORDS) for worker in self._workers))
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait((ending, hurry), return_when=asyncio.FIRST_COMPLETED)
        if hurry.done():
            await asyncio.gather(*(worker.end(0) for worker in self._workers))
        else:
            await self._last_bytes()
        hurry.cancel()
        await ending
        await self._envoy.end()

    async def _last_bytes(self) -> None:
        """Waits until Envoy has sent on what the workers answered."""
        deadline = time.monotonic() + _LAST_BYTES
        with contextlib.suppress(AttemptFailed, TimeoutError):
            while time.monotonic() < deadline and not self._hurry.is_set():
                stats = await self._envoy.ask("GET", "/stats?filter=downstream_rq_active")
                if all(line.endswith(": 0") for line in stats.splitlines() if "admin" not in line):
                    return
                await asyncio.sleep(0.05)


def _has_terminal() -> bool:
    """Whether this process can be reached from a terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # `interference serve | head -1` is no reason to end
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
