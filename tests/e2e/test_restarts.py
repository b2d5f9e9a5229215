"""Processes end, by force and in order, while callers call: who notices, and what they see."""

import asyncio
import os
import pty
import signal
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import psutil
import pytest
import requests
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.providers_pb2 import WatchProvidersRequest
from interference.v1.providers_pb2_grpc import ProvidersStub
from tests.calls import TIMEOUT, body, over_grpc, rest
from tests.load import ENVOY, WORKER, calling, chat, processes
from tests.programs import alive, environment, running, wait_until
from tests.service import COMMAND, Service, row, serving
from tests.upstream import Upstream

SCRIPTS = ("ok", "slow", "silent", "half")
SERVE = ("serve", "--port", "0", "--grpc-port", "0", "--workers", "1")


def _own(folder: Path, upstream: Upstream, **settings: Any) -> AbstractContextManager[Service]:
    rows = [row(name, f"{upstream.url}/{name}/v1", breaker={"enabled": False}) for name in SCRIPTS]
    return serving(folder, rows, **{"log_calls": False, **settings})


async def _until(holds: Callable[[], bool], service: Service, seconds: float = TIMEOUT) -> None:
    await asyncio.to_thread(wait_until, holds, lambda: service.program.said, seconds)


async def _restart(service: Service, times: int = 1) -> None:
    service.program.process.send_signal(signal.SIGHUP)
    await _until(lambda: service.program.said.count("Restarted in") == times, service)


# --- In order: nobody notices --------------------------------------------------------------------------


async def test_sighup_replaces_the_only_worker_and_no_call_fails(
    upstream: Upstream, tmp_path: Path
) -> None:
    with _own(tmp_path, upstream, workers=1, grace=25) as service:
        [worker], [envoy] = processes(service, WORKER), processes(service, ENVOY)
        async with (
            calling(service, mesh=False) as load,
            grpc.aio.insecure_channel(service.worker) as channel,
        ):
            watching = [
                asyncio.create_task(_watch(ProvidersStub(channel).WatchProviders(WatchProvidersRequest()))),
                asyncio.create_task(
                    _watch(health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()))
                ),
            ]
            await _restart(service)
            # Whoever watches does not keep it for the grace time.
            await _until(lambda: not psutil.pid_exists(worker), service, seconds=12)
            await load.passes(2)
            await asyncio.gather(*watching)
        assert load.failures == {}
        assert psutil.pid_exists(envoy)  # for the grace time, in which its callers may come back
        assert len(processes(service, WORKER) - {worker}) == 1
        assert len(processes(service, ENVOY) - {envoy}) == 1


async def _watch(stream: AsyncIterable[Any]) -> None:
    try:
        async for _ in stream:
            pass
    except grpc.aio.AioRpcError as error:
        assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)  # noqa: PT017


async def test_sighup_replaces_all_until_nothing_is_left_of_them_and_no_call_fails(
    upstream: Upstream, tmp_path: Path
) -> None:
    with _own(tmp_path, upstream, workers=2, grace=1) as service:
        before = processes(service, WORKER) | processes(service, ENVOY)
        async with calling(service, mesh=False) as load:
            await _restart(service)
            await _until(lambda: not any(map(psutil.pid_exists, before)), service)
            await load.passes()
        assert load.failures == {}
        assert len(processes(service, WORKER)) == 2
        assert len(processes(service, ENVOY)) == 1


async def test_sighup_leads_callers_of_a_worker_itself_to_the_next_at_its_port(
    upstream: Upstream, tmp_path: Path
) -> None:
    with _own(tmp_path, upstream, workers=1, grace=1) as service:
        before = processes(service, WORKER)
        async with calling(service, callers := 2) as load:
            await _restart(service)
            await _until(lambda: not any(map(psutil.pid_exists, before)), service)
            await load.passes(3)
        for (way, outcome), count in load.failures.items():
            # gRPC has no way to end a connection on which calls arrive at that very moment.
            assert (way.split("-")[0], outcome.split()[0]) in {
                ("mesh", "UNAVAILABLE"),
                ("mesh", "CANCELLED"),
            }, load.outcomes
            assert count <= callers


# --- By force: only what was running fails, and says so ------------------------------------------------


async def test_when_a_worker_is_killed_only_its_running_calls_fail(
    upstream: Upstream, tmp_path: Path
) -> None:
    callers = 3
    legal = {
        "rest": {"503 worker_lost"},
        "rest-stream": {"503 worker_lost", "ClientPayloadError after content"},
        "grpc": {"UNAVAILABLE"},
        "grpc-stream": {"UNAVAILABLE", "INTERNAL after content"},  # Envoy resets what has begun
    }
    with _own(tmp_path, upstream, workers=2, grace=2) as service:
        victim, other = sorted(processes(service, WORKER))
        async with calling(service, callers, mesh=False) as load:
            os.kill(victim, signal.SIGKILL)
            await load.passes(3)
            await _until(lambda: len(processes(service, WORKER) - {victim, other}) == 1, service)
            await load.passes(3)
        for (way, outcome), count in load.failures.items():
            assert outcome in legal[way], load.outcomes
            assert count <= callers  # each had one call running


async def test_the_calls_of_a_killed_worker_end_at_once_with_an_error(
    upstream: Upstream, tmp_path: Path
) -> None:
    with _own(tmp_path, upstream, workers=1) as service:
        [worker] = processes(service, WORKER)
        open_before, begun = upstream.open, list[object]()
        calls = [
            asyncio.create_task(asyncio.to_thread(ask, service, begun.append))
            for ask in (_rest_unary, _rest_stream, _grpc_unary, _grpc_stream, _mesh_stream)
        ]
        await _until(lambda: upstream.open == open_before + len(calls) and len(begun) == 3, service)
        os.kill(worker, signal.SIGKILL)
        assert await asyncio.gather(*calls) == [
            "503 worker_lost",
            "the connection broke",
            "UNAVAILABLE",
            "INTERNAL",  # Envoy can only reset a stream that has begun, and that is what a reset is called
            "UNAVAILABLE",
        ]


