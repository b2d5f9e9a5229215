"""What is known of a provider's health: who is left alone, who sees it, and how it comes back."""

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests

from interference.v1.providers_pb2 import Health, WatchProvidersRequest
from interference.v1.providers_pb2_grpc import ProvidersStub
from tests.calls import TIMEOUT, body, rest
from tests.programs import environment, wait_until
from tests.service import COMMAND, Service
from tests.upstream import Upstream

Play = Callable[..., None]


def details(service: Service, provider: str) -> Any:
    return requests.get(f"{service.base_url}/providers/{provider}", timeout=TIMEOUT).json()


def states(service: Service, provider: str) -> dict[str, str]:
    """The state of each model; under nothing that of the provider."""
    return {one.get("model", ""): one["state"] for one in details(service, provider)["health"]}


@contextmanager
def watched(address: str) -> Iterator[list[Health]]:
    """What a watcher of the health hears, as it comes."""
    heard: list[Health] = []

    def watch() -> None:
        try:
            for told in changes:
                heard.extend(told.health)
        except grpc.RpcError:
            pass

    with grpc.insecure_channel(address) as channel:
        changes = ProvidersStub(channel).WatchProviders(WatchProvidersRequest())
        watching = threading.Thread(target=watch)
        watching.start()
        wait_until(lambda: bool(heard), lambda: "nothing was told")
        try:
            yield heard
        finally:
            changes.cancel()
            watching.join(TIMEOUT)


def _heard(heard: list[Health], provider: str, model: str = "") -> list[str]:
    """The states of a provider's model, or of the provider as a whole, as they came."""
    return [one.state for one in heard if (one.provider, one.model) == (provider, model)]


def test_one_that_fails_is_left_alone_by_all_workers_and_comes_back(
    resilient: Service, upstream: Upstream, play: Play
) -> None:
    play("Breaks", *["500"] * 40)
    with watched(resilient.worker) as heard:
        wait_until(
            lambda: rest(resilient, body("Breaks")).error["error"]["code"] == "circuit_open",
            lambda: "it is still asked",
        )
        wait_until(
            lambda: "open" in _heard(heard, "Breaks", "m-Breaks"),
            lambda: f"not told of: {heard}",
        )
        before = len(upstream.seen)
        outcome = rest(resilient, body("Breaks A"))
        assert outcome.provider == "A"
        assert [seen.body["model"] for seen in upstream.seen[before:]] == ["m-A"]
        told = outcome.chunks[0]["routing"]["attempts"][0]
        assert (told["cause"], "duration_ms" in told) == ("circuit_open", False)
        play("Breaks", "late")  # what asks whether it is back takes long enough to be heard of
        wait_until(lambda: rest(resilient, body("Breaks")).code == 200, lambda: "it never came back")
        wait_until(lambda: states(resilient, "Breaks")["m-Breaks"] == "closed", lambda: "not all know")
        wait_until(
            lambda: _heard(heard, "Breaks", "m-Breaks")[-3:] == ["open", "half_open", "closed"],
            lambda: str(heard),
        )


def test_a_429_leaves_just_that_provider_alone_for_just_that_time(
    resilient: Service, upstream: Upstream, play: Play
) -> None:
    play("Limited", "429/2")
    with watched(resilient.worker) as heard:
        first = rest(resilient, body("Limited"))
        assert (first.code, first.headers["retry-after"]) == (429, "2")
        wait_until(lambda: _heard(heard, "Limited") == ["closed", "limited"], lambda: str(heard))
        before = len(upstream.seen)
        refused = rest(resilient, body("Limited"))
        assert (refused.code, refused.error["error"]["type"]) == (429, "rate_limit_error")
        assert 1 <= int(refused.headers["retry-after"]) <= 2
        assert len(upstream.seen) == before
        assert rest(resilient, body("Limited A")).provider == "A"
        assert states(resilient, "Limited")[""] == "limited"
        wait_until(lambda: _heard(heard, "Limited")[-1] == "closed", lambda: str(heard))
        wait_until(lambda: rest(resilient, body("Limited")).code == 200, lambda: "it never came back")


def test_a_caller_with_the_time_for_it_waits_for_a_provider_that_said_when(
    resilient: Service, play: Play
) -> None:
    play("A", "429/0.6")
    assert rest(resilient, body("A", timeout=10)).code == 200


