"""Routes through the real service: a name for models of several providers, over REST and gRPC."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests

from interference.v1.models_pb2 import GetModelRequest
from interference.v1.models_pb2_grpc import ModelsStub
from tests import calls
from tests.calls import TIMEOUT, Outcome, attempts
from tests.programs import environment
from tests.service import COMMAND, Service, row, serving
from tests.upstream import TEXT, Upstream

WAYS = ["rest", "grpc"]
KEYS = [f"caller-{number}" for number in range(12)]
ALONE: dict[str, Any] = {"retry": {"times": 0}, "breaker": {"enabled": False, "least": 1}}


def target(provider: str, model: str = "m", **fields: Any) -> dict[str, Any]:
    return {"provider": provider, "model": model, **fields}


ROUTES: list[dict[str, Any]] = [
    {"model": "fast", "targets": [target("Bad"), target("A", "public"), target("B", "other"), target("B")]},
    {"model": "shared", "strategy": "weighted", "targets": [target("A", weight=3), target("B")]},
    {"model": "kept", "strategy": "weighted", "targets": [target(name) for name in "ABC"]},
    {"model": "ill", "strategy": "weighted", "targets": [target(name) for name in ("Bad", "A", "B")]},
    {"model": "latency", "strategy": "least_latency", "targets": [target("Silent"), target("A")]},
    {"model": "careful", "targets": [target("Bad", when={"failure_rate": 0.5}), target("A")]},
    {"model": "hedged", "hedge": {"delay": 0.05}, "targets": [target("Patient"), target("A")]},
    {"model": "off", "targets": [target("Off")]},
    {"model": "ech*", "sticky": False},
]


@pytest.fixture(scope="module")
def routed(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`A`, `B` and `C` answer, `Bad` fails, `Silent` (for a moment) and `Patient` say nothing."""
    ok = f"{upstream.url}/ok/v1"
    aliases = {"public": "own"}
    rows = [
        row("A", ok, aliases=aliases, embedding_models=["vec"], params=["user", "seed", "tools"], **ALONE),
        row("B", ok, models=["m", "other"], params=["user", "stop"], **ALONE),
        row("C", ok, **ALONE),
        row("Bad", f"{upstream.url}/503/v1", params=["user"], **ALONE),
        row("Silent", f"{upstream.url}/silent/v1", limits={"total": 0.3, "first_content": 0.3}, **ALONE),
        row("Patient", f"{upstream.url}/silent/v1", **ALONE),
        row("Off", ok, key_env="NOT_SET"),
    ]
    with serving(tmp_path_factory.mktemp("routes"), rows, routes=ROUTES) as service:
        yield service


def ask(
    service: Service, way: str, model: str, *, stream: bool = False, provider: str = "", **fields: Any
) -> Outcome:
    """Asks through Envoy; over gRPC always the same worker, which alone knows what it has seen."""
    return calls.ask(service, way, provider, stream=stream, address=service.worker, model=model, **fields)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_route_falls_back_along_its_targets(
    routed: Service, upstream: Upstream, way: str, stream: bool
) -> None:
    outcome = ask(routed, way, "fast", stream=stream)
    assert (outcome.text, outcome.provider) == (TEXT, "A")
    assert attempts(outcome) == [("Bad", "server_error"), ("A", "")]
    assert upstream.last().body["model"] == "own"


@pytest.mark.parametrize("way", WAYS)
def test_a_provider_that_is_named_is_asked_for_its_targets_alone(
    routed: Service, upstream: Upstream, way: str
) -> None:
    assert ask(routed, way, "fast", provider="B").provider == "B"
    assert upstream.last().body["model"] == "other"
    assert ask(routed, way, "B/fast").provider == "B"
    outcome = ask(routed, way, "fast", provider="C Bad B")
    assert outcome.provider == "B"
    assert attempts(outcome) == [("C", "no_such_model"), ("Bad", "server_error"), ("B", "")]


def test_a_provider_without_a_target_is_told_who_has_one(routed: Service) -> None:
    outcome = ask(routed, "rest", "fast", provider="C")
    assert (outcome.code, outcome.error["error"]["code"]) == (404, "model_not_found")
    assert "fast is a route to Bad and A and B." in outcome.error["error"]["message"]


