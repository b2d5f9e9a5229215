"""`interference verify-provider` at the service itself, at nobody, and at who speaks no gRPC."""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from server.verify.table import CASES
from tests.programs import environment
from tests.service import COMMAND, Service, serving

PATIENCE = 120  # seconds for all cases
KEY = "a-key-of-the-service-0123456789"


def verify(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [COMMAND, "verify-provider", *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks its callers for a key."""
    with serving(tmp_path_factory.mktemp("guarded"), variables={"INTERFERENCE_API_KEY": KEY}) as service:
        yield service


def test_help_says_what_can_be_said() -> None:
    done = verify("--help")
    assert done.returncode == 0
    options = ["--model", "--only", "--tls", "--ca", "--cert", "--key", "--key-env", "--timeout", "--json"]
    assert [option for option in options if option not in done.stdout] == []


@pytest.mark.parametrize("where", ["envoy", "worker"])
def test_the_service_itself_keeps_to_the_contract(service: Service, where: str) -> None:
    done = verify(getattr(service, where), "--model", "echo")
    assert (done.returncode, "FAULT" in done.stdout) == (0, False), done.stdout
    *lines, last = done.stdout.splitlines()
    assert last == f"{len(CASES)} cases: 42 ok, 18 not had, 0 faults."
    assert lines[0].split(None, 2)[:2] == ["ok", "services"]
    assert (
        "not had  images (6 cases)         of its models 'echo' is not listed with the capability images"
        in lines
    )


def test_its_images_do_too(service: Service) -> None:
    done = verify(f"grpc://{service.envoy}", "--model", "canvas", "--only", "images", "--json")
    assert done.returncode == 0, done.stdout
    told = json.loads(done.stdout)
    assert told["models"] == {"images": "canvas"}
    assert {case["state"] for case in told["cases"]} == {"ok"}
    assert {"name", "asked", "came", "wanted", "mend", "seconds"} < told["cases"][0].keys()


def test_a_fault_is_told_with_what_was_asked_and_how_to_mend_it(service: Service) -> None:
    done = verify(service.envoy, "--model", "no-such-model-at-all", "--only", "chat")
    assert done.returncode == 1
    fault = done.stdout[done.stdout.index("FAULT    chat/answer") :].splitlines()
    assert [line.split()[0] for line in fault[1:5]] == ["asked", "came", "wanted", "mend"]
    assert "came     NOT_FOUND: " in fault[2]


def test_the_key_is_taken_from_the_environment_and_never_told(guarded: Service) -> None:
    with_it = verify(guarded.envoy, "--model", "echo", "--key-env", "PLUGIN_KEY", PLUGIN_KEY=KEY)
    assert with_it.returncode == 0, with_it.stdout
    without = verify(guarded.envoy, "--model", "echo")
    assert without.returncode == 1
    assert "UNAUTHENTICATED" in without.stdout
    assert KEY not in f"{with_it}{without}".replace(f"PLUGIN_KEY={KEY}", "")


class _Http(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Says nothing."""


@pytest.fixture
def http_server() -> Iterator[str]:
    """A server that speaks HTTP/1.1, and no gRPC."""
    with HTTPServer(("127.0.0.1", 0), _Http) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_who_speaks_no_grpc_is_told_so_with_code_2(http_server: str) -> None:
    done = verify(http_server, "--model", "m")
    assert (done.returncode, done.stdout) == (2, "")
    words = f"interference: what listens at {http_server} does not speak gRPC without TLS."
    assert done.stderr.endswith(f"{words} Is it the plug-in's port? If it wants TLS, say --tls.\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["127.0.0.1:1"], "cannot connect to 127.0.0.1:1: Connection refused", id="nobody"),
        pytest.param(["unix:/no/such/socket"], "what listens at unix:/no/such/socket", id="no socket"),
        pytest.param(["localhost"], "'localhost' is no address: say HOST:PORT", id="no port"),
        pytest.param(["a.invalid:1"], "cannot connect to a.invalid:1: ", id="no host"),
        pytest.param(["127.0.0.1:1", "--key-env", "NOT_SET"], "--key-env: NOT_SET is not set", id="no key"),
        pytest.param(
            ["127.0.0.1:1", "--cert", "a.pem"], "--cert and --key belong together", id="no key file"
        ),
    ],
)
def test_where_nobody_can_be_asked_it_is_one_line_and_code_2(
    arguments: list[str], told: str, tmp_path: Path
) -> None:
    done = verify(*arguments, TMPDIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"interference: {told}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("seconds", ["0", "601", "nan", "soon"])
def test_a_limit_that_is_none_is_refused(seconds: str) -> None:
    done = verify("127.0.0.1:1", "--timeout", seconds)
    assert done.returncode == 2
    assert "--timeout" in done.stderr
