"""Any answer, cut into any pieces, comes together to the whole one again."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai._models import construct_type_unchecked
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent

from interference.v1.completion_pb2 import (
    Annotation,
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    Logprobs,
    TokenLogprob,
    TopLogprob,
    UrlCitation,
)
from interference.v1.tool_pb2 import CustomToolCall, FunctionCall, ToolCall
from server.ingress.base import Answer
from server.ingress.responses.events import ResponsesAnswer
from server.ingress.responses.output import Told
from tests.server.ingress.responses.reader import USAGE, Json, accumulated, chunk, streamed

EXAMPLES = settings(deadline=None)  # the SDK's types take their time at their first use
TEXT = st.text(min_size=1, max_size=8)


@dataclass(frozen=True)
class Said:
    """An answer, and the deltas that a provider cut it into."""

    message: AnswerMessage
    logprobs: Logprobs | None
    finish_reason: str
    chunks: list[ChatCompletionChunk]


@st.composite
def answers(draw: st.DrawFn) -> Said:
    reasoning, content, refusal = (draw(st.lists(TEXT, max_size=3)) for _ in range(3))
    notes = draw(st.lists(annotations(), max_size=2)) if content else []
    calls = draw(
        st.lists(st.tuples(st.booleans(), st.sampled_from(["", "a", "b"]), st.lists(TEXT)), max_size=3)
    )
    with_logprobs = draw(st.booleans())
    tokens = [token(text) for text in content] if with_logprobs else []
    chunks = [chunk(AnswerMessage(role="assistant", content=""))] if draw(st.booleans()) else []
    chunks += [chunk(AnswerMessage(reasoning=text)) for text in reasoning]
    chunks += [
        chunk(
            AnswerMessage(content=text), logprobs=Logprobs(content=[token(text)]) if with_logprobs else None
        )
        for text in content
    ]
    chunks += [chunk(AnswerMessage(annotations=[note])) for note in notes]
    chunks += [chunk(AnswerMessage(refusal=text)) for text in refusal]
    chunks += [chunk(AnswerMessage(tool_calls=[piece])) for piece in draw(interleaved(calls))]
    finish_reason = draw(st.sampled_from(["stop", "length", "tool_calls"]))
    chunks.append(chunk(AnswerMessage(), finish_reason=finish_reason))
    chunks.append(chunk())
    chunks[-1].usage.CopyFrom(USAGE)
    message = AnswerMessage(
        reasoning="".join(reasoning) or None,
        content="".join(content),
        refusal="".join(refusal) or None,
        annotations=notes,
        tool_calls=[
            tool_call(is_custom, call_id, "f", "".join(texts)) for is_custom, call_id, texts in calls
        ],
    )
    return Said(message, Logprobs(content=tokens) if tokens else None, finish_reason, chunks)


@st.composite
def annotations(draw: st.DrawFn) -> Annotation:
    note = Annotation(type=draw(st.sampled_from(["url_citation", "file"])))
    if note.type == "url_citation":
        note.url_citation.CopyFrom(
            UrlCitation(start_index=1, end_index=2, title=draw(TEXT), url="https://a")
        )
    else:
        note.extra.update({"file": {"name": draw(TEXT)}})
    return note


@st.composite
def interleaved(draw: st.DrawFn, calls: list[tuple[bool, str, list[str]]]) -> list[ToolCall]:
    """The pieces of calls in turns: each call's in order, and none begun before one with a lower index."""
    left = [
        [tool_call(custom, call_id, "f", ""), *(tool_call(custom, "", "", t) for t in texts)]
        for custom, call_id, texts in calls
    ]
    begun, pieces = 0, []
    while any(left):
        ready = [index for index, rest in enumerate(left) if rest and index <= begun]
        index = draw(st.sampled_from(ready))
        begun = max(begun, index + 1)
        piece = left[index].pop(0)
        piece.index = index
        pieces.append(piece)
    return pieces


def tool_call(is_custom: bool, call_id: str, name: str, text: str) -> ToolCall:
    if is_custom:
        return ToolCall(
            id=call_id or None, type="custom", custom=CustomToolCall(name=name or None, input=text)
        )
    return ToolCall(id=call_id or None, function=FunctionCall(name=name or None, arguments=text))


def token(text: str) -> TokenLogprob:
    data = list(text.encode())
    return TokenLogprob(
        token=text,
        bytes=data,
        logprob=-0.5,
        top_logprobs=[TopLogprob(token=text, bytes=data, logprob=-0.5)],
    )


def twins() -> tuple[ResponsesAnswer, ResponsesAnswer]:
    """Two writers of one answer."""
    told = Told("t", "m", summed_up=False, echo={"tools": [], "tool_choice": "auto"})
    return ResponsesAnswer(told), ResponsesAnswer(told)


def expected(said: Said, writer: Answer) -> Json:
    choice = Choice(index=0, message=said.message, finish_reason=said.finish_reason, logprobs=said.logprobs)
    completion = ChatCompletion(created=7, model="m-1", provider="Up", choices=[choice], usage=USAGE)
    told: Json = json.loads(writer.whole(completion))
    return told


def without_time(response: Json) -> Json:
    return {name: value for name, value in response.items() if name != "completed_at"}


@EXAMPLES
@given(answers())
def test_the_events_of_any_answer_come_together_to_the_whole_one(said: Said) -> None:
    one, other = twins()
    assert without_time(accumulated(streamed(one, said.chunks))) == without_time(expected(said, other))


@EXAMPLES
@given(answers())
def test_openais_own_accumulator_comes_to_the_whole_answer(said: Said) -> None:
    one, other = twins()
    state = ResponseStreamState[None](input_tools=omit, text_format=omit)
    event_type: Any = ResponseStreamEvent
    given_out: list[Any] = []
    for event in streamed(one, said.chunks):
        given_out += state.handle_event(construct_type_unchecked(value=event, type_=event_type))
    final = given_out[-1]
    told = without_time(final.response.to_dict())
    wanted = without_time(expected(said, other))
    assert _unparsed(told) == wanted


def _unparsed(value: Any) -> Any:
    """Without the members that the SDK adds."""
    if isinstance(value, dict):
        return {k: _unparsed(v) for k, v in value.items() if k not in ("parsed", "parsed_arguments")}
    return [_unparsed(item) for item in value] if isinstance(value, list) else value


@EXAMPLES
@given(st.data())
def test_pieces_in_any_order_lose_nothing(data: st.DataObject) -> None:
    said = data.draw(answers())
    chunks = data.draw(st.permutations(said.chunks))
    output = accumulated(streamed(twins()[0], chunks))["output"]
    pieces = "".join(_texts(chunk.choices[0].delta) for chunk in chunks if chunk.choices)
    assert sorted("".join(map(_item_text, output))) == sorted(pieces)


def _texts(delta: AnswerMessage) -> str:
    calls = "".join(call.function.arguments + call.custom.input for call in delta.tool_calls)
    return delta.reasoning + delta.content + delta.refusal + calls


def _item_text(item: Json) -> str:
    parts: list[Json] = item.get("content", [])
    inside = "".join(part.get("text", "") + part.get("refusal", "") for part in parts)
    return inside + str(item.get("arguments", "")) + str(item.get("input", ""))
