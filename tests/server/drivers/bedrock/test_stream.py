"""Streams in Bedrock's dialect: events in, chunks out."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interference.v1.completion_pb2 import ChatCompletionChunk
from server import forms
from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.bedrock.dialect import CONVERSE, chat, chunks, event, target
from tests.server.drivers.bedrock.test_answer import JSON

START = event("messageStart", role="assistant")
USAGE = {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}
LAST = event("metadata", usage=USAGE, metrics={"latencyMs": 9}, p="abc")


def begun(index: int, **start: Any) -> bytes:
    return event("contentBlockStart", start=start, contentBlockIndex=index)


def delta(index: int, **delta: Any) -> bytes:
    return event("contentBlockDelta", delta=delta, contentBlockIndex=index)


def ended(index: int) -> bytes:
    return event("contentBlockStop", contentBlockIndex=index)


def stopped(reason: str = "end_turn", **more: Any) -> bytes:
    return event("messageStop", stopReason=reason, **more)


def extras(made: list[ChatCompletionChunk]) -> list[dict[str, Any]]:
    """What the deltas have beyond the contract."""
    deltas = [choice.delta for chunk in made for choice in chunk.choices]
    return [forms.plain(delta.extra) for delta in deltas if delta.HasField("extra")]


def test_a_stream_as_awss_page_has_it() -> None:
    # https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html
    made = chunks(
        [START, delta(0, text="Here"), delta(0, text=" is."), ended(0), stopped(), LAST], include_usage=True
    )
    first, *said, finish, usage = made
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    assert [chunk.choices[0].delta.content for chunk in said] == ["Here", " is."]
    assert not any(chunk.choices[0].delta.HasField("role") for chunk in (*said, finish))
    assert finish.choices[0].finish_reason == "stop"
    assert forms.plain(finish.extra) == {"metrics": {"latencyMs": 9}}
    assert (list(usage.choices), usage.usage.total_tokens) == ([], 8)
    assert len({(chunk.id, chunk.created, chunk.model, chunk.provider) for chunk in made}) == 1
    assert {chunk.object for chunk in made} == {"chat.completion.chunk"}


def test_the_usage_is_told_only_where_it_was_asked_for() -> None:
    assert not any(chunk.HasField("usage") for chunk in chunks([START, stopped(), LAST]))


def test_a_usage_that_is_null_is_none() -> None:
    last = event("metadata", usage=None, metrics={"latencyMs": 9})
    made = chunks([START, delta(0, text="Here"), stopped(), last], include_usage=True)
    assert made[-1].choices[0].finish_reason == "stop"
    assert not any(chunk.HasField("usage") for chunk in made)


def test_calls_come_in_pieces_each_with_its_place() -> None:
    made = chunks(
        [
            *(START, delta(0, text="So."), ended(0)),
            *(begun(1, toolUse={"toolUseId": "a", "name": "f"}), delta(1, toolUse={"input": ""})),
            *(delta(1, toolUse={"input": '{"x"'}), delta(1, toolUse={"input": ": 1}"}), ended(1)),
            *(begun(2, toolUse={"toolUseId": "b", "name": "g"}), ended(2)),
            *(stopped("tool_use"), LAST),
        ]
    )
    calls = [call for chunk in made for choice in chunk.choices for call in choice.delta.tool_calls]
    assert [(call.index, call.id, call.function.name, call.function.arguments) for call in calls] == [
        (0, "a", "f", ""),
        (0, "", "", '{"x"'),
        (0, "", "", ": 1}"),
        (1, "b", "g", ""),
        (1, "", "", "{}"),
    ]
    assert made[-1].choices[0].finish_reason == "tool_calls"


def test_thoughts_are_told_as_they_come_and_then_whole_to_be_given_back() -> None:
    made = chunks(
        [
            delta(0, reasoningContent={"text": "I must"}),
            delta(0, reasoningContent={"text": " look."}),
            delta(0, reasoningContent={"signature": "c2ln"}),
            ended(0),
            delta(1, reasoningContent={"redactedContent": base64.b64encode(b"hid").decode()}),
            delta(1, reasoningContent={"redactedContent": base64.b64encode(b"den").decode()}),
            stopped(),
        ]
    )
    assert [c.choices[0].delta.reasoning for c in made if c.choices[0].delta.reasoning] == [
        "I must",
        " look.",
    ]
    assert made[0].choices[0].delta.role == "assistant"
    assert extras(made) == [
        {"reasoning_blocks": [{"reasoningText": {"text": "I must look.", "signature": "c2ln"}}]},
        {"reasoning_blocks": [{"redactedContent": base64.b64encode(b"hidden").decode()}]},
    ]


def test_what_the_contract_has_no_place_for_is_told_beside_it() -> None:
    picture = base64.b64encode(b"one picture").decode()
    citation = {"title": "T", "location": {"web": {"url": "https://a.example"}}}
    made = chunks(
        [
            begun(0, toolUse={"toolUseId": "t", "name": "nova_grounding", "type": "server_tool_use"}),
            *(delta(0, toolUse={"input": '{"q":'}), delta(0, toolUse={"input": " 1}"}), ended(0)),
            *(begun(1, toolResult={"toolUseId": "t"}), delta(1, toolResult=[{"text": "x"}]), ended(1)),
            begun(2, image={"format": "png"}),
            *(delta(2, image={"source": {"bytes": picture}}), ended(2)),
            *(delta(3, citation=citation), delta(3, new={"a": 1}), ended(3)),
            event("somethingNew", a=1),
            *(stopped(additionalModelResponseFields={"b": 2}), LAST),
        ]
    )
    used = {"toolUseId": "t", "name": "nova_grounding", "type": "server_tool_use", "input": {"q": 1}}
    assert extras(made) == [
        {"content_blocks": [{"toolUse": used}]},
        {"content_blocks": [{"toolResult": {"toolUseId": "t", "content": [{"text": "x"}]}}]},
        {"images": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}]},
        {"citations": [citation]},
        {"content_blocks": [{"new": {"a": 1}}]},
    ]
    told = forms.plain(made[-1].extra)
    assert told["additionalModelResponseFields"] == {"b": 2}
    assert told["somethingNew"] == {"a": 1}


def test_a_stream_that_is_cut_has_no_end() -> None:
    made = chunks([START, delta(0, text="Here"), ended(0)])
    assert not any(choice.finish_reason for chunk in made for choice in chunk.choices)


def test_metadata_that_come_late_are_not_waited_for_beyond_the_end() -> None:
    assert (
        chunks([START, delta(0, text="a"), stopped("max_tokens")])[-1].choices[0].finish_reason == "length"
    )


@pytest.mark.parametrize(
    ("name", "kind", "cause"),
    [
        ("throttlingException", AttemptFailed, "rate_limited"),
        ("modelStreamErrorException", AttemptFailed, "server_error"),
        ("modelTimeoutException", AttemptFailed, "timed_out"),
        ("internalServerException", AttemptFailed, "server_error"),
        ("serviceUnavailableException", AttemptFailed, "server_error"),
        ("somethingElse", AttemptFailed, "server_error"),
        ("validationException", RequestRefused, ""),
    ],
)
def test_an_exception_ends_the_stream_and_what_came_before_is_told(
    name: str, kind: type[Exception], cause: str
) -> None:
    decoder = CONVERSE.decoder(chat(), target())
    told = decoder.feed([START, delta(0, text="Here"), event(f"!{name}", message="No more.")])
    assert [next(told) and None, next(told) and None] == [None, None]
    with pytest.raises(kind, match="No more") as raised:
        next(told)
    assert getattr(raised.value, "cause", "") == cause


@pytest.mark.parametrize(
    "one",
    [
        b"contentBlockDelta\n{",
        b"contentBlockDelta\n[]",
        delta(0, text=5),
        delta(0, toolUse=5),
        delta(0, reasoningContent={"text": 5}),
        delta(0, reasoningContent={"redactedContent": "%"}),
        delta(0, image={"source": {}}),
        event("contentBlockDelta", delta={"toolUse": {"input": "a"}}, contentBlockIndex="a"),
        event("contentBlockDelta", contentBlockIndex=0),
        begun(0, toolUse={"name": 5}),
        event("messageStop"),
        stopped("malformed_tool_use"),
    ],
)
def test_an_event_of_another_shape_is_broken(one: bytes) -> None:
    with pytest.raises(AttemptFailed) as raised:
        chunks([START, one])
    assert raised.value.cause == "broken_answer"


def test_an_answer_is_no_endless_row_of_blocks() -> None:
    with pytest.raises(AttemptFailed, match="blocks"):
        chunks(begun(index, toolUse={"toolUseId": str(index), "name": "f"}) for index in range(5000))
    with pytest.raises(AttemptFailed, match="events"):
        chunks(event(f"new{index}") for index in range(5000))


NAMES = st.sampled_from(
    [
        *("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop"),
        *("metadata", "new", "!throttlingException"),
    ]
)
WORDS = [
    "text",
    "toolUse",
    "input",
    "name",
    "reasoningContent",
    "image",
    "source",
    "bytes",
    "type",
    "delta",
]
MEMBERS = st.recursive(
    JSON, lambda inner: st.dictionaries(st.sampled_from(WORDS), inner, max_size=3), max_leaves=6
)
EVENTS = st.tuples(
    NAMES,
    st.dictionaries(
        st.sampled_from(["delta", "start", "contentBlockIndex", "stopReason", "usage"]), MEMBERS, max_size=3
    ),
)


@given(st.lists(EVENTS, max_size=6))
def test_no_events_make_anything_but_chunks_or_a_failure(events: list[tuple[str, dict[str, Any]]]) -> None:
    try:
        made = chunks([event(name, **members) for name, members in events], include_usage=True)
    except (AttemptFailed, RequestRefused):
        return
    assert len(made) <= 2 * len(events) + 2
