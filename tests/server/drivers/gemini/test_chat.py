"""Requests for chat completions, and whole answers: bytes out, bytes in."""

from typing import Any

import pytest

from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.gemini.dialect import (
    KEY,
    body,
    candidate,
    chat,
    config,
    read,
    said,
    sent,
)


def test_the_method_is_in_the_address_and_the_key_in_its_header() -> None:
    request = sent(chat(), "gemini-3.8-flash")
    assert request.url == "https://up/v1beta/models/gemini-3.8-flash:generateContent"
    assert request.headers["x-goog-api-key"] == KEY
    url = sent(chat(), stream=True).url
    assert url == "https://up/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"


@pytest.mark.parametrize(
    ("model", "resource"),
    [
        ("m", "models/m"),
        ("models/m", "models/m"),
        ("tunedModels/mine", "tunedModels/mine"),
        ("a b?c#d", "models/a%20b%3Fc%23d"),
        ("../files/x", "models/..%2Ffiles%2Fx"),
        ("tunedModels/../x", "models/tunedModels%2F..%2Fx"),
    ],
)
def test_a_models_name_cannot_leave_its_place(model: str, resource: str) -> None:
    assert sent(chat(), model).url == f"https://up/v1beta/{resource}:generateContent"


@pytest.mark.parametrize(
    ("fields", "made"),
    [
        ({"temperature": 1.0}, {"temperature": 1}),
        ({"temperature": 0.7, "top_p": 0.9}, {"temperature": 0.7, "topP": 0.9}),
        ({"n": 1}, {}),
        ({"n": 3}, {"candidateCount": 3}),
        ({"max_tokens": 5}, {"maxOutputTokens": 5}),
        ({"stop": ["a"], "seed": 7}, {"stopSequences": ["a"], "seed": 7}),
        ({"logprobs": True}, {"responseLogprobs": True}),
        ({"response_format": {"type": "text"}}, {}),
        ({"modalities": ["audio"]}, {"responseModalities": ["AUDIO"]}),
        (
            {"audio": {"format": "pcm16", "voice": {"name": "Kore"}}},
            {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}},
        ),
    ],
)
def test_parameters_are_said_in_its_words(fields: Any, made: Any) -> None:
    assert config(**fields) == made


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"service_tier": "scale"}, "service_tier"),
        ({"audio": {"format": "mp3"}}, "audio"),
        *(
            ({"tool_choice": {"allowed_tools": {"mode": "auto", "tools": tools}}}, "tool_choice")
            for tools in (
                *('[{"custom": 1}]', '[{"function": {"name": ""}}]', '[{"function": {}}]', "[5]"),
                *("[]", "{}", '{"function": {"name": "f"}}', "null", "nope", ""),
            )
        ),
        ({"reasoning_effort": "none"}, "reasoning_effort"),
    ],
)
def test_what_cannot_be_said_to_it_passes_it_over(fields: Any, param: str) -> None:
    with pytest.raises(AttemptFailed) as caught:
        sent(chat(**fields), "gemini-2.5-pro")
    assert (caught.value.cause, caught.value.param, caught.value.blame) == (
        "parameter_unsupported",
        param,
        False,
    )


def test_parameters_that_the_row_drops_are_not_sent() -> None:
    asked = chat(temperature=0.5, top_p=0.5, max_tokens=5, tools=[{"function": {"name": "f"}}])
    made = body(asked, "m", params=["top_p", "max_completion_tokens"], unsupported="drop")
    assert made["generationConfig"] == {"topP": 0.5, "maxOutputTokens": 5}
    assert "tools" not in made


