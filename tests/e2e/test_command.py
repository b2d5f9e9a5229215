"""The command line and the life of the processes behind it."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.calls import TIMEOUT, body, over_grpc, rest
from tests.programs import alive, environment, wait_until
from tests.service import COMMAND, Service, row, serving
from tests.upstream import CONTENT, Upstream


def run(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


# --- Words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], ["serve"], ["providers"], ["check"], ["verify-provider"]])
def test_each_command_has_help(command: list[str], tmp_path: Path) -> None:
    done = run(*command, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert "usage: interference" in done.stdout
    assert "SUPPRESS" not in done.stdout


def test_check_says_whether_the_settings_are_valid(tmp_path: Path) -> None:
    done = run("check", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"The settings are valid: [1-9][0-9]+ providers", done.stdout)


def test_providers_are_a_table_with_what_to_do(tmp_path: Path) -> None:
    own = "{id: Absent, driver: openai, base_url: 'http://127.0.0.1:1/v1', probe: true}"
    (tmp_path / "own.yaml").write_text(f"providers: [{own}]")
    done = run("providers", "--providers", "own.yaml", "--port", "0", folder=tmp_path)
    assert done.stderr.startswith("No server answers at 127.0.0.1:0. Asking the enabled providers")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ID", "ENABLED", "HEALTH", "MODELS"]
    table = {line.split()[0]: line for line in lines[1:]}
    assert re.fullmatch(r"Echo +yes +- +echo", table["Echo"])
    assert "set OPENAI_API_KEY" in table["OpenAI"]
    assert "nothing answers at http://127.0.0.1:1/v1" in table["Absent"]


def test_a_settings_file_in_the_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "interference.yaml").write_text("require: [Groq]")
    done = run("check", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "interference: require: Groq needs a key: set GROQ_API_KEY\n"


def _taken() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@pytest.mark.parametrize(
    ("option", "others"),
    [("--port", ["--grpc-port", "0"]), ("--grpc-port", ["--port", "0", "--workers", "1"])],
)
def test_a_taken_port_is_one_line_and_code_2(option: str, others: list[str], tmp_path: Path) -> None:
    with _taken() as taken:
        port = taken.getsockname()[1]
        done = run("serve", option, str(port), *others, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in done.stderr
    assert option in done.stderr


@pytest.mark.parametrize(
    ("files", "variables", "arguments", "told"),
    [
        pytest.param({"interference.yaml": "port: x"}, {}, [], "interference.yaml: port:", id="type"),
        pytest.param({"interference.yaml": "a: ["}, {}, [], "interference.yaml: while", id="YAML"),
        pytest.param({}, {}, ["--config", "none.yaml"], "cannot read none.yaml", id="no file"),
        pytest.param(
            {"own.yaml": "providers: [{id: A, driver: x}]"},
            {},
            ["--providers", "own.yaml"],
            "own.yaml: row A: driver: x is none of",
            id="a row",
        ),
        pytest.param(
            {}, {"GROQ_API_KEY_FILE": "none"}, [], "GROQ_API_KEY_FILE: cannot read none", id="a key file"
        ),
        pytest.param({}, {}, ["--host", "0.0.0.0"], "set INTERFERENCE_API_KEY", id="no key asked"),
        pytest.param({}, {}, ["--workers", "-1"], "workers", id="workers"),
    ],
)
def test_what_is_wrong_is_one_line_and_code_2(
    files: dict[str, str], variables: dict[str, str], arguments: list[str], told: str, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = run("serve", *arguments, folder=tmp_path, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_of_two_that_start_at_once_on_a_port_one_ends_with_code_2(tmp_path: Path) -> None:
    with _taken() as taken:
        port = taken.getsockname()[1]
    command: list[str | Path] = [COMMAND, "serve", "--port", str(port), "--grpc-port", "0", "--grace", "0"]
    both = [
        subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(2)
    ]
    try:
        wait_until(lambda: any(p.poll() is not None for p in both), lambda: "both go on", TIMEOUT)
        [loser] = [process for process in both if process.poll() is not None]
        said, _ = loser.communicate(timeout=TIMEOUT)
        assert (loser.returncode, b"Ready" in said) == (2, False)
    finally:
        for process in both:
            process.terminate()
        assert 0 in [process.wait(timeout=TIMEOUT) for process in both]
        for process in both:
            if process.stdout is not None:
                process.stdout.close()


def test_an_end_while_starting_is_quiet(tmp_path: Path) -> None:
    command: list[str | Path] = [COMMAND, "serve", "--port", "0", "--grpc-port", "0"]
    variables = environment(TMPDIR=str(tmp_path))
    with subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        wait_until(lambda: any(tmp_path.glob("interference-*")), lambda: "never began")
        process.terminate()
        said, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert b"Ending" in said
    assert b"Envoy" not in said
    assert not list(tmp_path.glob("interference-*"))


# --- Processes -----------------------------------------------------------------------------------------


@pytest.fixture
def own(upstream: Upstream, tmp_path: Path) -> Iterator[Service]:
    """A service that the test may end."""
    rows = [row(name, f"{upstream.url}/{name}/v1") for name in ("ok", "half")]
    with serving(tmp_path, rows, grace=2) as service:
        yield service


@pytest.fixture(scope="module")
def mended(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose processes tests kill, and that has all of them again afterwards."""
    with serving(tmp_path_factory.mktemp("mended"), [row("ok", f"{upstream.url}/ok/v1")]) as service:
        yield service


