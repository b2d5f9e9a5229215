"""The processes of workers: how one is started, how another takes its place, how any process is ended."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from server.control import MAX_LINE, Order, Ready, line
from server.errors import SettingsError
from server.peers import Hub, Member

_START = 30.0  # seconds in which a process must be ready
_WORDS = 5.0  # seconds that a worker has beyond that time and the grace time, for its last words
_KILL = 5.0  # seconds after which one that was asked to end is killed
# How gRPC runs in a worker, where the environment does not say otherwise. Its event engine reads a server's
# connections on a pool of threads, which costs a call some 40 us more than the thread that waits for calls
# anyway. https://github.com/grpc/grpc/blob/master/doc/environment_variables.md
_GRPC = {"GRPC_VERBOSITY": "ERROR", "GRPC_EXPERIMENTS": "-event_engine_listener"}


class Child(Protocol):
    """A process that is started anew when it ends by itself."""

    name: str

    @property
    def process(self) -> Process | None:
        """The process that serves now; another one once its place was taken."""
        ...

    async def start(self) -> None:
        """Starts the process where it does not run; returns when it is ready.

        Raises `SettingsError` where it cannot be.
        """
        ...


class Running(Protocol):
    """A process that runs."""

    @property
    def process(self) -> Process:
        """The process."""
        ...


R = TypeVar("R", bound=Running)


class Succession(Generic[R]):
    """What runs of something: the process that serves now, and the one whose place it has taken, until that
    has ended. Who changes it holds `changing`.
    """

    def __init__(self) -> None:
        self.changing = asyncio.Lock()
        self.now: R | None = None
        self._left: R | None = None
        self._leaving: asyncio.Task[None] | None = None

    @property
    def process(self) -> Process | None:
        """The process that serves now."""
        return self.now.process if self.now is not None else None

    async def left(self) -> None:
        """Waits until the one whose place was taken has ended."""
        if self._leaving is not None:
            await self._leaving

    def succeed(self, now: R, see_off: Callable[[R], Coroutine[Any, Any, None]]) -> None:
        """Takes the place of the one that serves, if one does, which `see_off` sees to its end."""
        before, self.now = self.now, now
        if before is not None:
            self._left = before
            self._leaving = asyncio.create_task(see_off(before))

    async def ending(self) -> list[R]:
        """Sees nobody off any more. All that runs, the later first, to be ended."""
        if self._leaving is not None:
            self._leaving.cancel()
            await asyncio.gather(self._leaving, return_exceptions=True)
        return [one for one in (self.now, self._left) if one is not None]


@dataclass(frozen=True, eq=False)
class _Running:
    """A process of a worker, and the line to it."""

    process: Process
    order: Order
    member: Member
    control: asyncio.StreamWriter
    hearing: asyncio.Task[None]

    async def end(self, patience: float) -> None:
        """Asks it to end, and sees to it that it does."""
        await end(self.process, patience)
        self.control.close()
        await self.hearing


class Worker:
    """A worker. It keeps its port over restarts. Envoy finds it at one of two sockets: a process that takes
    the place of another listens at the one that the other does not.
    """

    def __init__(self, index: int, order: Order, home: Path, hub: Hub) -> None:
        self.name = f"worker {index}"
        self.sockets = tuple(str(home / f"{index}{side}.sock") for side in "ab")
        self._order = msgspec.structs.replace(order, socket=self.sockets[0])
        self._hub = hub
        self._runs = Succession[_Running]()

    @property
    def process(self) -> Process | None:
        """The process that takes new calls."""
        return self._runs.process

    @property
    def port(self) -> int:
        """The port served, once `start` has returned."""
        return self._order.port

    async def start(self) -> None:
        """Starts it where it does not run, and waits until it serves."""
        async with self._runs.changing:
            if self.process is not None and self.process.returncode is None:
                return
            if self._runs.now is not None:
                await self._runs.now.end(0)
            self._runs.now = now = await self._spawn(self._order)
            self._order = now.order

    async def replace(self, order: Order, found: Callable[[str], Awaitable[None]]) -> None:
        """Has another process take the place of the one there, which ends when its calls have.

        `found` waits until Envoy sends calls to a socket. Raises `SettingsError`, and what is there stays.
        """
        await self._runs.left()
        [socket_path] = {*self.sockets} - {self._order.socket}
        order = msgspec.structs.replace(order, port=self.port, socket=socket_path, joins=True)
        async with self._runs.changing:
            now = await self._spawn(order)
            try:
                await found(socket_path)
            except BaseException:
                await now.end(0)
                raise
            self._order = order
            self._runs.succeed(now, self._see_off)

    async def end(self, patience: float) -> None:
        """Ends what runs of it."""
        await asyncio.gather(*(one.end(patience) for one in await self._runs.ending()))

    async def _see_off(self, before: _Running) -> None:
        settings = before.order.settings
        before.member.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(settings.grace + _WORDS):
                await before.process.wait()
        await before.end(_KILL)

    async def _spawn(self, order: Order) -> _Running:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "server.worker", str(theirs.fileno())),
                stdin=DEVNULL,
                # grpc prints a line for every connection that ends oddly, unless told otherwise.
                env={**_GRPC, **os.environ},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        reader, control = await asyncio.open_connection(sock=ours, limit=MAX_LINE)
        try:
            port = await self._ready(process, reader, control, order)
        except BaseException:
            await end(process, 0)
            control.close()
            raise
        member = self._hub.join(self.name)
        hearing = asyncio.create_task(self._hub.serve(member, reader, control))
        return _Running(process, msgspec.structs.replace(order, port=port), member, control, hearing)

    async def _ready(
        self, process: Process, reader: asyncio.StreamReader, control: asyncio.StreamWriter, order: Order
    ) -> int:
        """Sends the order, and gives the port that the worker serves."""
        control.write(line(order))
        try:
            async with asyncio.timeout(_START):
                said = await reader.readline()
        except TimeoutError:
            raise SettingsError(f"{self.name} was not ready within {_START:g} s") from None
        if not said:
            # It has a reason, which it prints before it is gone.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_KILL):
                    await process.wait()
            raise SettingsError(f"{self.name} ended at once; its reason stands above")
        ready = msgspec.json.decode(said, type=Ready)
        if ready.error:
            raise SettingsError(f"{self.name}: {ready.error}")
        return ready.port


async def end(process: Process | None, patience: float = _KILL) -> None:
    """Asks a process to end, waits for `patience` seconds, and kills it after that."""
    if process is None or process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(patience):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def describe_end(returncode: int) -> str:
    """How a process ended, in words."""
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with code {returncode}"


def check_free(host: str, port: int, option: str) -> None:
    """Raises `SettingsError` where a port cannot be listened on. Port 0 always can."""
    if not port:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except (OSError, OverflowError) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
            raise SettingsError(
                f"cannot listen on {host} port {port}: {reason}. Choose another with {option}."
            ) from None
