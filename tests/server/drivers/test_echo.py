"""Echo: the caller's own words, cut and counted."""

from typing import Any

import pytest

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.message_pb2 import ChatMessage
from server.drivers.base import Target
from server.drivers.echo import EchoDriver
from server.errors import AttemptFailed
from server.rows import Row

TARGET = Target(Row(id="Echo", driver="echo"), "echo")


def ask(text: str = "one two  three", **fields: Any) -> CreateCompletionRequest:
    messages: Any = [
        {"role": "system", "content": [{"text": "be brief"}]},
        {"role": "user", "content": [{"text": "earlier"}]},
        {"role": "assistant", "content": [{"text": "yes"}]},
        {"role": "user", "content": [{"text": text}]},
    ]
    return CreateCompletionRequest(messages=messages, **fields)


@pytest.mark.parametrize(
    ("fields", "content", "reason"),
    [
        pytest.param({}, "one two  three", "stop", id="whole"),
        pytest.param({"max_tokens": 2}, "one two", "length", id="max_tokens"),
        pytest.param({"max_completion_tokens": 1}, "one", "length", id="max_completion_tokens"),
        pytest.param({"max_tokens": 3}, "one two  three", "stop", id="just enough"),
        pytest.param({"stop": ["three", "two"]}, "one ", "stop", id="the first stop"),
    ],
)
async def test_the_last_user_message_comes_back(fields: dict[str, Any], content: str, reason: str) -> None:
    answer = await EchoDriver().answer(ask(**fields), TARGET)
    assert answer.choices[0].message.content == content
    assert answer.choices[0].finish_reason == reason


async def test_usage_counts_words() -> None:
    usage = (await EchoDriver().answer(ask(n=2), TARGET)).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (7, 6, 13)


async def test_a_stream_gives_the_same_text_for_every_choice() -> None:
    texts = {0: "", 1: ""}
    reasons = {}
    async for chunk in EchoDriver().stream(ask(n=2), TARGET):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
        assert not chunk.HasField("usage")
    assert texts == {0: "one two  three", 1: "one two  three"}
    assert reasons == {0: "stop", 1: "stop"}


async def test_a_stream_ends_with_the_usage_where_it_was_asked_for() -> None:
    request = ask(stream_options={"include_usage": True})
    *_, last = [chunk async for chunk in EchoDriver().stream(request, TARGET)]
    assert last.usage.completion_tokens == 3
    assert not last.choices


async def test_echo_does_nothing_but_chat() -> None:
    asked = CreateEmbeddingsRequest(model="echo")
    with pytest.raises(AttemptFailed) as failed:
        await EchoDriver().answer(asked, TARGET)
    assert failed.value.cause == "no_such_model"


async def test_a_conversation_without_text_is_answered_too() -> None:
    request = CreateCompletionRequest(messages=[ChatMessage(role="user")])
    answer = await EchoDriver().answer(request, TARGET)
    assert "no text" in answer.choices[0].message.content