def test_a_refused_key_disables_with_the_reason_shown(resilient: Service, play: Play) -> None:
    play("Keyed", "401", "401", "401", "401")
    first = rest(resilient, body("Keyed"))
    assert first.code == 503
    wait_until(lambda: not details(resilient, "Keyed")["enabled"], lambda: "it is enabled")
    told = details(resilient, "Keyed")
    assert "UPSTREAM_KEY" in told["reason"]
    assert "key-of-ours" not in str(told)
    wait_until(
        lambda: rest(resilient, body("Keyed")).error["error"]["code"] == "no_provider_enabled",
        lambda: "it is still asked",
    )
    listed = requests.get(f"{resilient.base_url}/providers", timeout=TIMEOUT).json()
    assert "Keyed" not in [one["id"] for one in listed]
    assert rest(resilient, body("Keyed A")).provider == "A"


def test_figures_of_what_was_observed_are_shown(resilient: Service) -> None:
    for _ in range(4):
        assert rest(resilient, body("Seen", model="seen", stream=True)).code == 200
    models: list[Any] = []  # as the worker that answers has observed them

    def look() -> bool:
        models[:] = [one for one in details(resilient, "Seen")["health"] if one.get("model")]
        return any(one.get("first_content_p95_ms") for one in models)

    wait_until(look, lambda: str(models))
    [model] = models
    assert model["attempts"] >= 1
    assert model["failure_rate"] == 0
    assert 0 < model["first_content_p50_ms"] <= model["first_content_p95_ms"]


def test_the_first_thing_that_a_watcher_hears_is_everything(resilient: Service) -> None:
    with watched(resilient.envoy) as heard:
        first = {one.provider: one for one in heard if not one.model}
    assert {"A", "Patient", "Echo", "Groq"} <= first.keys()
    assert (first["Groq"].state, first["Groq"].reason) == ("disabled", "set GROQ_API_KEY")
    assert first["Echo"].state == "closed"


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_an_open_breaker_is_a_503_that_says_when_to_return(
    resilient: Service, play: Play, stream: bool
) -> None:
    play("Breaks", *["500"] * 40)
    outcomes = []

    def opened() -> bool:
        outcomes.append(rest(resilient, body("Breaks", stream=stream)))
        return bool(outcomes[-1].error["error"]["code"] == "circuit_open")

    wait_until(opened, lambda: str(outcomes[-1]))
    assert outcomes[-1].code == 503
    assert int(outcomes[-1].headers["retry-after"]) >= 1


def test_the_command_line_shows_the_health_that_the_server_knows(resilient: Service, play: Play) -> None:
    port = resilient.envoy.partition(":")[2]
    command: list[str | Path] = [COMMAND, "providers", "--port", port]
    play("Shown", "429/30")
    with _printing([*command, "--watch"]) as printed:
        wait_until(lambda: "Watching" in printed(), printed)
        rest(resilient, body("Shown"))
        wait_until(lambda: "Shown limited: it asked us to wait" in printed(), printed)
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, text=True, env=environment())
    table = {line.split()[0]: line for line in done.stdout.splitlines()[1:]}
    assert done.stderr == f"As the server at 127.0.0.1:{port} has it:\n"
    assert re.search(r"Shown +yes +limited, asked again in \d+ s +m$", table["Shown"])
    assert re.search(r"Groq +set GROQ_API_KEY +-", table["Groq"])
    assert re.search(r"Echo +yes +well +echo$", table["Echo"])


def test_there_is_nothing_to_watch_where_no_server_answers() -> None:
    command: list[str | Path] = [COMMAND, "providers", "--port", "0", "--watch"]
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, text=True, env=environment())
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is nothing to watch" in done.stderr


@contextmanager
def _printing(command: list[str | Path]) -> Iterator[Callable[[], str]]:
    """A running command, and what it has printed."""
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        reading = threading.Thread(target=lambda: said.extend(process.stdout or ()))
        reading.start()
        try:
            wait_until(lambda: any(line.startswith("ID ") for line in said), lambda: "".join(said))
            wait_until(lambda: len(said) > 5, lambda: "".join(said))
            yield lambda: "".join(said)
        finally:
            process.terminate()
            reading.join(TIMEOUT)