def _rest_unary(service: Service, _: Callable[[object], None]) -> str:
    outcome = rest(service, body("silent"))
    return f"{outcome.code} {outcome.error['error']['code']}"


def _rest_stream(service: Service, hear: Callable[[object], None]) -> str:
    url = f"{service.base_url}/chat/completions"
    with requests.post(url, json=body("half", stream=True), stream=True, timeout=TIMEOUT) as answer:
        try:
            for piece in answer.iter_content(None):
                hear(piece)
        except requests.exceptions.ChunkedEncodingError:
            return "the connection broke"
    return "a clean end"


def _grpc_unary(service: Service, _: Callable[[object], None]) -> str:
    with grpc.insecure_channel(service.envoy) as channel:
        return _code(lambda: ChatStub(channel).CreateCompletion(chat("silent"), timeout=TIMEOUT))


def _grpc_stream(service: Service, hear: Callable[[object], None]) -> str:
    return _streamed(service.envoy, hear)


def _mesh_stream(service: Service, hear: Callable[[object], None]) -> str:
    return _streamed(service.worker, hear)


def _streamed(address: str, hear: Callable[[object], None]) -> str:
    with grpc.insecure_channel(address) as channel:
        chunks = ChatStub(channel).StreamCompletion(chat("half"), timeout=TIMEOUT)
        return _code(lambda: list(map(hear, chunks)))


def _code(call: Callable[[], object]) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert isinstance(caught.value, grpc.Call)
    return str(caught.value.code().name)


async def test_a_killed_envoy_is_there_again_and_calls_to_workers_go_on(
    upstream: Upstream, tmp_path: Path
) -> None:
    with _own(tmp_path, upstream, workers=1, grace=1) as service:
        async with calling(service, 1) as load:
            [envoy] = processes(service, ENVOY)
            os.kill(envoy, signal.SIGKILL)
            await load.passes(2)
            failures = load.failures
            assert {way for way, _ in failures}.isdisjoint({"mesh", "mesh-stream"})
            assert "Envoy was ended by SIGKILL; starting it anew" in service.program.said
            await _restart(service)
            await load.passes()
            after = load.failures
        assert [key for key in after if after[key] != failures.get(key) and "mesh" not in key[0]] == []


# --- What is read anew ---------------------------------------------------------------------------------


@pytest.fixture
def changing(upstream: Upstream, tmp_path: Path) -> Iterator[tuple[Service, Path]]:
    """A service whose files change."""
    with _own(tmp_path, upstream, workers=1, grace=2) as service:
        yield service, tmp_path


async def test_settings_catalog_and_kept_ports(changing: tuple[Service, Path], upstream: Upstream) -> None:
    service, folder = changing
    settings = yaml.safe_load((folder / "settings.yaml").read_text())
    workers = processes(service, WORKER)

    (folder / "own.yaml").write_text("providers: [{id: Broken, driver: none}]")
    service.program.process.send_signal(signal.SIGHUP)
    await _until(lambda: "Everything goes on as before" in service.program.said, service)
    assert "own.yaml: row Broken: driver: none is none of" in service.program.said
    assert processes(service, WORKER) == workers
    assert rest(service, body("ok")).code == 200

    rows = [row("Added", f"{upstream.url}/ok/v1")]
    (folder / "own.yaml").write_text(yaml.safe_dump({"providers": rows}))
    changed = {**settings, "port": 1, "grpc_port": 2, "workers": 3, "max_body_bytes": 4096}
    (folder / "settings.yaml").write_text(yaml.safe_dump(changed))
    await _restart(service)
    assert "port, grpc_port, workers: kept as before, until the next start" in service.program.said
    assert rest(service, body("Added")).provider == "Added"
    assert rest(service, body("ok")).code == 404
    assert rest(service, body("Added", user="a" * 5000)).code == 413
    assert over_grpc(service, "Added", stream=True, address=service.worker).code == "OK"


async def test_the_end_comes_in_the_middle_of_a_restart(changing: tuple[Service, Path]) -> None:
    service, _ = changing
    workers = processes(service, WORKER)
    service.program.process.send_signal(signal.SIGHUP)
    await _until(lambda: len(processes(service, WORKER)) > len(workers), service)
    assert service.program.stop() == 0
    assert "Traceback" not in service.program.said


def test_sighup_stays_ignored_where_it_was(tmp_path: Path) -> None:
    command: list[str | Path] = ["nohup", COMMAND, *SERVE]
    with running(command, tmp_path / "log", "Ready", environment()) as program:
        program.process.send_signal(signal.SIGHUP)
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(TIMEOUT) == 0
        assert "estarted" not in program.said


def test_it_ends_with_its_terminal(tmp_path: Path) -> None:
    with _terminal([str(COMMAND), *SERVE], tmp_path) as (pid, terminal):
        told = b""
        while b"Ready" not in told:
            told += os.read(terminal, 4096)
        os.close(terminal)
        wait_until(lambda: not alive(pid), lambda: "it goes on without a terminal", TIMEOUT)


@contextmanager
def _terminal(command: list[str], folder: Path) -> Iterator[tuple[int, int]]:
    """Runs a command on a terminal of its own; gives its process and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(command[0], command, environment())  # noqa: S606 - no shell is wanted
    try:
        yield pid, terminal
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