@pytest.mark.parametrize(
    ("model", "effort", "made"),
    [
        ("gemini-2.5-flash", "", {"includeThoughts": True}),
        ("gemini-2.5-flash", "minimal", {"includeThoughts": True, "thinkingBudget": 1024}),
        ("gemini-2.5-flash", "high", {"includeThoughts": True, "thinkingBudget": 24576}),
        ("gemini-2.5-flash-lite", "none", {"thinkingBudget": 0}),
        ("models/gemini-3-flash-preview", "minimal", {"includeThoughts": True, "thinkingLevel": "MINIMAL"}),
        ("gemini-3.1-pro-preview", "minimal", {"includeThoughts": True, "thinkingLevel": "LOW"}),
        ("gemini-3.8-flash", "minimal", {"includeThoughts": True, "thinkingLevel": "LOW"}),
        ("gemini-3.8-flash", "", {"includeThoughts": True}),
        ("gemini-3.8-flash", "medium", {"includeThoughts": True, "thinkingLevel": "MEDIUM"}),
        ("gemini-4-argon", "none", {"thinkingBudget": 0}),
        ("gemini-flash-latest", "high", {"includeThoughts": True, "thinkingLevel": "HIGH"}),
        ("gemini-2.0-flash", "", None),
        ("gemini-2.5-flash-image", "", None),
        ("gemma-4-31b-it", "", None),
        ("gemma-4-31b-it", "low", {"includeThoughts": True, "thinkingLevel": "LOW"}),
    ],
)
def test_how_hard_to_think_is_said_as_the_generation_takes_it(model: str, effort: str, made: Any) -> None:
    fields = {"reasoning_effort": effort} if effort else {}
    assert config(model, **fields).get("thinkingConfig") == made


@pytest.mark.parametrize(
    ("model", "effort"),
    [("gemini-2.5-pro", "none"), ("gemini-3.8-flash", "none"), ("gemini-2.5-flash", "xhigh")],
)
def test_an_effort_that_a_generation_lacks_passes_it_over(model: str, effort: str) -> None:
    with pytest.raises(AttemptFailed, match=effort):
        sent(chat(reasoning_effort=effort), model)


def test_members_beyond_the_contract_join_what_is_made_of_the_rest() -> None:
    extra = """{"generationConfig": {"topK": 40.0, "thinkingConfig": {"thinkingBudget": 5}},
                "safetySettings": [{"category": "HARM"}], "cachedContent": "cachedContents/1"}"""
    made = sent(chat(temperature=0.5, extra_json=extra)).body
    assert b'"topK":40.0' in made
    made = body(chat(temperature=0.5, extra_json=extra))
    assert made["generationConfig"] == {
        "temperature": 0.5,
        "topK": 40,
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 5},
    }
    assert (made["safetySettings"], made["cachedContent"]) == ([{"category": "HARM"}], "cachedContents/1")