def test_shares_follow_the_weights(routed: Service) -> None:
    served = Counter(ask(routed, "grpc", "shared").provider for _ in range(80))
    assert served.keys() == {"A", "B"}
    assert served["A"] > served["B"]


@pytest.mark.parametrize("field", ["prompt_cache_key", "user"])
def test_a_key_keeps_a_caller_at_a_provider_over_all_workers(routed: Service, field: str) -> None:
    def who_serves(key: str) -> set[str]:
        fields: dict[str, Any] = {field: key}
        return {ask(routed, way, "kept", **fields).provider for way in WAYS for _ in range(3)}

    served = {key: who_serves(key) for key in KEYS}
    assert all(len(providers) == 1 for providers in served.values()), served
    assert len(set.union(*served.values())) > 1


def test_a_key_whose_provider_is_ill_keeps_to_another_one(routed: Service) -> None:
    outcomes = {key: [ask(routed, "grpc", "ill", user=key) for _ in range(3)] for key in KEYS}
    assert all(len({outcome.provider for outcome in made}) == 1 for made in outcomes.values())
    moved = [key for key, made in outcomes.items() if attempts(made[0])[0][0] == "Bad"]
    assert 0 < len(moved) < len(KEYS)
    assert all({outcome.provider for outcome in made} <= {"A", "B"} for made in outcomes.values())


def test_who_gave_nothing_is_no_longer_first_where_latency_decides(routed: Service) -> None:
    for _ in range(3):  # each of the two is tried, and then once more
        ask(routed, "grpc", "latency", stream=True)
    outcome = ask(routed, "grpc", "latency", stream=True)
    assert attempts(outcome) == [("A", "")]


def test_who_breaks_a_condition_is_no_longer_first(routed: Service) -> None:
    first = ask(routed, "grpc", "careful")
    assert attempts(first)[-1] == ("A", "")
    assert attempts(ask(routed, "grpc", "careful")) == [("A", "")]
    assert ask(routed, "grpc", "careful", provider="Bad").code == "UNAVAILABLE"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_route_hedges(routed: Service, stream: bool) -> None:
    outcome = ask(routed, "rest", "hedged", stream=stream)
    assert (outcome.text, outcome.provider) == (TEXT, "A")
    assert attempts(outcome) == [("Patient", "cancelled"), ("A", "")]


def test_routes_are_listed_as_models(routed: Service) -> None:
    listed = requests.get(f"{routed.base_url}/models", timeout=TIMEOUT).json()["data"]
    found = {model["id"]: model for model in listed}
    assert list(found) == sorted(found)
    assert found["fast"] == {
        "id": "fast",
        "object": "model",
        "created": 0,
        "owned_by": "interference",
        "image": False,
        "vision": False,
        "provider": False,
        "providers": ["Bad", "A", "B"],
        "capabilities": ["chat", "stream", "tools"],
        "params": ["user", "seed", "tools", "stop"],
    }
    assert not found.keys() & {"off", "ech*"}


def test_a_route_is_described_as_a_model(routed: Service) -> None:
    with grpc.insecure_channel(routed.worker) as channel:
        models = ModelsStub(channel)
        assert list(models.GetModel(GetModelRequest(model="fast"), timeout=TIMEOUT).providers) == [
            *("Bad", "A", "B")
        ]
        one = models.GetModel(GetModelRequest(model="A/fast"), timeout=TIMEOUT)
        assert (one.id, list(one.providers)) == ("A/fast", ["A"])
        with pytest.raises(grpc.RpcError, match="off is a route to Off"):
            models.GetModel(GetModelRequest(model="off"), timeout=TIMEOUT)


def test_a_base_url_of_one_provider_lists_the_routes_to_it(routed: Service) -> None:
    listed = requests.get(f"{routed.url}/api/C/v1/models", timeout=TIMEOUT).json()["data"]
    found = {model["id"]: model["providers"] for model in listed}
    assert found == {"m": ["C"], "kept": ["C"]}


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_route_to_nobody_is_refused_at_the_start(command: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("routes: [{model: fast, targets: [{provider: Qroq, model: m}]}]")
    done = subprocess.run(
        [COMMAND, command, "--providers", "own.yaml"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "interference: own.yaml: route fast: targets[0].provider: no provider has the id Qroq. "
        "Did you mean Groq?\n"
    )
