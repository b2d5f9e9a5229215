"""Whatever an upstream says, a driver raises no other errors than its own."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interference.v1.chat_pb2 import CreateCompletionRequest
from server.errors import AttemptFailed, RequestRefused
from server.operations import Request
from tests.server.drivers.gemini.dialect import DIALECT, answer, chat, target
from tests.server.drivers.gemini.test_media import draw, embed

OWN = (AttemptFailed, RequestRefused)
REQUESTS = [chat(), embed("a"), draw()]
words = st.text(max_size=6) | st.sampled_from(
    [
        "STOP",
        "SAFETY",
        "MALFORMED_FUNCTION_CALL",
        "MISSING_THOUGHT_SIGNATURE",
        "image/png",
        "audio/L16",
        "AAA=",
    ]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words
names = st.sampled_from(
    [
        *("candidates", "content", "parts", "text", "thought", "thoughtSignature", "functionCall", "name"),
        *("args", "id", "inlineData", "mimeType", "data", "finishReason", "finishMessage", "index"),
        *("promptFeedback", "blockReason", "usageMetadata", "promptTokenCount", "thoughtsTokenCount"),
        *("totalTokenCount", "promptTokensDetails", "modality", "tokenCount", "responseId", "modelVersion"),
        *("logprobsResult", "chosenCandidates", "topCandidates", "logProbability", "tokenId", "token"),
        *("error", "code", "status", "message", "details", "reason", "retryDelay", "embeddings", "values"),
        *("models", "supportedGenerationMethods", "extra", "choices", "usage", "images", "routing"),
    ]
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | words, inner, max_size=4),
    max_leaves=20,
)


def near(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Answers that are nearly right."""
    blob = st.fixed_dictionaries({}, optional={"mimeType": words | inner, "data": words | inner})
    called = st.fixed_dictionaries({}, optional={"name": words, "args": inner, "id": inner, "x": inner})
    part = st.fixed_dictionaries(
        {},
        optional={
            "text": words | inner,
            "thought": st.booleans() | inner,
            "thoughtSignature": words | inner,
            "functionCall": called | inner,
            "inlineData": blob | inner,
            "executableCode": inner,
        },
    )
    content = st.fixed_dictionaries({"parts": st.lists(part | inner, max_size=3)}, optional={"x": inner})
    token = st.fixed_dictionaries({}, optional={"token": words, "logProbability": inner, "tokenId": inner})
    likely = st.fixed_dictionaries({"chosenCandidates": st.lists(token, max_size=2)})
    one = st.fixed_dictionaries(
        {"content": content | inner},
        optional={"finishReason": words | inner, "index": inner, "logprobsResult": likely, "x": inner},
    )
    count = st.integers(-2, 2**33) | inner
    details = st.lists(st.fixed_dictionaries({"modality": words, "tokenCount": count}), max_size=2)
    cost = st.fixed_dictionaries(
        {}, optional={"promptTokenCount": count, "totalTokenCount": count, "promptTokensDetails": details}
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "candidates": st.lists(one, max_size=3),
            "usageMetadata": cost | inner,
            "x": inner,
            "promptFeedback": st.fixed_dictionaries({"blockReason": words}) | inner,
            "embeddings": st.lists(st.fixed_dictionaries({"values": st.lists(inner, max_size=2)})),
        },
    )


told = st.one_of(
    st.binary(max_size=40),
    anything.map(lambda value: json.dumps(value).encode()),
    near(anything).map(lambda value: json.dumps(value).encode()),
)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
@given(body=told)
def test_any_whole_answer_is_read_or_broken(request_: Request, body: bytes) -> None:
    translator = DIALECT.translators[type(request_)]
    try:
        made: Any = translator.answer(answer(body), request_, target())
    except OWN:
        return
    assert made.provider == "Up"
    assert len(made.SerializeToString()) < 50 * len(body) + 1000


@given(events=st.lists(told, max_size=4))
def test_any_stream_is_read_or_broken(events: list[bytes]) -> None:
    decoder = DIALECT.streams[CreateCompletionRequest].decoder(
        chat(stream_options={"include_usage": True}), target()
    )
    size = 0
    try:
        for event in events:
            size += sum(len(chunk.SerializeToString()) for chunk in decoder.feed([event]))
        size += sum(len(chunk.SerializeToString()) for chunk in decoder.end())
    except OWN:
        return
    assert size < 50 * sum(map(len, events)) + 1000


@given(body=told, status=st.integers(300, 599))
def test_any_error_is_told_as_one(body: bytes, status: int) -> None:
    assert isinstance(DIALECT.failure(answer(body, status), target()), OWN)


@given(body=told)
def test_any_list_of_models_is_read_or_broken(body: bytes) -> None:
    try:
        DIALECT.models(answer(body))
    except OWN:
        return


@pytest.mark.parametrize("opening", [b"[", b'{"candidates":[', b'{"a":'])
def test_what_is_nested_without_end_is_broken(opening: bytes) -> None:
    with pytest.raises(AttemptFailed):
        DIALECT.translators[CreateCompletionRequest].answer(answer(opening * 100_000), chat(), target())


def test_calls_without_end_are_broken() -> None:
    call = {"functionCall": {"name": "f"}}
    body = {"candidates": [{"content": {"parts": [call] * 1001}}]}
    with pytest.raises(AttemptFailed, match="1000 tools"):
        DIALECT.translators[CreateCompletionRequest].answer(answer(body), chat(), target())