@pytest.mark.parametrize(
    ("fields", "made"),
    [
        pytest.param(
            {"tools": [{"extra_json": '{"googleSearch": {}}'}]}, {"tools": [{"googleSearch": {}}]}, id="own"
        ),
        pytest.param(
            {"tools": [{"function": {"name": "f"}}, {"extra_json": '{"urlContext": {}}'}]},
            {"tools": [{"functionDeclarations": [{"name": "f"}]}, {"urlContext": {}}]},
            id="its own beside a function",
        ),
        pytest.param(
            {
                "tools": [
                    {"function": {"name": "f", "strict": True, "extra_json": '{"behavior": "BLOCKING"}'}}
                ]
            },
            {
                "tools": [{"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}]}],
                "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}},
            },
            id="strict",
        ),
        pytest.param(
            {
                "tool_choice": {
                    "allowed_tools": {"mode": "required", "tools": '[{"function": {"name": "f"}}]'}
                }
            },
            {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}},
            id="some must",
        ),
        pytest.param(
            {"tool_choice": {"allowed_tools": {"mode": "auto", "tools": '[{"function": {"name": "f"}}]'}}},
            {"toolConfig": {"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}}},
            id="some may",
        ),
    ],
)
def test_tools_are_said_in_its_words(fields: Any, made: Any) -> None:
    asked = body(chat(**fields), "m")
    assert {name: asked.get(name) for name in made} == made


# https://ai.google.dev/api/generate-content#response-body, with all that a search adds.
SEARCHED = {
    "candidates": [
        {
            "content": {"parts": [{"text": "Spain won."}], "role": "model"},
            "finishReason": "STOP",
            "index": 0,
            "groundingMetadata": {"webSearchQueries": ["euro 2024"]},
            "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}],
            "citationMetadata": {"citationSources": [{"uri": "https://a.example"}]},
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 10,
        "candidatesTokenCount": 20,
        "totalTokenCount": 45,
        "toolUsePromptTokenCount": 12,
        "thoughtsTokenCount": 3,
        "cachedContentTokenCount": 4,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 6},
            {"modality": "IMAGE", "tokenCount": 3},
            {"modality": "VIDEO", "tokenCount": 1},
        ],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
        "trafficType": "ON_DEMAND",
    },
    "modelVersion": "gemini-2.5-flash-001",
    "responseId": "r1",
    "modelStatus": {"modelStage": "STABLE"},
}


def test_a_whole_answer_is_read() -> None:
    completion = read(chat(), SEARCHED)
    choice = completion.choices[0]
    assert (completion.id, completion.object, completion.model, completion.provider) == (
        *("r1", "chat.completion", "gemini-2.5-flash-001"),
        "Up",
    )
    assert (choice.message.role, choice.message.content, choice.finish_reason) == (
        *("assistant", "Spain won."),
        "stop",
    )
    assert completion.created > 0


def test_what_it_adds_comes_back_where_it_belongs() -> None:
    completion = read(chat(), SEARCHED)
    extra = completion.choices[0].extra
    assert extra["groundingMetadata"]["webSearchQueries"][0] == "euro 2024"
    assert extra["safetyRatings"][0]["probability"] == "NEGLIGIBLE"
    assert extra["citationMetadata"]["citationSources"][0]["uri"] == "https://a.example"
    assert completion.extra["modelStatus"]["modelStage"] == "STABLE"


def test_what_it_cost_is_told() -> None:
    usage = read(chat(), SEARCHED).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (22, 23, 45)
    prompt, written = usage.prompt_tokens_details, usage.completion_tokens_details
    assert (prompt.cached_tokens, prompt.text_tokens, prompt.image_tokens) == (4, 6, 3)
    assert (written.reasoning_tokens, written.audio_tokens) == (3, 5)
    assert prompt.extra["video_tokens"] == 1
    assert (usage.extra["trafficType"], usage.extra["toolUsePromptTokenCount"]) == ("ON_DEMAND", 12)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        *(("STOP", "stop"), ("MAX_TOKENS", "length"), ("CONTINUATION", "length")),
        *((word, "content_filter") for word in ("SAFETY", "RECITATION", "BLOCKLIST", "SPII")),
        *((word, "content_filter") for word in ("PROHIBITED_CONTENT", "IMAGE_SAFETY", "IMAGE_RECITATION")),
        *(("LANGUAGE", "language"), ("OTHER", "other"), ("TOO_MANY_TOOL_CALLS", "too_many_tool_calls")),
        ("SOMETHING_NEW", "something_new"),
    ],
)
def test_why_it_ended_is_told(reason: str, told: str) -> None:
    choice = said({"text": "a"}, finishReason=reason).choices[0]
    assert choice.finish_reason == told
    if reason not in ("STOP", "MAX_TOKENS"):
        assert choice.extra["native_finish_reason"] == reason


@pytest.mark.parametrize(
    "reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"]
)
def test_an_answer_that_went_wrong_has_failed(reason: str) -> None:
    with pytest.raises(AttemptFailed, match=f"{reason}: print") as caught:
        said(finishReason=reason, finishMessage=f"print(1) {KEY}")
    assert caught.value.cause == "broken_answer"
    assert KEY not in caught.value.message


def test_signatures_that_are_missed_tell_of_the_request() -> None:
    with pytest.raises(AttemptFailed) as caught:
        said(finishReason="MISSING_THOUGHT_SIGNATURE")
    assert (caught.value.cause, caught.value.blame) == ("parameter_unsupported", False)


