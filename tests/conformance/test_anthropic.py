"""Anthropic's dialect: its SDK reads what the speaker says, and the driver takes every feature to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest
import requests

from tests.conformance.anthropic_speaker import SIGNATURE, AnthropicSpeaker
from tests.conformance.cells import Fails, Ignores, Lacks, Works, exact, has, header, lacks, path
from tests.conformance.features import (
    FEATURES,
    IMAGE_URL,
    PARIS,
    PDF_BASE64,
    PLANES,
    PNG_BASE64,
    ROME,
    WEATHER_SCHEMA,
)
from tests.conformance.playing import KEY, Table, suite
from tests.conformance.said import Said
from tests.conformance.stage import Stage, staged
from tests.openai_api.asks import ODD_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

# --- The SDK ---------------------------------------------------------------------------------------

SAID = [
    pytest.param(feature.said, id=name)
    for name, feature in FEATURES.items()
    if feature.said is not FEATURES["text"].said and not feature.said.pictures
]
STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged(AnthropicSpeaker()) as running:
        yield running


@pytest.fixture
def client(stage: Stage) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stage.url, api_key="none", max_retries=0) as made:
        yield made


HI: Any = [{"role": "user", "content": "Hi"}]


def ask(client: anthropic.Anthropic) -> Any:
    return client.messages.create(model="claude-opus-5-5", max_tokens=50, messages=HI)


@pytest.mark.parametrize("said", SAID)
def test_the_sdk_reads_a_whole_answer(stage: Stage, client: anthropic.Anthropic, said: Said) -> None:
    stage.says(said)
    check(ask(client), said)


@pytest.mark.parametrize("said", SAID)
def test_the_sdk_reads_a_stream(stage: Stage, client: anthropic.Anthropic, said: Said) -> None:
    stage.says(said)
    with client.messages.stream(model="claude-opus-5-5", max_tokens=50, messages=HI) as stream:
        check(stream.get_final_message(), said)


def check(message: Any, said: Said) -> None:
    """The SDK has read what was said."""
    blocks = {
        kind: [b for b in message.content if b.type == kind] for kind in ("thinking", "text", "tool_use")
    }
    assert sum(map(len, blocks.values())) == len(message.content)
    assert "".join(block.text for block in blocks["text"]) == said.text
    assert "".join(block.thinking for block in blocks["thinking"]) == said.reasoning
    assert {block.signature for block in blocks["thinking"]} <= {SIGNATURE}
    calls = [(block.id, block.name, block.input) for block in blocks["tool_use"]]
    assert calls == [(call.id, call.name, call.arguments) for call in said.calls]
    assert message.stop_reason == STOP_REASONS[said.finish]
    assert bool(message.stop_details) == (said.finish == "content_filter")
    used = message.usage
    assert used.input_tokens + used.cache_read_input_tokens == said.prompt_tokens
    assert (used.cache_read_input_tokens, used.output_tokens) == (
        said.cached_tokens,
        said.completion_tokens,
    )
    assert used.output_tokens_details.thinking_tokens == said.reasoning_tokens


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("invalid_request_error", anthropic.BadRequestError),
        ("authentication_error", anthropic.AuthenticationError),
        ("billing_error", anthropic.PaymentRequiredError),
        ("permission_error", anthropic.PermissionDeniedError),
        ("not_found_error", anthropic.NotFoundError),
        ("conflict_error", anthropic.ConflictError),
        ("request_too_large", anthropic.ContentTooLargeError),
        ("rate_limit_error", anthropic.RateLimitError),
        ("api_error", anthropic.InternalServerError),
        ("timeout_error", anthropic.GatewayTimeoutError),
        ("overloaded_error", anthropic.OverloadedError),
    ],
)
def test_the_sdk_raises_its_own_exceptions(
    stage: Stage, client: anthropic.Anthropic, word: str, kind: type[anthropic.APIStatusError]
) -> None:
    stage.fails(word)
    with pytest.raises(kind, match=word) as raised:
        ask(client)
    assert raised.value.status_code == stage.speaker.faults[word]


def test_the_sdk_sees_an_error_in_a_stream(stage: Stage, client: anthropic.Anthropic) -> None:
    stage.breaks(Said("Hello"), "overloaded_error")
    with (
        client.messages.create(model="claude-opus-5-5", max_tokens=50, messages=HI, stream=True) as stream,
        pytest.raises(anthropic.APIStatusError, match="overloaded_error"),
    ):
        list(stream)


# --- The driver ------------------------------------------------------------------------------------

_TALK = "messages.0.content"


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _source(source: dict[str, str], kind: str = "image") -> Works:
    return Works(has(f"{_TALK}.1", {"type": kind, "source": source}))


TABLE = Table(
    AnthropicSpeaker(),
    {
        "text": Works(
            path("/messages"),
            header("x-api-key", KEY),
            header("anthropic-version", "2026-10-21"),
            has("model", "m"),
            has("max_tokens", 32_000),
            has("messages", [{"role": "user", "content": [_text("Hi")]}]),
            lacks("provider"),
        ),
        "system prompt": Works(has("system", [_text("Be brief.")]), has("messages.0.role", "user")),
        "developer prompt": Works(has("system", [_text("Be brief.")])),
        "conversation": Works(has("messages.1", {"role": "assistant", "content": [_text("Hello.")]})),
        "text in parts": Works(has(f"{_TALK}.1", _text("Two."))),
        "unicode": Works(has(f"{_TALK}.0.text", PLANES)),
        "temperature": Works(has("temperature", 0.25)),
        "top_p": Works(has("top_p", 0.5)),
        "stop": Works(has("stop_sequences", ["END", "STOP"])),
        "max_tokens": Works(has("max_tokens", 50)),
        "max_completion_tokens": Works(has("max_tokens", 50)),
        "penalties": Lacks("presence_penalty", "The API has no penalties."),
        "seed": Lacks("seed", "The API has no seed."),
        "several choices": Lacks("n", "The API gives one answer."),
        "logprobs": Lacks("logprobs", "The API tells no probabilities."),
        "logit bias": Lacks("logit_bias", "The API takes no biases."),
        "user": Works(has("metadata.user_id", "user-1")),
        "tools": Works(has("tools.0", {"name": "weather", "input_schema": WEATHER_SCHEMA})),
        "parallel tool calls": Works(),
        "tool call beside text": Works(),
        "tool call without arguments": Works(),
        "tool schema byte for byte": Works(exact("tools.0.input_schema", ODD_SCHEMA)),
        "one tool call at a time": Works(
            has("tool_choice", {"type": "auto", "disable_parallel_tool_use": True})
        ),
        "tool choice auto": Works(has("tool_choice", {"type": "auto"})),
        "tool choice none": Works(has("tool_choice", {"type": "none"})),
        "tool choice required": Works(has("tool_choice", {"type": "any"})),
        "forced tool": Works(has("tool_choice", {"type": "tool", "name": "weather"})),
        "tool results": Works(
            has("messages.1.content.0", _text("Let me see.")),
            has(
                "messages.1.content.1",
                {"type": "tool_use", "id": PARIS.id, "name": "weather", "input": {"city": "Paris"}},
            ),
            has(
                "messages.2.content.0",
                {"type": "tool_result", "tool_use_id": PARIS.id, "content": [_text("rain")]},
            ),
            has(
                "messages.2.content.1",
                {"type": "tool_result", "tool_use_id": ROME.id, "content": [_text('{"sky": "clear"}')]},
            ),
            lacks("messages.3"),
        ),
        "image as data": _source({"type": "base64", "media_type": "image/png", "data": PNG_BASE64}),
        "image by address": _source({"type": "url", "url": IMAGE_URL}),
        "file": _source(
            {"type": "base64", "media_type": "application/pdf", "data": PDF_BASE64}, "document"
        ),
        "audio in": Lacks("content", "The models do not hear."),
        "image out": Lacks("modalities", "The models do not draw."),
        "JSON Schema": Works(
            has("output_config.format", {"type": "json_schema", "schema": WEATHER_SCHEMA})
        ),
        "JSON Schema byte for byte": Works(exact("output_config.format.schema", ODD_SCHEMA)),
        "JSON object": Lacks("response_format", "The API takes no form without a schema."),
        "reasoning effort": Works(
            has("thinking.type", "adaptive"), has("output_config.effort", "low"), lacks("reasoning_effort")
        ),
        "reasoning told": Works(),
        "reasoning beside a call": Works(),
        "reasoning given back": Ignores(
            "Thoughts come back signed, in thinking_blocks; a text alone would be refused.",
            has("messages.1.content.0.type", "tool_use"),
            lacks("messages.1.content.1"),
        ),
        "usage": Works(),
        "cached tokens": Works(),
        "cache breakpoint": Works(
            has(f"{_TALK}.0.cache_control", {"type": "ephemeral"}), lacks(f"{_TALK}.1.cache_control")
        ),
        "unknown member": Works(has("x_new", {"a": [1, "b"]})),
        "finish: stop": Works(),
        "finish: length": Works(has("max_tokens", 1)),
        "finish: tool_calls": Works(),
        "finish: content_filter": Works(),
        "fault: wrong request": Fails("invalid_request_error"),
        "fault: key": Fails("authentication_error"),
        "fault: permission": Fails("permission_error"),
        "fault: model": Fails("not_found_error"),
        "fault: too large": Fails("request_too_large"),
        "fault: rate limit": Fails("rate_limit_error"),
        "fault: overloaded": Fails("overloaded_error"),
        "fault: server": Fails("api_error"),
        "fault: in a stream": Fails("overloaded_error"),
        "fault: cut off": Fails(""),
    },
)
scene, test_the_table_is_complete, test_features = suite(TABLE)


# --- Anthropic's dialect all the way ---------------------------------------------------------------

_CACHED: Any = {"type": "ephemeral"}
_ASKED: Any = {
    "model": "m",
    "max_tokens": 50,
    "top_k": 5,
    "system": "Be brief.",
    "tools": [{"name": "weather", "input_schema": WEATHER_SCHEMA}],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "messages": [
        {"role": "user", "content": [_text("Paris?") | {"cache_control": _CACHED}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I must look.", "signature": SIGNATURE},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "none", "is_error": True}
            ],
        },
    ],
}


def test_what_is_asked_in_the_dialect_arrives_in_it(scene: Any) -> None:
    """All of it but signed thoughts and marks of the cache, which chat has no members for on the way in."""
    scene.stage.says(FEATURES["reasoning beside a call"].said)
    body = _ASKED | {"provider": TABLE.provider}
    answer = requests.post(f"{scene.service.base_url}/messages", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    arrived = scene.stage.last().body
    for name in ("model", "max_tokens", "top_k", "tools", "tool_choice"):
        assert arrived[name] == _ASKED[name]
    assert arrived["system"] == [_text("Be brief.")]
    asked, called, told = arrived["messages"]
    assert asked["content"][0]["text"] == "Paris?"
    assert called["content"][-1] == _ASKED["messages"][1]["content"][1]
    assert told["content"][0]["tool_use_id"] == "toolu_1"
    blocks = answer.json()["content"]
    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    assert blocks[1]["input"] == PARIS.arguments
    assert answer.json()["stop_reason"] == "tool_use"
