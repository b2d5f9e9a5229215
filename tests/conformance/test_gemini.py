"""Gemini's dialect: Google's own SDK reads our stand-in, and the gateway reads the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google import genai
from google.genai import errors, types

from tests.conformance.cells import Absent, Fails, Ignores, Lacks, Works, exact, has, header, lacks
from tests.conformance.features import (
    FEATURES,
    IMAGE_URL,
    PARIS,
    PDF_BASE64,
    PLANES,
    PNG_BASE64,
    ROME,
    WAV_BASE64,
    WEATHER_SCHEMA,
)
from tests.conformance.gemini_speaker import GeminiSpeaker, candidate, stream, usage, whole
from tests.conformance.playing import KEY, Table, suite
from tests.conformance.said import Said
from tests.conformance.stage import Own, Seen, Stage, staged
from tests.openai_api.asks import ODD_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

# --- The SDK ---------------------------------------------------------------------------------------

SPEAKER = GeminiSpeaker()
SAID = [
    pytest.param(feature.said, id=name)
    for name, feature in FEATURES.items()
    if feature.said is not FEATURES["text"].said
]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged(SPEAKER) as running:
        yield running


@pytest.fixture(scope="module")
def client(stage: Stage) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=stage.url, api_version="v1beta", timeout=10_000)
    with genai.Client(api_key="key", http_options=options) as made:
        yield made


def check(responses: list[types.GenerateContentResponse], said: Said) -> None:
    """Whether Google's SDK read what was said."""
    candidates = [one for response in responses for one in response.candidates or []]
    parts = [part for one in candidates if one.content for part in one.content.parts or []]
    assert "".join(part.text or "" for part in parts if not part.thought) == said.text
    assert "".join(part.text or "" for part in parts if part.thought) == said.reasoning
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.args, call.id) for call in calls] == [
        (call.name, call.arguments, call.id) for call in said.calls
    ]
    assert tuple(part.inline_data.data for part in parts if part.inline_data) == said.pictures
    finish = {"length": types.FinishReason.MAX_TOKENS, "content_filter": types.FinishReason.SAFETY}
    assert candidates[-1].finish_reason == finish.get(said.finish, types.FinishReason.STOP)
    assert [one.finish_reason for one in candidates[:-1]] == [None] * (len(candidates) - 1)
    cost = responses[-1].usage_metadata
    assert cost is not None
    assert cost.prompt_token_count == said.prompt_tokens
    assert (cost.cached_content_token_count or 0) == said.cached_tokens
    assert (cost.thoughts_token_count or 0) == said.reasoning_tokens
    assert (cost.candidates_token_count or 0) + said.reasoning_tokens == said.completion_tokens
    assert cost.total_token_count == said.prompt_tokens + said.completion_tokens
    assert {response.response_id for response in responses} == {"response-1"}


@pytest.mark.parametrize("said", SAID)
def test_googles_sdk_reads_what_is_said_whole(stage: Stage, client: genai.Client, said: Said) -> None:
    stage.says(said)
    check([client.models.generate_content(model="m", contents="Hi")], said)


@pytest.mark.parametrize("said", SAID)
def test_googles_sdk_reads_what_is_said_bit_by_bit(stage: Stage, client: genai.Client, said: Said) -> None:
    stage.says(said)
    check(list(client.models.generate_content_stream(model="m", contents="Hi")), said)


@pytest.mark.parametrize("word", SPEAKER.faults)
def test_googles_sdk_reads_an_error(stage: Stage, client: genai.Client, word: str) -> None:
    stage.fails(word)
    for call in (client.models.generate_content, client.models.generate_content_stream):
        with pytest.raises(errors.APIError) as caught:
            list(call(model="m", contents="Hi"))
        assert caught.value.code == SPEAKER.faults[word]
        assert word in str(caught.value.details)
        assert isinstance(caught.value, errors.ServerError) == (SPEAKER.faults[word] >= 500)


