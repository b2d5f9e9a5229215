"""Random answers of OpenAI's full shape, whole and in chunks, with members that nobody knows yet at every
level and text of all planes.

The shapes are those of `ChatCompletion` and `ChatCompletionChunk` in OpenAI's SDK, and `reasoning` of the
compatible servers.
"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.openai_api.requests import COUNT, TEXT, WORD, Members, Strategy, with_unknown

_NUMBER = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
_ANY = st.recursive(
    st.none() | st.booleans() | _NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
_DOUBLE = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9999, 0)
_UNIX_TIME = st.integers(1, 2**32 - 1)


def told(required: Members | None = None, /, **optional: Strategy) -> Strategy:
    """An object of an answer; `required` pairs names with strategies or with the only value."""
    strategies = {
        name: value if isinstance(value, st.SearchStrategy) else st.just(value)
        for name, value in (required or {}).items()
    }
    return with_unknown(_ANY, strategies, optional)


_FUNCTION = told({"name": TEXT, "arguments": TEXT})
_ID = WORD.filter(lambda word: word != "null")  # which is Mistral's word for none
_CALL = told({"id": _ID, "type": "function", "function": _FUNCTION}) | told(
    {"id": _ID, "type": "custom", "custom": told({"name": TEXT, "input": TEXT})}
)
# Ids are a call's alone: one that another call has is made anew.
_CALLS = st.lists(_CALL, max_size=3, unique_by=lambda call: str(call["id"]))
_ANNOTATION = told(
    {
        "type": "url_citation",
        "url_citation": told({"start_index": COUNT, "end_index": COUNT, "title": TEXT, "url": TEXT}),
    }
)
_BYTES = st.lists(st.integers(0, 255), max_size=3)
_LIKELY = told({"token": TEXT, "logprob": _DOUBLE}, bytes=_BYTES)
_LOGPROBS = st.lists(
    told({"token": TEXT, "logprob": _DOUBLE, "top_logprobs": st.lists(_LIKELY, max_size=2)}, bytes=_BYTES),
    max_size=2,
)
_REASON = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "function_call", "eos"])
_LIKELIHOODS = told(content=_LOGPROBS, refusal=_LOGPROBS)
_USAGE = told(
    {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT},
    prompt_tokens_details=told(
        cached_tokens=COUNT,
        audio_tokens=COUNT,
        cache_write_tokens=COUNT,
        image_tokens=COUNT,
        text_tokens=COUNT,
    ),
    completion_tokens_details=told(
        reasoning_tokens=COUNT,
        audio_tokens=COUNT,
        accepted_prediction_tokens=COUNT,
        rejected_prediction_tokens=COUNT,
        text_tokens=COUNT,
    ),
)
_MODERATION = st.just({"input": {"type": "moderation_results", "results": []}, "output": None})
_ENVELOPE = {"id": WORD, "created": _UNIX_TIME, "model": WORD}

# A message that a caller may give back as it came, to the provider that it came from.
MESSAGES = told(
    {"role": "assistant", "content": TEXT},
    refusal=TEXT,
    function_call=_FUNCTION,
    tool_calls=_CALLS,
)


@st.composite
def completions(draw: st.DrawFn) -> Members:
    """A whole answer with one choice or more."""
    count = draw(st.integers(1, 3))
    message = told(
        {"role": "assistant", "content": st.none() | TEXT},
        refusal=TEXT,
        reasoning=TEXT,
        annotations=st.lists(_ANNOTATION, max_size=2),
        audio=told({"id": TEXT, "data": TEXT, "expires_at": _UNIX_TIME, "transcript": TEXT}),
        function_call=_FUNCTION,
        tool_calls=_CALLS,
    )
    choices = [
        draw(told({"index": index, "message": message, "finish_reason": _REASON}, logprobs=_LIKELIHOODS))
        for index in range(count)
    ]
    answer: Members = draw(
        told(
            {**_ENVELOPE, "object": "chat.completion"},
            usage=_USAGE,
            system_fingerprint=TEXT,
            service_tier=TEXT,
            moderation=_MODERATION,
        )
    )
    return {**answer, "choices": draw(st.permutations(choices))}


_PIECE = told(
    content=TEXT,
    refusal=TEXT,
    reasoning=TEXT,
    annotations=st.lists(_ANNOTATION, max_size=2),
    audio=told(id=TEXT, data=TEXT, expires_at=_UNIX_TIME, transcript=TEXT),
    function_call=told(name=TEXT, arguments=TEXT),
)


class _Choice:
    """What a choice of a stream has told so far."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.begun = False
        self.calls: list[str] = []

    def piece(self, draw: st.DrawFn, *, last: bool = False) -> Members:
        """Its next piece: the role in the first, a finish reason in the last."""
        delta: Members = draw(st.builds(lambda text: {"content": text}, TEXT) | _PIECE)
        if not self.begun:
            delta = {"role": "assistant", **delta}
        self.begun = True
        if draw(st.booleans()):
            delta["tool_calls"] = [self._call(draw) for _ in range(draw(st.integers(1, 2)))]
        reason = draw(_REASON) if last else None
        more = {"index": self.index, "delta": delta, "finish_reason": reason}
        choice: Members = draw(st.just(more) | told(dict(more), logprobs=_LIKELIHOODS))
        return choice

    def _call(self, draw: st.DrawFn) -> Members:
        """The first piece of a new call, or the next piece of one that has begun."""
        index = draw(st.integers(0, len(self.calls)))
        if index < len(self.calls):
            name = "arguments" if self.calls[index] == "function" else "input"
            call: Members = draw(told({"index": index, self.calls[index]: told({name: TEXT})}))
            return call
        self.calls.append(draw(st.sampled_from(["function", "custom"])))
        made = {"name": TEXT, "arguments" if self.calls[index] == "function" else "input": TEXT}
        call_id = f"call_{self.index}_{index}"
        return dict(
            draw(
                told(
                    {
                        "index": index,
                        "id": call_id,
                        "type": self.calls[index],
                        self.calls[index]: told(dict(made)),
                    }
                )
            )
        )


@st.composite
def streams(draw: st.DrawFn) -> list[Members]:
    """The chunks of a streamed answer with one choice or more, the last with the usage."""
    choices = [_Choice(index) for index in range(draw(st.integers(1, 3)))]
    turns = draw(st.lists(st.sampled_from(choices), max_size=8))
    pieces = [choice.piece(draw) for choice in turns]
    pieces += [choice.piece(draw, last=True) for choice in draw(st.permutations(choices))]
    envelope: Members = draw(
        st.fixed_dictionaries(
            {**_ENVELOPE, "object": st.just("chat.completion.chunk")},
            optional={"system_fingerprint": TEXT, "service_tier": TEXT},
        )
    )
    bodies: list[list[Members]] = []
    for piece in pieces:
        free = bodies and piece["index"] not in {other["index"] for other in bodies[-1]}
        if free and draw(st.booleans()):
            bodies[-1].append(piece)
        else:
            bodies.append([piece])
    plain: Strategy = st.just({})
    chunks = [
        {**envelope, "choices": body, **draw(plain | told(moderation=_MODERATION))} for body in bodies
    ]
    return [*chunks, {**envelope, "choices": [], "usage": draw(_USAGE)}]
