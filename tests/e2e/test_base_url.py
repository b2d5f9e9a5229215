"""Choosing a provider by the base URL, for clients that cannot add a member to the body."""

from typing import Any

import pytest
import requests

from tests.calls import TIMEOUT, body
from tests.service import Service
from tests.upstream import TEXT, Upstream

bases = pytest.mark.parametrize("base", ["/api/ok/v1", "/api/ok"])


def ask(service: Service, path: str, request: Any) -> requests.Response:
    return requests.post(f"{service.url}{path}", json=request, timeout=TIMEOUT)


def without_provider(**fields: object) -> dict[str, object]:
    asked = body("", **fields)
    del asked["provider"]
    return asked


@bases
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_the_provider_of_the_path_answers(
    service: Service, upstream: Upstream, base: str, stream: bool
) -> None:
    answer = ask(service, f"{base}/chat/completions", without_provider(stream=stream))
    assert answer.status_code == 200
    assert '"provider":"ok"' in answer.text
    assert upstream.last().script == "ok"
    assert answer.text.endswith("data: [DONE]\n\n") == stream


def test_several_providers_are_tried_in_the_order_of_the_path(service: Service) -> None:
    answer = ask(service, "/api/429%20ok/v1/chat/completions", without_provider()).json()
    assert (answer["provider"], answer["choices"][0]["message"]["content"]) == ("ok", TEXT)


def test_path_and_body_may_name_the_same(service: Service) -> None:
    assert ask(service, "/api/ok/v1/chat/completions", body("ok")).status_code == 200


def test_path_and_body_may_not_differ(service: Service) -> None:
    answer = ask(service, "/api/ok/v1/chat/completions", body("429"))
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "provider"


def test_a_path_that_names_nobody_is_refused(service: Service) -> None:
    answer = ask(service, "/api/%20/v1/chat/completions", without_provider())
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "provider")


def test_an_unknown_provider_is_a_404_with_the_closest(service: Service) -> None:
    answer = ask(service, "/api/echo/v1/chat/completions", without_provider())
    assert answer.status_code == 404
    assert "Did you mean Echo?" in answer.json()["error"]["message"]


@bases
def test_models_and_providers_are_those_of_the_path(service: Service, base: str) -> None:
    models = requests.get(f"{service.url}{base}/models", timeout=TIMEOUT).json()["data"]
    assert [model["id"] for model in models] == ["i", "m"]
    assert {provider for model in models for provider in model["providers"]} == {"ok"}
    one = requests.get(f"{service.url}{base}/models/m", timeout=TIMEOUT).json()
    assert one["providers"] == ["ok"]
    assert requests.get(f"{service.url}{base}/models/echo", timeout=TIMEOUT).status_code == 404
    providers = requests.get(f"{service.url}{base}/providers", timeout=TIMEOUT).json()
    assert [provider["id"] for provider in providers] == ["ok"]


def test_images_are_of_the_paths_provider(service: Service) -> None:
    made = ask(service, "/api/Canvas/v1/images/generations", {"prompt": "dusk", "size": "64x64"})
    assert made.json()["provider"] == "Canvas"