def test_googles_sdk_reads_an_error_in_a_stream(stage: Stage, client: genai.Client) -> None:
    stage.breaks(Said("Hello there"), "UNAVAILABLE")
    heard: list[Any] = []
    with pytest.raises(errors.ServerError) as caught:
        heard.extend(each.text for each in client.models.generate_content_stream(model="m", contents="Hi"))
    assert ("".join(map(str, heard)), caught.value.code, caught.value.status) == (
        "Hello there",
        503,
        "UNAVAILABLE",
    )


# --- The driver ------------------------------------------------------------------------------------

_ASKED = "contents.0.parts"
_USAGE = usage(Said())
_LIKELY = {
    "chosenCandidates": [{"token": "Hi", "tokenId": 7, "logProbability": -0.5}],
    "topCandidates": [{"candidates": [{"token": "Hi", "logProbability": -0.5}]}],
}


def _choices(*choices: tuple[int, str], **more: Any) -> Own:
    """Several candidates, each with its text, whole and bit by bit."""
    ends = [{**candidate([{"text": text}], "STOP", index), **more} for index, text in choices]
    begun = [candidate([{"text": text[:1]}], index=index) for index, text in choices]
    rests = [{**candidate([{"text": text[1:]}], "STOP", index), **more} for index, text in choices]
    return Own(whole(ends, _USAGE), stream(begun + rests, _USAGE))


def _is_a_method_of_the_model(seen: Seen) -> None:
    assert seen.path in (
        "/v1beta/models/m:generateContent",
        "/v1beta/models/m:streamGenerateContent?alt=sse",
    )


def _answered(call_id: str, response: Any) -> Any:
    return {"functionResponse": {"id": call_id, "name": "weather", "response": response}}


def _part(part: Any) -> Works:
    return Works(has(f"{_ASKED}.1", part))


