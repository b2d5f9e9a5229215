"""OpenAI's dialect: bytes in, bytes out."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletionChunk
from interference.v1.images_pb2 import GenerateImagesRequest
from server.drivers.base import Target
from server.drivers.openai import OpenAIDecoder, OpenAIDialect
from server.errors import AttemptFailed, RequestRefused
from server.rows import Row
from server.transport import HttpAnswer

KEY = "sk-secret-0123456789"
DIALECT = OpenAIDialect()


def target(**row: Any) -> Target:
    fields = {"id": "Up", "driver": "openai", "base_url": "https://up/v1/", "key_env": "UP_KEY"}
    return Target(Row(**(fields | row)), "own-name", KEY)


def chat(**fields: Any) -> CreateCompletionRequest:
    messages: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
    return CreateCompletionRequest(model="public", providers=["Up"], messages=messages, **fields)


def body(request: CreateCompletionRequest, *, stream: bool = False, **row: Any) -> Any:
    return json.loads(DIALECT.chat_request(request, target(**row), stream=stream).body)


def answer(content: Any, status: int = 200, **headers: str) -> HttpAnswer:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HttpAnswer(status, headers, data)


# --- Chat ------------------------------------------------------------------------------------------


def test_a_request_names_the_providers_own_model_and_shows_its_key() -> None:
    sent = DIALECT.chat_request(chat(), target(), stream=False)
    assert (sent.method, sent.url) == ("POST", "https://up/v1/chat/completions")
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(sent.body) == {
        "model": "own-name",
        "messages": [{"role": "user", "content": "Hi"}],
    }


def test_without_a_key_none_is_shown() -> None:
    keyless = Target(target().row, "m", None)
    assert "authorization" not in DIALECT.chat_request(chat(), keyless, stream=False).headers


@pytest.mark.parametrize(
    ("fields", "row", "sent"),
    [
        pytest.param({"n": 1}, {"params": ["seed"]}, {}, id="n of one is not said"),
        pytest.param({"n": 1}, {}, {"n": 1}, id="n of one where it is known"),
        pytest.param(
            {"max_completion_tokens": 5},
            {"params": ["max_tokens"]},
            {"max_tokens": 5},
            id="the older name of the limit",
        ),
        pytest.param(
            {"max_tokens": 5},
            {"params": ["max_completion_tokens"]},
            {"max_completion_tokens": 5},
            id="the newer name of the limit",
        ),
        pytest.param(
            {"seed": 1, "top_p": 0.5, "extra_json": '{"top_k": 2}'},
            {"params": ["seed"], "unsupported": "drop"},
            {"seed": 1, "top_k": 2},
            id="dropped, but not what is unknown",
        ),
    ],
)
def test_parameters_are_sent_as_the_row_says(
    fields: dict[str, Any], row: dict[str, Any], sent: dict[str, Any]
) -> None:
    got = body(chat(**fields), **row)
    assert {key: got[key] for key in got if key not in ("model", "messages")} == sent


def test_a_stream_asks_for_usage_where_the_caller_did() -> None:
    request = chat(stream_options={"include_usage": True})
    assert body(request, stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body(request, stream=True, params=["seed"])
    assert "stream_options" not in body(request)


def test_a_completion_is_read_and_completed() -> None:
    raw = {"choices": [{"message": {"content": "Hello", "reasoning_content": "Hm"}}]}
    completion = DIALECT.completion(answer(raw), target())
    choice = completion.choices[0]
    assert completion.id.startswith("chatcmpl-")
    assert (completion.object, completion.model) == ("chat.completion", "own-name")
    assert completion.provider == "Up"
    assert completion.created > 0
    assert choice.HasField("index")
    assert (choice.message.role, choice.message.reasoning) == ("assistant", "Hm")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="no choices"),
        pytest.param(b'{"choices": []}', id="empty choices"),
        pytest.param(b'{"choices": [1]}', id="odd choices"),
        pytest.param(b'{"choices": [{}]}', id="no message"),
        pytest.param(b'{"choices": [{"message": {"content": "\xff"}}]}', id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="very deep"),
        pytest.param(b'{"choices": [{"message": {"x": %s1%s}}]}' % (b"[" * 950, b"]" * 950), id="deep"),
        pytest.param(b'{"choices": [{"message": {"x": 1%s}}]}' % (b"0" * 5000), id="an endless number"),
    ],
)
def test_an_answer_that_is_none_is_broken(content: bytes) -> None:
    with pytest.raises(AttemptFailed) as failed:
        DIALECT.completion(answer(content), target())
    assert failed.value.cause == "broken_answer"


# --- Streams ---------------------------------------------------------------------------------------


def decoder(**fields: Any) -> OpenAIDecoder:
    return DIALECT.decoder(chat(**fields), target())


def feed(reader: OpenAIDecoder, *events: bytes) -> ChatCompletionChunk | None:
    """What comes of events that give one chunk at most."""
    chunks = list(reader.feed(events))
    assert len(chunks) <= 1
    return chunks[0] if chunks else None


def event(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_a_chunk_is_read_and_completed() -> None:
    reader = decoder()
    chunk = feed(reader, event(choices=[{"delta": {"content": "a"}}]))
    assert chunk is not None
    assert (chunk.object, chunk.provider) == ("chat.completion.chunk", "Up")
    assert chunk.choices[0].HasField("index")
    later = feed(reader, event(choices=[{"delta": {"content": "b"}}]))
    assert later is not None
    assert later.id == chunk.id


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [
        pytest.param([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab", "", id="text"),
        pytest.param(
            [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}], "", "Hm", id="thinking"
        ),
        pytest.param(
            [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "a"}], "a", "Hm", id="both"
        ),
    ],
)
def test_content_in_parts_is_joined(content: Any, text: str, reasoning: str) -> None:
    chunk = feed(decoder(), event(choices=[{"delta": {"content": content}}]))
    assert chunk is not None
    assert (chunk.choices[0].delta.content, chunk.choices[0].delta.reasoning) == (text, reasoning)


@pytest.mark.parametrize("content", [[], [1], [{"type": "image"}], [{"type": "text", "text": 5}]])
def test_content_in_other_parts_is_kept(content: Any) -> None:
    chunk = feed(decoder(), event(choices=[{"delta": {"content": content}}]))
    assert chunk is not None
    assert not chunk.choices[0].delta.HasField("content")


def test_an_upstreams_own_provider_is_kept_apart() -> None:
    chunk = feed(decoder(), event(provider="Behind", choices=[{"delta": {"content": "a"}}]))
    assert chunk is not None
    assert (chunk.provider, chunk.extra["provider"]) == ("Up", "Behind")


def test_usage_is_given_exactly_where_it_was_asked_for() -> None:
    usage = event(choices=[], usage={"prompt_tokens": 1})
    assert feed(decoder(), usage) is None
    given_usage = feed(decoder(stream_options={"include_usage": True}), usage)
    assert given_usage is not None
    assert given_usage.usage.prompt_tokens == 1


def test_texts_that_arrive_together_leave_together() -> None:
    events = [event(id="1", choices=[{"index": 0, "delta": {"content": word}}]) for word in "abc"]
    chunk = feed(decoder(), *events)
    assert chunk is not None
    assert chunk.choices[0].delta.content == "abc"


def test_what_arrived_before_a_fault_is_given_before_it() -> None:
    chunks = decoder().feed([event(choices=[{"index": 0, "delta": {"content": "a"}}]), b"nope"])
    assert next(chunks).choices[0].delta.content == "a"
    with pytest.raises(AttemptFailed):
        next(chunks)


def test_the_last_event_is_known() -> None:
    reader = decoder()
    assert feed(reader, b"[DONE]") is None
    assert reader.done


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        pytest.param(b"nope", "broken_answer", id="not JSON"),
        pytest.param(b"1", "broken_answer", id="no object"),
        pytest.param(event(error={"message": "x"}), "broken_answer", id="an error"),
        pytest.param(event(error={"message": "x", "code": 429}), "rate_limited", id="a 429"),
        pytest.param(event(error="overloaded"), "broken_answer", id="an error as text"),
        pytest.param(event(object="error", message="x"), "broken_answer", id="vLLM's error"),
        pytest.param(
            event(
                error={"code": 502, "message": "x"},
                choices=[{"delta": {"content": ""}, "finish_reason": "error"}],
            ),
            "server_error",
            id="OpenRouter's error",
        ),
        pytest.param(
            event(choices=[{"delta": {}, "finish_reason": "error"}]), "broken_answer", id="a reason"
        ),
    ],
)
def test_a_broken_event_fails_the_attempt(raw: bytes, cause: str) -> None:
    with pytest.raises(AttemptFailed) as failed:
        feed(decoder(), raw)
    assert failed.value.cause == cause


@given(st.binary())
def test_no_event_raises_anything_else(raw: bytes) -> None:
    with contextlib.suppress(AttemptFailed, RequestRefused):
        feed(decoder(), raw)


# --- Failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (301, "broken_answer"),
        (401, "key_refused"),
        (402, "quota_exceeded"),
        (403, "access_refused"),
        (404, "no_such_model"),
        (408, "timed_out"),
        (409, "conflict"),
        (425, "too_early"),
        (429, "rate_limited"),
        (500, "server_error"),
        (529, "server_error"),
    ],
)
def test_a_status_that_is_not_the_requests_fault_fails_the_attempt(status: int, cause: str) -> None:
    error = DIALECT.failure(answer({"error": {"message": "no"}}, status), target())
    assert isinstance(error, AttemptFailed)
    assert (error.cause, error.status) == (cause, status)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_status_that_is_the_requests_fault_refuses_it(status: int) -> None:
    raw = {"error": {"message": "bad n", "param": "n", "code": "invalid_n"}}
    error = DIALECT.failure(answer(raw, status), target())
    assert isinstance(error, RequestRefused)
    assert (error.param, error.reason, error.http_status) == ("n", "invalid_n", status)
    assert error.provider == "Up"
    assert "bad n" in error.message


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'{"error": {"message": "%s"}}', id="an error object"),
        pytest.param(b'{"error": "%s"}', id="an error text"),
        pytest.param(b'{"message": "%s"}', id="a message"),
        pytest.param(b'{"error": {"detail": [{"msg": "%s"}]}}', id="details"),
    ],
)
def test_an_upstreams_words_come_through_without_our_key(raw: bytes) -> None:
    error = DIALECT.failure(answer(raw % f"wrong key {KEY}".encode(), 500), target())
    assert "wrong key [key]" in str(error)
    assert KEY not in str(error)


def test_a_web_page_is_not_quoted() -> None:
    error = DIALECT.failure(answer(b"<html>Bad gateway</html>", 502), target())
    assert "502" in str(error)
    assert "<" not in str(error)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-1", 0.0), ("nan", None), ("soon", None), ("1e99", 86_400.0)],
)
def test_retry_after_is_read(header: str, seconds: float | None) -> None:
    error = DIALECT.failure(answer({}, 429, **{"retry-after": header}), target())
    assert isinstance(error, AttemptFailed)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        pytest.param({"code": "model_not_found"}, "no_such_model", id="no such model"),
        pytest.param({"code": None, "param": "model"}, "no_such_model", id="a fault of the model"),
        pytest.param({"code": "unsupported_parameter"}, "parameter_unsupported", id="parameter"),
        pytest.param({"type": "unsupported_value"}, "parameter_unsupported", id="value"),
    ],
)
def test_a_400_that_tells_what_a_provider_lacks_fails_the_attempt(
    fields: dict[str, Any], cause: str
) -> None:
    error = DIALECT.failure(answer({"error": {"message": "no", **fields}}, 400), target())
    assert isinstance(error, AttemptFailed)
    assert error.cause == cause


@pytest.mark.parametrize("field", ["code", "type", "param"])
def test_words_that_are_none_or_hold_our_key_are_not_passed_on(field: str) -> None:
    for word in (KEY, f"x{KEY}", "two words", "x" * 100, 5, ["a"]):
        error = DIALECT.failure(answer({"error": {"message": "no", field: word}}, 400), target())
        assert isinstance(error, RequestRefused)
        assert (error.reason, error.param) == ("refused_by_provider", None)


# --- Images and models -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "params", "sent"),
    [
        pytest.param({"size": "4x2"}, ["size"], {"size": "4x2"}, id="size"),
        pytest.param({"width": 4, "height": 2}, ["size"], {"size": "4x2"}, id="sides as a size"),
        pytest.param({"size": "4x2"}, ["width", "height"], {"width": 4, "height": 2}, id="a size as sides"),
        pytest.param({"size": "auto"}, ["size"], {"size": "auto"}, id="auto"),
        pytest.param({"size": "auto"}, ["width"], {}, id="auto where it goes without saying"),
        pytest.param({"response_format": "url"}, [], {}, id="a format that is not taken"),
        pytest.param(
            {"response_format": "url"},
            ["response_format"],
            {"response_format": "url"},
            id="a format that is taken",
        ),
    ],
)
def test_an_image_request_is_sent_as_the_row_says(
    fields: dict[str, Any], params: list[str], sent: dict[str, Any]
) -> None:
    request = GenerateImagesRequest(prompt="p", **fields)
    made = DIALECT.images_request(request, target(image_params=params))
    assert made.url == "https://up/v1/images/generations"
    assert json.loads(made.body) == {"model": "own-name", "prompt": "p", **sent}


def test_images_are_read() -> None:
    made = DIALECT.images(answer({"created": 5, "data": [{"url": "http://i"}]}), target())
    assert (made.data[0].url, made.created, made.provider) == ("http://i", 5, "Up")


@pytest.mark.parametrize("raw", [{}, {"data": []}, {"data": [{}]}, {"data": [{"url": ""}]}])
def test_an_answer_without_images_is_broken(raw: Any) -> None:
    with pytest.raises(AttemptFailed):
        DIALECT.images(answer(raw), target())


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({"data": [{"id": "a"}, {"id": "models/b"}, {"id": 5}, 7]}, id="OpenAI's"),
        pytest.param([{"id": "a"}, {"id": "b"}], id="a bare list"),
    ],
)
def test_a_list_of_models_is_read(raw: Any) -> None:
    assert DIALECT.models(answer(raw)) == ["a", "b"]
