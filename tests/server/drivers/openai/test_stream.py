"""Streams in OpenAI's dialect: events in, chunks out."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interference.v1.chat_pb2 import CreateCompletionRequest
from server.drivers.base import ChunkDecoder
from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.openai.dialect import DIALECT, chat, event, target


def decoder(**fields: Any) -> ChunkDecoder:
    return DIALECT.streams[CreateCompletionRequest].decoder(chat(**fields), target())


def feed(reader: ChunkDecoder, *events: bytes) -> Any:
    """What comes of events that give one chunk at most."""
    chunks = list(reader.feed(events))
    assert len(chunks) <= 1
    return chunks[0] if chunks else None


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


def test_what_is_said_twice_is_told_once() -> None:
    delta = {"content": "a", "reasoning": "Hm", "reasoning_content": "Hm"}
    chunk = feed(decoder(), event(choices=[{"delta": delta, "message": {"content": "all so far, a"}}]))
    assert chunk.choices[0].delta.reasoning == "Hm"
    assert not chunk.choices[0].delta.HasField("extra")
    assert not chunk.choices[0].HasField("extra")


@pytest.mark.parametrize("content", [[], [1], [{"type": "image"}], [{"type": "text", "text": 5}]])
def test_content_in_other_parts_is_kept(content: Any) -> None:
    chunk = feed(decoder(), event(choices=[{"delta": {"content": content}}]))
    assert chunk is not None
    assert not chunk.choices[0].delta.HasField("content")


def test_an_upstreams_own_provider_is_kept_apart() -> None:
    chunk = feed(decoder(), event(provider="Behind", choices=[{"delta": {"content": "a"}}]))
    assert chunk is not None
    assert (chunk.provider, chunk.extra["provider"]) == ("Up", "Behind")


TEXT = {"index": 0, "delta": {"content": "a"}}
FINISH = {"index": 0, "delta": {}, "finish_reason": "stop"}


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(
            [event(choices=[TEXT]), event(choices=[FINISH]), event(choices=[], usage={"total_tokens": 9})],
            id="alone at the end",
        ),
        pytest.param(
            [event(choices=[TEXT]), event(choices=[FINISH], usage={"total_tokens": 9})],
            id="with the last choice",
        ),
        pytest.param(
            [event(choices=[TEXT]), event(choices=[{**FINISH, "usage": {"total_tokens": 9}}])],
            id="in the last choice",
        ),
        pytest.param(
            [event(choices=[TEXT]), event(choices=[FINISH], x_groq={"usage": {"total_tokens": 9}})],
            id="in a member of Groq's",
        ),
        pytest.param(
            [
                event(choices=[TEXT], usage={"total_tokens": 1}),
                event(choices=[FINISH], usage={"total_tokens": 8}),
                event(choices=[], usage={"total_tokens": 9}),
            ],
            id="with every chunk",
        ),
        pytest.param(
            [event(choices=[], usage={"total_tokens": 9}), event(choices=[TEXT]), event(choices=[FINISH])],
            id="first",
        ),
    ],
)
def test_usage_is_the_last_chunk_exactly_where_it_was_asked_for(events: list[bytes]) -> None:
    for asked in (False, True):
        reader = decoder(stream_options={"include_usage": asked})
        chunks = [chunk for one in events for chunk in reader.feed([one])] + list(reader.end())
        told = [chunk.usage.total_tokens for chunk in chunks if chunk.HasField("usage")]
        assert told == ([9] if asked else [])
        assert [len(chunk.choices) for chunk in chunks] == [1, 1] + ([0] if asked else [])


def test_the_usage_is_told_before_the_end_where_nothing_can_follow() -> None:
    reader = decoder(stream_options={"include_usage": True})
    usage = event(choices=[], usage={"total_tokens": 9})
    assert [chunk.usage.total_tokens for chunk in reader.feed([event(choices=[FINISH]), usage])] == [0, 9]
    assert list(reader.end()) == []


def test_what_a_chunk_without_choices_adds_is_not_lost() -> None:
    early = event(id="", choices=[], prompt_filter_results="x")
    chunk = feed(decoder(), early, event(id="1", choices=[TEXT]))
    assert (chunk.id, chunk.extra["prompt_filter_results"]) == ("1", "x")
    usage = event(choices=[], usage={"total_tokens": 1}, citations="c")
    reader = decoder(stream_options={"include_usage": True})
    chunks = [*reader.feed([event(choices=[FINISH]), usage]), *reader.end()]
    assert [chunk.extra["citations"] for chunk in chunks if chunk.HasField("extra")] == ["c"]


def test_the_role_is_said_once() -> None:
    reader: Any = decoder()
    said = event(choices=[{"index": 0, "delta": {"role": "assistant", "content": "a"}}])
    chunks = [*reader.feed([said]), *reader.feed([said])]
    assert [chunk.choices[0].delta.HasField("role") for chunk in chunks] == [True, False]


def test_a_role_is_the_upstreams() -> None:
    said = [event(choices=[{"index": 0, "delta": {"role": "model", "content": word}}]) for word in "ab"]
    chunks: Any = decoder().feed(said)
    assert [chunk.choices[0].delta.role for chunk in chunks] == ["model", ""]


def test_texts_that_arrive_together_leave_together() -> None:
    events = [event(id="1", choices=[{"index": 0, "delta": {"content": word}}]) for word in "abc"]
    chunk = feed(decoder(), *events)
    assert chunk is not None
    assert chunk.choices[0].delta.content == "abc"


FIRST = event(id="1", created=1, model="m", choices=[{"index": 0, "delta": {"role": "assistant"}}])
words = st.text(max_size=4)
values = words | st.sampled_from(
    [
        *(None, 0, 1, -1, 1.0, 2**31, 2**32, True, "", "error", "stop", "assistant"),
        *([], {}, [None], {"content": "a"}, {"total_tokens": 3}),
        [{"index": 0, "id": "c", "function": {"name": "f"}}],
        [{"type": "text", "text": "a", "id": "p"}],  # without an id a call gets one of chance
    ]
)


def changed(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """A member that is otherwise, or none."""
    return st.dictionaries(st.sampled_from(names), values, max_size=1)


def chunk_of(place: int, kind: str, text: str, *changes: dict[str, Any]) -> dict[str, Any]:
    """A chunk of plain text, with changes of itself, of its choice and of its delta."""
    chunk, choice, delta = changes
    plain = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return plain | {"choices": [{"index": place, "delta": {kind: text} | delta} | choice]} | chunk


chunks = st.builds(
    chunk_of,
    st.integers(0, 1),
    st.sampled_from(["content", "content", "reasoning", "reasoning_content"]),
    words,
    changed(
        *("id", "object", "created", "model", "provider", "system_fingerprint", "service_tier", "usage"),
        *("obfuscation", "error", "choices", "more"),
    ),
    changed("index", "delta", "finish_reason", "logprobs", "more"),
    changed(
        *("content", "reasoning", "reasoning_content", "role", "refusal", "tool_calls", "function_call"),
        "more",
    ),
)


def told(reader: ChunkDecoder, *events: bytes) -> tuple[list[Any], str]:
    """What comes of events, and the cause of the failure that ends them."""
    got: list[Any] = []
    try:
        got.extend(reader.feed(events))
    except AttemptFailed as failed:
        return got, failed.cause
    return got, ""


@given(st.lists(chunks, max_size=4))
def test_an_event_of_plain_text_means_the_same_as_any_other(said: list[dict[str, Any]]) -> None:
    reader, other = (decoder(stream_options={"include_usage": True}) for _ in range(2))
    feed(reader, FIRST)
    feed(other, FIRST)
    for chunk in said:
        # A member of nothing says nothing, but is not one of an event of plain text.
        assert told(reader, event(**chunk)) == told(other, event(**chunk, nothing=None))
    assert list(reader.end()) == list(other.end())


def texts(got: list[Any], name: str) -> dict[int, str]:
    """What each choice said, and what it ended with."""
    said: dict[int, str] = {}
    for chunk in got:
        for choice in chunk.choices:
            said[choice.index] = said.get(choice.index, "") + getattr(choice.delta, name)
    return said


@given(said=st.lists(chunks), data=st.data())
def test_however_events_arrive_the_answer_is_the_same(
    said: list[dict[str, Any]], data: st.DataObject
) -> None:
    events = [FIRST, *(event(**chunk) for chunk in said)]
    cut = data.draw(st.integers(0, len(events)))
    reader, single = decoder(), decoder()
    got, cause = told(reader, *events[:cut])
    if not cause:
        more, cause = told(reader, *events[cut:])
        got += more
    want: list[Any] = []
    for one in events:
        more, failed = told(single, one)
        want += more
        if failed:
            break
    else:
        failed = ""
    assert cause == failed
    assert len(got) <= len(want)
    for name in ("content", "reasoning"):
        assert texts(got, name) == texts(want, name)
    assert got[:1] == want[:1]  # what the upstream says with a role stays apart
    assert list(map(but_for_a_first_text, filter(is_more_than_text, got))) == list(
        map(but_for_a_first_text, filter(is_more_than_text, want))
    )


def but_for_a_first_text(chunk: Any) -> Any:
    """Without the text of a choice that begins with it: texts are joined before the role is added."""
    choice = chunk.choices[0] if len(chunk.choices) == 1 else None
    if choice is not None and not choice.HasField("finish_reason") and not choice.delta.tool_calls:
        told = type(chunk).FromString(chunk.SerializeToString())
        told.choices[0].delta.ClearField("content")
        told.choices[0].delta.ClearField("reasoning")
        return told
    return chunk


def is_more_than_text(chunk: Any) -> bool:
    choice = chunk.choices[0] if len(chunk.choices) == 1 else None
    return choice is None or bool(
        choice.delta.tool_calls or choice.delta.HasField("role") or choice.HasField("finish_reason")
    )


@pytest.mark.parametrize(
    ("deltas", "said"),
    [
        pytest.param([{"content": "a"}, {"content": "b"}], ["ab"], id="content"),
        pytest.param(
            [{"reasoning_content": "a", "content": None}, {"reasoning_content": "b", "content": None}],
            ["ab"],
            id="reasoning",
        ),
        pytest.param([{"reasoning": "a"}, {"reasoning_content": "b"}], ["ab"], id="by either name"),
        pytest.param([{"reasoning": "a"}, {"content": "b"}], ["a", "b"], id="not one with the other"),
        pytest.param(
            [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}],
            ["ab"],
            id="with a role that was said",
        ),
    ],
)
def test_texts_of_a_kind_leave_together(deltas: list[dict[str, Any]], said: list[str]) -> None:
    reader = decoder()
    feed(reader, FIRST)
    got: Any = list(reader.feed([event(choices=[{"index": 0, "delta": delta}]) for delta in deltas]))
    assert [c.choices[0].delta.reasoning + c.choices[0].delta.content for c in got] == said
    assert not any(chunk.choices[0].delta.HasField("role") for chunk in got)


def test_padding_is_kept_and_keeps_nothing_apart() -> None:
    words = [event(choices=[TEXT], obfuscation=padding) for padding in ("x", "yz")]
    chunk = feed(decoder(), *words)
    assert (chunk.choices[0].delta.content, chunk.extra["obfuscation"]) == ("aa", "x")


def test_what_arrived_before_a_fault_is_given_before_it() -> None:
    chunks: Any = decoder().feed([event(choices=[{"index": 0, "delta": {"content": "a"}}]), b"nope"])
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
        pytest.param(event(object="error", choices=[TEXT]), "broken_answer", id="an error beside a text"),
        pytest.param(event(object="Error", message="x"), "broken_answer", id="Mistral's error"),
        pytest.param(event(message="x", type="t", code="c"), "broken_answer", id="Cerebras' error"),
        pytest.param(b'[{"error": {"code": 503, "message": "x"}}]', "server_error", id="Gemini's error"),
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