TABLE = Table(
    SPEAKER,
    {
        "text": Works(
            _is_a_method_of_the_model,
            header("x-goog-api-key", KEY),
            has("contents", [{"role": "user", "parts": [{"text": "Hi"}]}]),
            lacks("model"),
            lacks("provider"),
            lacks("systemInstruction"),
        ),
        "system prompt": Works(
            has("systemInstruction.parts", [{"text": "Be brief."}]), has("contents.0.role", "user")
        ),
        "developer prompt": Works(has("systemInstruction.parts", [{"text": "Be brief."}])),
        "conversation": Works(has("contents.1", {"role": "model", "parts": [{"text": "Hello."}]})),
        "text in parts": Works(has(_ASKED, [{"text": "One."}, {"text": "Two."}])),
        "unicode": Works(has(f"{_ASKED}.0.text", PLANES)),
        "temperature": Works(has("generationConfig.temperature", 0.25)),
        "top_p": Works(has("generationConfig.topP", 0.5)),
        "stop": Works(has("generationConfig.stopSequences", ["END", "STOP"])),
        "max_tokens": Works(has("generationConfig.maxOutputTokens", 50)),
        "max_completion_tokens": Works(has("generationConfig.maxOutputTokens", 50)),
        "penalties": Works(
            has("generationConfig.presencePenalty", 0.5), has("generationConfig.frequencyPenalty", 0.25)
        ),
        "seed": Works(has("generationConfig.seed", 42)),
        "several choices": Works(
            has("generationConfig.candidateCount", 2),
            said=_choices((0, "One."), (1, "Two.")),
            answer={"choices": [{"text": "One.", "finish": "stop"}, {"text": "Two.", "finish": "stop"}]},
        ),
        "logprobs": Works(
            has("generationConfig.responseLogprobs", value=True),
            has("generationConfig.logprobs", 2),
            said=_choices((0, "Hi"), logprobsResult=_LIKELY),
            answer={"choices": [{"text": "Hi", "logprobs": [("Hi", -0.5)], "finish": "stop"}]},
        ),
        "logit bias": Lacks("logit_bias", "The API takes no biases."),
        "user": Lacks("user", "The API is not told of users."),
        "tools": Works(
            has(
                "tools",
                [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": WEATHER_SCHEMA}]}],
            )
        ),
        "parallel tool calls": Works(),
        "tool call beside text": Works(),
        "tool call without arguments": Works(),
        "tool schema byte for byte": Works(
            exact("tools.0.functionDeclarations.0.parametersJsonSchema", ODD_SCHEMA)
        ),
        "one tool call at a time": Lacks(
            "parallel_tool_calls", "The models call as many functions at once as they like."
        ),
        "tool choice auto": Works(has("toolConfig.functionCallingConfig", {"mode": "AUTO"})),
        "tool choice none": Works(has("toolConfig.functionCallingConfig", {"mode": "NONE"})),
        "tool choice required": Works(has("toolConfig.functionCallingConfig", {"mode": "ANY"})),
        "forced tool": Works(
            has(
                "toolConfig.functionCallingConfig",
                {"mode": "ANY", "allowedFunctionNames": ["weather"]},
            )
        ),
        "tool results": Works(
            has(
                "contents.1",
                {
                    "role": "model",
                    "parts": [
                        {"text": "Let me see."},
                        {"functionCall": {"id": PARIS.id, "name": "weather", "args": {"city": "Paris"}}},
                        {"functionCall": {"id": ROME.id, "name": "weather", "args": {"city": "Rome"}}},
                    ],
                },
            ),
            has(
                "contents.2.parts",
                [
                    _answered(PARIS.id, {"output": "rain"}),
                    _answered(ROME.id, {"sky": "clear"}),
                ],
            ),
            lacks("contents.3"),
        ),
        "image as data": _part({"inlineData": {"mimeType": "image/png", "data": PNG_BASE64}}),
        "image by address": _part({"fileData": {"mimeType": "image/png", "fileUri": IMAGE_URL}}),
        "file": _part({"inlineData": {"mimeType": "application/pdf", "data": PDF_BASE64}}),
        "audio in": _part({"inlineData": {"mimeType": "audio/wav", "data": WAV_BASE64}}),
        "image out": Works(has("generationConfig.responseModalities", ["TEXT", "IMAGE"])),
        "JSON Schema": Works(
            has("generationConfig.responseMimeType", "application/json"),
            has("generationConfig.responseJsonSchema", WEATHER_SCHEMA),
        ),
        "JSON Schema byte for byte": Works(exact("generationConfig.responseJsonSchema", ODD_SCHEMA)),
        "JSON object": Works(
            has("generationConfig.responseMimeType", "application/json"),
            lacks("generationConfig.responseJsonSchema"),
        ),
        "reasoning effort": Works(
            has("generationConfig.thinkingConfig", {"thinkingLevel": "LOW", "includeThoughts": True})
        ),
        "reasoning told": Works(),
        "reasoning beside a call": Works(),
        "reasoning given back": Ignores(
            "Thoughts are but told; what the models want back are their signatures, which `extra` holds.",
            has("contents.1.parts.0.functionCall.name", "weather"),
            lacks("contents.1.parts.1"),
        ),
        "usage": Works(),
        "cached tokens": Works(),
        "cache breakpoint": Ignores(
            "It caches by itself; a cache of its own is named in `cachedContent`.",
            has(_ASKED, [{"text": "A long text."}, {"text": "A question?"}]),
        ),
        "unknown member": Works(has("x_new", {"a": [1, "b"]})),
        "finish: stop": Works(),
        "finish: length": Works(has("generationConfig.maxOutputTokens", 1)),
        "finish: tool_calls": Works(),
        "finish: content_filter": Works(),
        "fault: wrong request": Fails("INVALID_ARGUMENT"),
        "fault: key": Fails("API_KEY_INVALID"),
        "fault: permission": Fails("PERMISSION_DENIED"),
        "fault: model": Fails("NOT_FOUND"),
        "fault: too large": Absent("A request that is too large is a wrong one like any other."),
        "fault: rate limit": Fails("RESOURCE_EXHAUSTED"),
        "fault: overloaded": Fails("UNAVAILABLE"),
        "fault: server": Fails("INTERNAL"),
        "fault: in a stream": Fails("UNAVAILABLE"),
        "fault: cut off": Fails(""),
    },
    base_path="/v1beta",
)
scene, test_the_table_is_complete, test_features = suite(TABLE)
