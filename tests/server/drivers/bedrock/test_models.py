"""The lists of models and of inference profiles."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from server import transport
from server.drivers.base import Listed
from server.drivers.bedrock import KIND, models
from server.errors import AttemptFailed
from tests.server.drivers.bedrock.dialect import DIALECT, KEY, answer, target

BOTH = frozenset({"chat", "vision", "stream"})
LISTED: list[Any] = [
    {
        "modelId": "amazon.nova-lite-v1:0",
        "inputModalities": ["TEXT", "IMAGE"],
        "responseStreamingSupported": True,
        "inferenceTypesSupported": ["ON_DEMAND", "INFERENCE_PROFILE"],
    },
    {
        "modelId": "anthropic.claude-opus-5-5",
        "inputModalities": ["TEXT", "IMAGE"],
        "responseStreamingSupported": True,
        "inferenceTypesSupported": ["INFERENCE_PROFILE"],
    },
    {"modelId": "a.b", "inputModalities": ["TEXT"], "responseStreamingSupported": False},
    {"modelId": "c.d", "inputModalities": 5, "responseStreamingSupported": "yes"},
    *({"modelId": 5}, {"modelId": ""}, 5),
]
ARN = "arn:aws:bedrock:us-east-1::foundation-model/{}"
PROFILES: list[Any] = [
    {
        "inferenceProfileId": "us.anthropic.claude-opus-5-5",
        "models": [{"modelArn": ARN.format("anthropic.claude-opus-5-5")}, {"modelArn": "other"}],
    },
    {
        "inferenceProfileId": "us.cohere.embed-v4:0",
        "models": [{"modelArn": ARN.format("cohere.embed-v4:0")}],
    },
    *({"inferenceProfileId": "x", "models": []}, {"inferenceProfileId": "x", "models": [5]}, 5),
    *({"inferenceProfileId": "x"}, {"inferenceProfileId": "x", "models": [{"modelArn": 5}]}),
]
ON_DEMAND = [
    Listed("amazon.nova-lite-v1:0", BOTH),
    Listed("a.b", frozenset({"chat"}), frozenset({"vision", "stream"})),
    Listed("c.d", frozenset({"chat"})),
]


def test_they_are_asked_for_where_models_are_kept_not_where_they_run() -> None:
    made = DIALECT.models_request(target(key=KEY))
    assert made.url == "https://bedrock.{region}.amazonaws.com/foundation-models?byOutputModality=TEXT"
    assert made.headers == {"authorization": f"Bearer {KEY}"}
    own = models.profiles_request(target(options={"control_url": "https://control.example/"}))
    assert own.url == "https://control.example/inference-profiles?maxResults=1000"


def test_a_list_tells_what_models_can_do() -> None:
    assert DIALECT.models(answer({"modelSummaries": LISTED})) == ON_DEMAND


async def test_a_profile_stands_for_a_model_that_is_not_there_on_demand() -> None:
    async def listed(request: web.Request) -> web.Response:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        name = "modelSummaries" if request.path == "/foundation-models" else "inferenceProfileSummaries"
        return web.json_response({name: LISTED if name == "modelSummaries" else PROFILES})

    app = web.Application()
    app.router.add_get("/foundation-models", listed)
    app.router.add_get("/inference-profiles", listed)
    async with TestServer(app) as server, transport.connect(2**20) as client:
        options = {"region": "us-east-1", "control_url": str(server.make_url("/"))}
        found = await KIND.make(client).models(target(key=KEY, discover=True, options=options))
    assert found == [*ON_DEMAND, Listed("us.anthropic.claude-opus-5-5", BOTH)]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"modelSummaries": 5}', b"{}"])
def test_what_is_no_list_is_broken(content: bytes) -> None:
    with pytest.raises(AttemptFailed) as raised:
        DIALECT.models(answer(content))
    assert raised.value.cause == "broken_answer"
    with pytest.raises(AttemptFailed) as raised:
        models.read_all(answer({"modelSummaries": []}), answer(content))
    assert raised.value.cause == "broken_answer"
