"""OpenAI's dialect: its SDK reads what the speaker says, and the driver takes every feature to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.conformance.cells import Fails, Works, exact, has, header, lacks, path
from tests.conformance.features import (
    FEATURES,
    HI,
    PARIS,
    PDF_BASE64,
    PLANES,
    PNG_BASE64,
    ROME,
    WAV_BASE64,
    WEATHER_SCHEMA,
)
from tests.conformance.openai_speaker import OpenAISpeaker, chunks, completion, usage
from tests.conformance.playing import KEY, Table, suite
from tests.conformance.said import Said
from tests.conformance.stage import Own, Stage, staged
from tests.openai_api.asks import ODD_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

# --- The SDK ---------------------------------------------------------------------------------------

SAID = [
    pytest.param(feature.said, id=name)
    for name, feature in FEATURES.items()
    if feature.said is not FEATURES["text"].said
]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged(OpenAISpeaker()) as running:
        yield running


@pytest.fixture
def client(stage: Stage) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=stage.url, api_key="none", max_retries=0) as made:
        yield made


def ask(client: openai.OpenAI) -> Any:
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize("said", SAID)
def test_the_sdk_reads_a_whole_answer(stage: Stage, client: openai.OpenAI, said: Said) -> None:
    stage.says(said)
    check(ask(client), said)


@pytest.mark.parametrize("said", SAID)
def test_the_sdk_reads_a_stream(stage: Stage, client: openai.OpenAI, said: Said) -> None:
    stage.says(said)
    with client.chat.completions.stream(
        model="m", messages=[{"role": "user", "content": "Hi"}], stream_options={"include_usage": True}
    ) as stream:
        state = [event.snapshot for event in stream if event.type == "chunk"][-1]
    check(state, said)


def check(answer: Any, said: Said) -> None:
    """The SDK has read what was said."""
    choice = answer.choices[0]
    assert (choice.message.content or "") == said.text
    assert choice.finish_reason == said.finish
    assert getattr(choice.message, "reasoning_content", "") == said.reasoning
    calls = [(call.id, call.function.name) for call in choice.message.tool_calls or ()]
    assert calls == [(call.id, call.name) for call in said.calls]
    assert len(getattr(choice.message, "images", ())) == len(said.pictures)
    used = answer.usage
    assert (used.prompt_tokens, used.completion_tokens) == (said.prompt_tokens, said.completion_tokens)
    assert used.prompt_tokens_details.cached_tokens == said.cached_tokens


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("invalid_value", openai.BadRequestError),
        ("invalid_api_key", openai.AuthenticationError),
        ("insufficient_permissions", openai.PermissionDeniedError),
        ("model_not_found", openai.NotFoundError),
        ("request_too_large", openai.APIStatusError),
        ("rate_limit_exceeded", openai.RateLimitError),
        ("server_error", openai.InternalServerError),
        ("overloaded", openai.InternalServerError),
    ],
)
def test_the_sdk_raises_its_own_exceptions(
    stage: Stage, client: openai.OpenAI, word: str, kind: type[openai.APIStatusError]
) -> None:
    stage.fails(word)
    with pytest.raises(kind) as raised:
        ask(client)
    assert (raised.value.code, raised.value.status_code) == (word, stage.speaker.faults[word])


def test_the_sdk_sees_an_error_in_a_stream(stage: Stage, client: openai.OpenAI) -> None:
    stage.breaks(Said("Hello"), "server_error")
    with pytest.raises(openai.APIError, match="server_error"):
        list(
            client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
            )
        )


# --- The driver ------------------------------------------------------------------------------------

_LIKELY = {"content": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]}
_USAGE = usage(Said())


def _choices(*choices: tuple[int, str], **more: Any) -> Own:
    """Several choices, each with its text, whole and bit by bit."""
    said = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
        for index, text in choices
    ]
    pieces: list[dict[str, Any]] = [
        {"index": index, "delta": {"role": "assistant", "content": text}, "finish_reason": None, **more}
        for index, text in choices
    ]
    ends = [{"index": index, "delta": {}, "finish_reason": "stop"} for index, _ in choices]
    return Own(completion(said, _USAGE), chunks(pieces + ends, _USAGE))


TABLE = Table(
    OpenAISpeaker(),
    {
        "text": Works(
            path("/chat/completions"),
            header("authorization", f"Bearer {KEY}"),
            has("model", "m"),
            has("messages", HI),
            lacks("provider"),
        ),
        "system prompt": Works(has("messages.0", {"role": "system", "content": "Be brief."})),
        "developer prompt": Works(has("messages.0", {"role": "developer", "content": "Be brief."})),
        "conversation": Works(has("messages.1", {"role": "assistant", "content": "Hello."})),
        "text in parts": Works(has("messages.0.content.1", {"type": "text", "text": "Two."})),
        "unicode": Works(has("messages.0.content", PLANES)),
        "temperature": Works(has("temperature", 0.25)),
        "top_p": Works(has("top_p", 0.5)),
        "stop": Works(has("stop", ["END", "STOP"])),
        "max_tokens": Works(has("max_tokens", 50)),
        "max_completion_tokens": Works(has("max_completion_tokens", 50)),
        "penalties": Works(has("presence_penalty", 0.5), has("frequency_penalty", 0.25)),
        "seed": Works(has("seed", 42)),
        "several choices": Works(
            has("n", 2),
            said=_choices((0, "One."), (1, "Two.")),
            answer={"choices": [{"text": "One.", "finish": "stop"}, {"text": "Two.", "finish": "stop"}]},
        ),
        "logprobs": Works(
            has("logprobs", value=True),
            has("top_logprobs", 2),
            said=_choices((0, "Hi"), logprobs=_LIKELY),
            answer={"choices": [{"text": "Hi", "logprobs": [("Hi", -0.5)], "finish": "stop"}]},
        ),
        "logit bias": Works(has("logit_bias", {"50256": -100})),
        "user": Works(has("user", "user-1")),
        "tools": Works(has("tools.0.function", {"name": "weather", "parameters": WEATHER_SCHEMA})),
        "parallel tool calls": Works(),
        "tool call beside text": Works(),
        "tool call without arguments": Works(),
        "tool schema byte for byte": Works(exact("tools.0.function.parameters", ODD_SCHEMA)),
        "one tool call at a time": Works(has("parallel_tool_calls", value=False)),
        "tool choice auto": Works(has("tool_choice", "auto")),
        "tool choice none": Works(has("tool_choice", "none")),
        "tool choice required": Works(has("tool_choice", "required")),
        "forced tool": Works(has("tool_choice", {"type": "function", "function": {"name": "weather"}})),
        "tool results": Works(
            has("messages.1.tool_calls.0.function.arguments", '{"city": "Paris"}'),
            has("messages.2", {"role": "tool", "tool_call_id": PARIS.id, "content": "rain"}),
            has("messages.3", {"role": "tool", "tool_call_id": ROME.id, "content": '{"sky": "clear"}'}),
        ),
        "image as data": Works(
            has("messages.0.content.1.image_url.url", f"data:image/png;base64,{PNG_BASE64}")
        ),
        "image by address": Works(
            has("messages.0.content.1.image_url.url", "https://images.example/cat.png")
        ),
        "file": Works(
            has(
                "messages.0.content.1.file",
                {"file_data": f"data:application/pdf;base64,{PDF_BASE64}", "filename": "paper.pdf"},
            )
        ),
        "audio in": Works(has("messages.0.content.1.input_audio", {"data": WAV_BASE64, "format": "wav"})),
        "image out": Works(has("modalities", ["text", "image"])),
        "JSON Schema": Works(
            has("response_format.json_schema", {"name": "report", "schema": WEATHER_SCHEMA, "strict": True})
        ),
        "JSON Schema byte for byte": Works(exact("response_format.json_schema.schema", ODD_SCHEMA)),
        "JSON object": Works(has("response_format", {"type": "json_object"})),
        "reasoning effort": Works(has("reasoning_effort", "low")),
        "reasoning told": Works(),
        "reasoning beside a call": Works(),
        "reasoning given back": Works(has("messages.1.reasoning_content", "I must look.")),
        "usage": Works(),
        "cached tokens": Works(),
        "cache breakpoint": Works(
            has("messages.0.content.0.prompt_cache_breakpoint", {"mode": "explicit"})
        ),
        "unknown member": Works(has("x_new", {"a": [1, "b"]})),
        "finish: stop": Works(),
        "finish: length": Works(has("max_tokens", 1)),
        "finish: tool_calls": Works(),
        "finish: content_filter": Works(),
        "fault: wrong request": Fails("invalid_value"),
        "fault: key": Fails("invalid_api_key"),
        "fault: permission": Fails("insufficient_permissions"),
        "fault: model": Fails("model_not_found"),
        "fault: too large": Fails("request_too_large"),
        "fault: rate limit": Fails("rate_limit_exceeded"),
        "fault: overloaded": Fails("overloaded"),
        "fault: server": Fails("server_error"),
        "fault: in a stream": Fails("server_error", cause="broken_answer"),
        "fault: cut off": Fails(""),
    },
)
scene, test_the_table_is_complete, test_features = suite(TABLE)
