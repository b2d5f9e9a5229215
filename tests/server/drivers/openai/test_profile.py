"""What a row's profile changes on the wire."""

import re
from typing import Any

import pytest

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from server.drivers.base import Target
from server.errors import AttemptFailed
from tests.server.drivers.openai.dialect import DIALECT, KEY, body, chat, event, read, sent, target

AZURE = {
    "paths": {"chat": "openai/deployments/{model}/chat/completions", "models": "openai/models"},
    "query": {"api-version": "2024-10-21"},
    "key_header": "api-key",
}


def test_paths_queries_and_headers_are_the_vendors() -> None:
    made = sent(chat(), profile=AZURE)
    assert made.url == "https://up/v1/openai/deployments/own-name/chat/completions?api-version=2024-10-21"
    assert made.headers == {"content-type": "application/json", "api-key": KEY}
    models = DIALECT.models_request(target(AZURE))
    assert models.url == "https://up/v1/openai/models?api-version=2024-10-21"
    odd = Target(target(AZURE).row, "a/b c", KEY)
    asked = DIALECT.translators[CreateCompletionRequest].request(chat(), odd, stream=False)
    assert "/deployments/a%2Fb%20c/" in asked.url
    other = sent(CreateEmbeddingsRequest(model="m"), profile=AZURE)
    assert other.url == "https://up/v1/embeddings?api-version=2024-10-21"


def test_names_and_values_are_the_vendors() -> None:
    profile = {"names": {"seed": "random_seed"}, "values": {"tool_choice": {"required": "any"}}}
    asked = body(chat(seed=7, tool_choice={"mode": "required"}), profile=profile)
    assert (asked["random_seed"], asked["tool_choice"]) == (7, "any")
    assert "seed" not in asked
    other = body(chat(tool_choice={"function": {"name": "f"}}), profile=profile)
    assert other["tool_choice"] == {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        pytest.param("reasoning", {"reasoning": "Hm"}, id="as it is"),
        pytest.param("reasoning_content", {"reasoning_content": "Hm"}, id="under another name"),
        pytest.param("", {}, id="not taken back"),
    ],
)
def test_reasoning_is_given_back_as_the_vendor_takes_it(reasoning: str, expected: dict[str, Any]) -> None:
    messages = [{"role": "assistant", "content": [{"text": "a"}], "reasoning": "Hm"}]
    [message] = body(chat(messages=messages), profile={"reasoning": reasoning})["messages"]
    assert message == {"role": "assistant", "content": "a", **expected}


def test_a_call_of_a_tool_has_reasoning_where_the_vendor_wants_some() -> None:
    profile = {"reasoning": "reasoning_content", "reasoning_required": True}
    calls = [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]
    thought = {"role": "assistant", "tool_calls": calls, "reasoning": "Hm"}
    messages = [{"role": "assistant", "tool_calls": calls}, thought, {"role": "user"}]
    asked = body(chat(messages=messages), profile=profile)["messages"]
    assert [message.get("reasoning_content") for message in asked] == [" ", "Hm", None]
    asked = body(chat(messages=messages), profile={"reasoning": "reasoning_content"})["messages"]
    assert [message.get("reasoning_content") for message in asked] == [None, "Hm", None]


def test_ids_of_tool_calls_have_the_vendors_form() -> None:
    calls = [{"id": name, "function": {"name": "f"}} for name in ("call_0123456789", "abcDEF123")]
    messages = [
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_0123456789"},
        {"role": "tool", "tool_call_id": "abcDEF123"},
    ]
    asked = body(chat(messages=messages), profile={"tool_call_ids": "[a-zA-Z0-9]{9}"})["messages"]
    made, kept = (call["id"] for call in asked[0]["tool_calls"])
    assert re.fullmatch("[a-zA-Z0-9]{9}", made)
    assert kept == "abcDEF123"
    assert [message["tool_call_id"] for message in asked[1:]] == [made, kept]


def test_hints_that_a_vendor_refuses_are_left_out() -> None:
    function = {"name": "f", "strict": True}
    request = chat(
        messages=[{"role": "user", "name": "n", "content": [{"text": "a"}]}],
        tools=[{"function": function}],
        functions=[function],
    )
    asked = body(request, profile={"omits": {"message": ["name"], "function": ["strict"]}})
    assert asked["messages"] == [{"role": "user", "content": "a"}]
    assert asked["tools"] == [{"type": "function", "function": {"name": "f"}}]
    assert asked["functions"] == [{"name": "f"}]


def test_a_value_may_be_said_with_other_members() -> None:
    profile = {"values": {"reasoning_effort": {"none": {"thinking": {"type": "disabled"}}}}}
    asked = body(chat(reasoning_effort="none"), profile=profile)
    assert asked["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in asked
    assert body(chat(reasoning_effort="low"), profile=profile)["reasoning_effort"] == "low"


def test_roles_are_the_vendors() -> None:
    messages = [{"role": "developer", "content": [{"text": "a"}]}, {"role": "user"}]
    asked = body(chat(messages=messages), profile={"roles": {"developer": "system"}})
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]


def test_finish_reasons_are_ours() -> None:
    profile = {"finish_reasons": {"eos": "stop"}}
    raw = {"choices": [{"message": {"content": "a"}, "finish_reason": reason} for reason in ("eos", "odd")]}
    choices = read(chat(), raw, profile=profile).choices
    assert [choice.finish_reason for choice in choices] == ["stop", "odd"]


def test_a_finish_reason_may_be_a_failure() -> None:
    raw = {"choices": [{"message": {"content": "a"}, "finish_reason": "busy"}]}
    profile = {"finish_reasons": {"busy": "error"}}
    with pytest.raises(AttemptFailed, match="its answer ended with busy"):
        read(chat(), raw, profile=profile)
    decoder = DIALECT.streams[CreateCompletionRequest].decoder(chat(), target(profile))
    with pytest.raises(AttemptFailed):
        list(decoder.feed([event(choices=[{"delta": {}, "finish_reason": "busy"}])]))


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("stop", "tool_calls"), ("", "tool_calls"), ("length", "length"), (None, "")],
)
def test_an_answer_with_calls_ends_for_them(reason: str | None, expected: str) -> None:
    calls = [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]
    raw = {"choices": [{"message": {"tool_calls": calls}, "finish_reason": reason}]}
    [choice] = read(chat(), raw, profile={"finish_on_tools": True}).choices
    assert choice.finish_reason == expected
    decoder: Any = DIALECT.streams[CreateCompletionRequest].decoder(
        chat(), target({"finish_on_tools": True})
    )
    first = event(choices=[{"index": 0, "delta": {"tool_calls": calls}}])
    last = event(choices=[{"index": 0, "delta": {}, "finish_reason": reason}])
    chunks = list(decoder.feed([first, last]))
    assert chunks[-1].choices[0].finish_reason == expected


def test_an_answer_without_calls_ends_as_it_said() -> None:
    raw = {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}
    assert read(chat(), raw, profile={"finish_on_tools": True}).choices[0].finish_reason == "stop"