def _running(service: Service, sign: str) -> list[int]:
    """The processes of the service that have a word in their command."""
    found = []
    for pid in service.program.descendants():
        command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
        if sign in subprocess.run(command, capture_output=True, text=True, check=False).stdout:
            found.append(pid)
    return found


def _workers(service: Service) -> list[int]:
    return _running(service, "server.worker")


def test_a_crashed_worker_is_started_anew_on_its_port(mended: Service) -> None:
    [first, second] = _workers(mended)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(set(_workers(mended)) - {first, second}) == 1, lambda: mended.program.said)

    def served(port: int) -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT, wait_for_ready=True)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    assert all(served(port) for port in mended.worker_ports)
    assert "was ended by SIGKILL; starting it anew" in mended.program.said
    assert rest(mended, body("ok")).code == 200


def test_while_a_worker_is_down_the_others_answer(mended: Service) -> None:
    *_, victim = sorted(_workers(mended))  # the youngest: Envoy may not have noticed yet that it is there
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not alive(victim), lambda: "it lives on")
    assert [rest(mended, body("ok")).code for _ in range(20)] == [200] * 20


def test_envoy_is_started_anew_too(mended: Service) -> None:
    [envoy] = _running(mended, "--config-path")
    os.kill(envoy, signal.SIGKILL)
    wait_until(lambda: _answers(mended), lambda: mended.program.said)
    assert "Envoy was ended by SIGKILL; starting it anew" in mended.program.said


def _answers(service: Service) -> bool:
    try:
        return rest(service, body("ok")).code == 200
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_is_in_order_and_leaves_nothing_behind(own: Service, number: signal.Signals) -> None:
    started = own.program.descendants()
    assert len(started) >= 4  # two workers, Envoy, and who watches over it
    assert own.program.stop(number) == 0
    assert not any(map(alive, started))


def test_running_streams_finish_within_the_grace_time(own: Service, upstream: Upstream) -> None:
    url = f"{own.base_url}/chat/completions"
    echo = body("Echo", model="echo", stream=True)
    with requests.post(url, json=body("half", stream=True), stream=True, timeout=TIMEOUT) as answer:
        lines = answer.iter_lines()
        assert CONTENT[0].encode() in next(lines)
        own.program.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Ending" in own.program.said, lambda: own.program.said)
        wait_until(lambda: _refused(url, echo), lambda: "new calls are still taken")
        assert upstream.open >= 1
        assert own.program.process.poll() is None
        rest_of_it = list(lines)
    assert own.program.process.wait(timeout=TIMEOUT) == 0
    # It never finished; the grace time ended it, and says so.
    *_, last = [line for line in rest_of_it if line]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "stopping"


def _refused(url: str, request: Any) -> bool:
    try:
        return requests.post(url, json=request, timeout=TIMEOUT).status_code == 503
    except requests.ConnectionError:
        return True


def test_health_says_not_serving_before_the_end(own: Service) -> None:
    with grpc.insecure_channel(own.worker) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        own.program.process.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert over_grpc(own, "ok", stream=True, address=own.worker).code == "OK"  # in the notice time
    assert own.program.process.wait(timeout=TIMEOUT) == 0


def test_nothing_is_left_when_the_command_itself_is_killed(own: Service) -> None:
    started = own.program.descendants()
    own.program.process.kill()
    wait_until(lambda: not any(map(alive, started)), lambda: "processes were left behind")


# --- Keys ----------------------------------------------------------------------------------------------


def test_where_a_key_is_asked_callers_must_show_it(upstream: Upstream, tmp_path: Path) -> None:
    key = "the-services-own-key"
    rows = [row("ok", f"{upstream.url}/ok/v1")]
    with serving(tmp_path, rows, {"INTERFERENCE_API_KEY": f"{key} another"}) as service:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {key}"}):
            for stream in (False, True):
                outcome = rest(service, body("ok", stream=stream), headers=headers)
                assert (outcome.code, outcome.error["error"]["type"]) == (401, "authentication_error")
                assert key not in str(outcome.error)
        for headers in (
            {"authorization": f"Bearer {key}"},
            {"authorization": "bearer another"},
            {"g4f-api-key": key},
            {"x-api-key": key},
        ):
            assert rest(service, body("ok"), headers=headers).code == 200
            assert key not in str(upstream.last())
        assert over_grpc(service, "ok", stream=False).code == "UNAUTHENTICATED"
        assert key not in service.program.said
