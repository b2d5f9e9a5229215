"""Chat completions in OpenAI's dialect: bytes in, bytes out."""

import json
from typing import Any

import pytest

from interference.v1.chat_pb2 import CreateCompletionRequest
from server.drivers.base import Target
from server.errors import AttemptFailed
from tests.server.drivers.openai.dialect import DIALECT, KEY, body, chat, read, sent, target


def test_a_request_names_the_providers_own_model_and_shows_its_key() -> None:
    made = sent(chat())
    assert (made.method, made.url) == ("POST", "https://up/v1/chat/completions")
    assert made.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(made.body) == {
        "model": "own-name",
        "messages": [{"role": "user", "content": "Hi"}],
    }


def test_without_a_key_none_is_shown() -> None:
    keyless = Target(target().row, "m", None)
    made = DIALECT.translators[CreateCompletionRequest].request(chat(), keyless, stream=False)
    assert "authorization" not in made.headers


@pytest.mark.parametrize(
    ("fields", "row", "expected"),
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
        pytest.param({"prompt_cache_key": "k"}, {"params": ["seed"]}, {}, id="a hint that is not taken"),
        pytest.param({"prompt_cache_key": "k"}, {}, {"prompt_cache_key": "k"}, id="a hint that is taken"),
    ],
)
def test_parameters_are_sent_as_the_row_says(
    fields: dict[str, Any], row: dict[str, Any], expected: dict[str, Any]
) -> None:
    got = body(chat(**fields), **row)
    assert {key: got[key] for key in got if key not in ("model", "messages")} == expected


def test_rows_that_are_alike_but_in_what_they_take_are_kept_apart() -> None:
    taken = [body(chat(seed=1), params=params, unsupported="drop") for params in (["seed"], [])] * 2
    assert ["seed" in asked for asked in taken] == [True, False, True, False]


def test_a_stream_asks_for_usage_where_the_caller_did() -> None:
    request = chat(stream_options={"include_usage": True})
    assert body(request, stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body(request, stream=True, params=["seed"])
    assert "stream_options" not in body(request)


def test_a_completion_is_read_and_completed() -> None:
    raw = {"choices": [{"message": {"content": "Hello", "reasoning_content": "Hm"}}]}
    completion = read(chat(), raw)
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
        read(chat(), content)
    assert failed.value.cause == "broken_answer"


def test_a_whole_tool_call_has_an_id_and_a_type() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": [1]}}}, {"id": "i", "custom": {"name": "c"}}]
    choice = read(chat(), {"choices": [{"message": {"tool_calls": calls}}]}).choices[0]
    first, second = choice.message.tool_calls
    assert first.id.startswith("call_")
    assert (first.type, first.function.arguments) == ("function", '{"a":[1]}')
    assert (second.id, second.type) == ("i", "custom")