def test_a_prompt_that_is_blocked_is_an_answer() -> None:
    ratings = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH"}]
    blocked = {"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": ratings}}
    completion = read(chat(), blocked | {"usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}})
    choice = completion.choices[0]
    assert (choice.finish_reason, choice.message.refusal) == (
        "content_filter",
        "The prompt was blocked: SAFETY.",
    )
    assert completion.extra["promptFeedback"]["safetyRatings"][0]["probability"] == "HIGH"
    assert completion.usage.total_tokens == 5


def test_calls_have_ids_and_no_two_the_same() -> None:
    call = {"functionCall": {"name": "f", "id": "1"}}
    message = said(call, call, {"functionCall": {"name": "g", "args": {"a": 1}}}).choices[0].message
    assert len({made.id for made in message.tool_calls}) == 3
    assert message.tool_calls[0].id == "1"
    assert [made.function.arguments for made in message.tool_calls] == ["{}", "{}", '{"a":1}']
    assert not any(made.HasField("index") for made in message.tool_calls)


def test_sound_is_told() -> None:
    sound = (
        said({"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "AAA="}}).choices[0].message.audio
    )
    assert (sound.data, sound.extra["mime_type"]) == ("AAA=", "audio/L16;rate=24000")
    assert sound.id.startswith("audio_")


def test_how_likely_tokens_were_is_told() -> None:
    chosen = [{"token": "é", "tokenId": 5, "logProbability": -0.25}]
    top = [{"candidates": [{"token": "é", "logProbability": -0.25}, {"token": "e", "logProbability": -2}]}]
    choice = said({"text": "é"}, logprobsResult={"chosenCandidates": chosen, "topCandidates": top}).choices[
        0
    ]
    likely = choice.logprobs.content[0]
    assert (likely.token, likely.logprob, list(likely.bytes)) == ("é", -0.25, [0xC3, 0xA9])
    assert [(one.token, one.logprob) for one in likely.top_logprobs] == [("é", -0.25), ("e", -2)]


def test_probabilities_of_another_shape_are_kept() -> None:
    choice: Any = said({"text": "a"}, logprobsResult={"chosenCandidates": "x"}).choices[0]
    assert not choice.HasField("logprobs")
    assert choice.extra["logprobsResult"]["chosenCandidates"] == "x"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"nope", id="no JSON"),
        pytest.param([], id="no object"),
        pytest.param({}, id="nothing"),
        pytest.param({"candidates": {}}, id="no candidates"),
        pytest.param({"candidates": 5}, id="a number of candidates"),
        pytest.param({"candidates": [5]}, id="a candidate that is none"),
        pytest.param({"candidates": [candidate(index=-1)]}, id="a place that is none"),
        pytest.param({"candidates": [candidate(content=[])]}, id="content of another shape"),
        pytest.param({"candidates": [candidate("text")]}, id="a part that is none"),
        pytest.param({"candidates": [candidate({"text": 5})]}, id="a text that is none"),
        pytest.param({"candidates": [candidate({"functionCall": {"args": {}}})]}, id="a call of nothing"),
        pytest.param({"candidates": [candidate({"functionCall": {"name": "f", "args": 5}})]}, id="no args"),
        pytest.param({"candidates": [candidate({"inlineData": {"data": 5}})]}, id="no data"),
        pytest.param({"candidates": [candidate(finishReason=5)]}, id="no reason"),
        pytest.param({"promptFeedback": {"blockReason": 5}}, id="blocked for nothing"),
    ],
)
def test_an_answer_of_another_shape_is_a_broken_one(content: Any) -> None:
    with pytest.raises(AttemptFailed) as caught:
        read(chat(), content)
    assert caught.value.cause == "broken_answer"


def test_members_that_are_the_contracts_own_cannot_be_told_by_it() -> None:
    completion = read(chat(), {"candidates": [candidate()], "routing": {"total_ms": 5}, "provider": "x"})
    assert not completion.HasField("routing")
    assert (completion.provider, completion.extra["provider"]) == ("Up", "x")
    choice = said({"text": "a"}, logprobs={"content": []}, delta={"content": "x"}).choices[0]
    assert not choice.HasField("logprobs")


def test_an_error_in_a_success_is_one() -> None:
    with pytest.raises(RequestRefused):
        read(chat(), {"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}})
