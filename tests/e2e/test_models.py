"""What there is to ask for: models and providers, over REST and gRPC."""

from typing import Any

import grpc
import pytest
import requests

from interference.v1.models_pb2 import GetModelRequest, ListModelsRequest
from interference.v1.models_pb2_grpc import ModelsStub
from interference.v1.providers_pb2 import GetProviderRequest, ListProvidersRequest
from interference.v1.providers_pb2_grpc import ProvidersStub
from tests.calls import TIMEOUT, body, rest
from tests.programs import wait_until
from tests.service import Service, row, serving
from tests.upstream import TEXT, Upstream


def get(service: Service, path: str) -> requests.Response:
    return requests.get(f"{service.base_url}/{path}", timeout=TIMEOUT)


def test_models_are_listed_once_with_their_providers(service: Service) -> None:
    listed = get(service, "models").json()
    assert listed["object"] == "list"
    ids = [model["id"] for model in listed["data"]]
    assert ids == sorted(set(ids))
    found = {model["id"]: model for model in listed["data"]}
    assert found["echo"] == {
        "id": "echo",
        "object": "model",
        "created": 0,
        "owned_by": "Echo (no model: repeats your last message)",
        "image": False,
        "vision": False,
        "provider": False,
        "providers": ["Echo"],
        "capabilities": ["chat", "stream"],
        "params": ["max_tokens", "max_completion_tokens", "stop", "n", "stream_options"],
    }
    assert found["canvas"]["image"] is True
    assert "no-key" not in found["m"]["providers"]


def test_a_model_tells_what_its_providers_can_do_with_it(service: Service) -> None:
    model = get(service, "models/ok/m").json()
    assert model["capabilities"] == ["chat", "stream", "tools", "json_schema", "reasoning", "logprobs"]
    assert {"tools", "seed", "verbosity"} <= set(model["params"])
    assert get(service, "models/canvas").json()["capabilities"] == ["images"]
    assert get(service, "models/picky/m").json()["params"] == ["seed"]


@pytest.mark.parametrize("name", ["m", "ok/m", "Echo/echo"])
def test_a_model_is_described_by_a_name_with_or_without_a_slash(service: Service, name: str) -> None:
    model = get(service, f"models/{name}").json()
    assert (model["id"], model["object"]) == (name, "model")


@pytest.mark.parametrize("name", ["nope", "a/b/c", "no-key/m"])
def test_a_model_that_nobody_has_is_a_404(service: Service, name: str) -> None:
    answer = get(service, f"models/{name}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"


def test_grpc_tells_the_same(service: Service) -> None:
    with grpc.insecure_channel(service.envoy) as channel:
        models = ModelsStub(channel)
        providers = ProvidersStub(channel)
        ids = [model.id for model in models.ListModels(ListModelsRequest(), timeout=TIMEOUT).data]
        assert ids == [model["id"] for model in get(service, "models").json()["data"]]
        assert models.GetModel(GetModelRequest(model="ok/m"), timeout=TIMEOUT).id == "ok/m"
        names = [p.id for p in providers.ListProviders(ListProvidersRequest(), timeout=TIMEOUT)]
        assert names == [provider["id"] for provider in get(service, "providers").json()]
        details = providers.GetProvider(GetProviderRequest(provider="picky"), timeout=TIMEOUT)
        assert list(details.params) == ["seed"]


def test_a_list_of_models_is_asked_of_the_upstream(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [
        row("Found", f"{upstream.url}/ok/v1", discover=True, models=[], image_models=["f*"]),
        row("Local", f"{upstream.url}/ok/v1", discover=True, probe=None, hidden_models=["m"]),
        row("Absent", "http://127.0.0.1:1/v1", discover=True, probe=None),
    ]
    with serving(tmp_path_factory.mktemp("discovery"), rows, workers=1) as service:
        local = get(service, "providers/Local").json()  # a probe is awaited by the start
        assert (local["enabled"], local["models"]) == (True, ["found"])
        absent = get(service, "providers/Absent").json()
        assert (absent["enabled"], absent["reason"]) == (False, "nothing answers at http://127.0.0.1:1/v1")
        wait_until(
            lambda: get(service, "providers/Found").json()["models"] == ["m"],
            lambda: get(service, "providers/Found").text,
        )
        assert get(service, "providers/Found").json()["image_models"] == ["found"]


def test_an_address_may_come_from_the_environment(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    quirks = {"paths": {"chat": "own/v1/chat?for={model}"}, "key_header": "api-key"}
    rows = [
        row("Hosted", "", base_url_env="HOSTED_URL", key_env="HOSTED_KEY", profile=quirks),
        row("Homeless", "", base_url_env="HOMELESS_URL"),
    ]
    variables = {"HOSTED_URL": f"{upstream.url}/ok", "HOSTED_KEY": "k-1"}
    with serving(tmp_path_factory.mktemp("hosted"), rows, variables, workers=1) as service:
        homeless = get(service, "providers/Homeless").json()
        assert (homeless["enabled"], homeless["reason"]) == (False, "set HOMELESS_URL")
        assert rest(service, body("Hosted")).text == TEXT
    seen = upstream.last()
    assert seen.path == "/ok/own/v1/chat?for=m"
    assert seen.headers["api-key"] == "k-1"
    assert "authorization" not in seen.headers


def test_what_each_model_can_do_is_told_and_decides_who_is_asked(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [
        row("Blind", f"{upstream.url}/ok/v1", models=["m", "n"], vision_models=["n"], priority=1),
        row("Sees", f"{upstream.url}/ok/v1", vision_models=["m"], context_lengths={"m": 4096}),
    ]
    image: Any = {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "https://x/a.png"}}],
    }
    with serving(tmp_path_factory.mktemp("capable"), rows, workers=1) as service:
        model = get(service, "models/m").json()
        assert (model["context_length"], "vision" in model["capabilities"]) == (4096, True)
        told = get(service, "providers/Sees").json()["capabilities"]["m"]
        assert told["context_length"] == 4096
        assert told["words"][:3] == ["chat", "stream", "vision"]
        told = get(service, "providers/Blind").json()["capabilities"]
        assert ("vision" in told["m"]["words"], "vision" in told["n"]["words"]) == (False, True)
        with grpc.insecure_channel(service.envoy) as channel:
            details = ProvidersStub(channel).GetProvider(
                GetProviderRequest(provider="Sees"), timeout=TIMEOUT
            )
            assert details.capabilities["m"].context_length == 4096
        for given, served in (({}, "Blind"), ({"messages": [image]}, "Sees")):
            asked: Any = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **given}
            url = f"{service.base_url}/chat/completions"
            assert requests.post(url, json=asked, timeout=TIMEOUT).json()["provider"] == served
        refused = requests.post(
            f"{service.base_url}/chat/completions",
            json={"model": "m", "provider": "Blind", "messages": [image]},
            timeout=TIMEOUT,
        )
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "parameter_unsupported"
        assert refused.json()["error"]["param"] == "messages"
