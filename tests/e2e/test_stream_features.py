"""Every feature of a streamed answer, from the upstream back to REST and gRPC callers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.openai_api.says import (
    ANNOTATION,
    ENVELOPE,
    LIKELIHOODS,
    ODD,
    PLANES,
    Members,
    call,
    calls,
    chunk,
    deltas,
    function,
    likely,
    piece,
)
from tests.openai_api.shapes import joined, spare, told
from tests.upstream import Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.exchange import Ways
    from tests.upstream import Upstream

each_way = pytest.mark.parametrize("way", ["rest", "grpc"])


def row(name: str, answer: Any, comes: Any = None) -> Any:
    """A feature: what the upstream answers, and what must come back where it is not the very same."""
    return pytest.param(answer, answer if comes is None else comes, id=name)


def pieces(name: str, *sent: Members, comes: Sequence[Members] = (), finish_reason: str = "stop") -> Any:
    """A feature of deltas."""
    expected = deltas(*comes, finish_reason=finish_reason) if comes else None
    return row(name, deltas(*sent, finish_reason=finish_reason), expected)


FIRST = call(0, id="call_1", type="function", function=function("f", ""))
SECOND = call(1, id="call_2", type="function", function=function("g", ""))


def args(index: int | None, text: str) -> Members:
    """The next piece of a call's arguments."""
    return calls(call(index, function={"arguments": text}))


STREAMED = [
    pieces("text", {"content": "Hel"}, {"content": "lo"}),
    pieces("text of all planes", *({"content": letter} for letter in PLANES)),
    row(
        "several choices",
        [
            chunk(piece(0, role="assistant", content="")),
            chunk(piece(1, role="assistant", content="")),
            chunk(piece(1, content="b")),
            chunk(piece(0, content="a")),
            chunk(piece(0, content="c"), piece(1, content="d")),
            chunk(piece(1, "length")),
            chunk(piece(0, "stop")),
        ],
    ),
    pieces(
        "a call in many pieces",
        calls(FIRST),
        *(args(0, letter) for letter in '{"é": "\\n\U0001f600"}'),
        finish_reason="tool_calls",
    ),
    pieces(
        "calls one after another",
        *(calls(FIRST), args(0, "{"), args(0, "}"), calls(SECOND), args(1, "[1"), args(1, "]")),
        finish_reason="tool_calls",
    ),
    pieces(
        "calls in turns",
        *(calls(FIRST), calls(SECOND), args(1, "["), args(0, "{"), args(0, "}"), args(1, "]")),
        finish_reason="tool_calls",
    ),
    pieces(
        "pieces of several calls at once",
        calls(FIRST, SECOND),
        calls(call(0, function={"arguments": "{"}), call(1, function={"arguments": "["})),
        calls(call(1, function={"arguments": "]"}), call(0, function={"arguments": "}"})),
        finish_reason="tool_calls",
    ),
    pieces("calls after text", {"content": "Let me see"}, calls(FIRST), args(0, "{}")),
    pieces(
        "calls of custom tools",
        calls(call(0, id="call_1", type="custom", custom={"name": "c", "input": ""})),
        calls(call(0, custom={"input": "SELECT"})),
        calls(call(0, custom={"input": " 1"})),
        finish_reason="tool_calls",
    ),
    pieces(
        "calls without indexes (Gemini)",
        calls(call(id="call_1", type="function", function=function("f", "{}"))),
        calls(call(id="call_2", type="function", function=function("g", "[]"))),
        comes=(
            calls(call(0, id="call_1", type="function", function=function("f", "{}"))),
            calls(call(1, id="call_2", type="function", function=function("g", "[]"))),
        ),
        finish_reason="tool_calls",
    ),
    pieces(
        "calls at once without indexes",
        calls(
            call(id="call_1", type="function", function=function("f", "{}")),
            call(id="call_2", type="function", function=function("g", "[]")),
        ),
        comes=(
            calls(
                call(0, id="call_1", type="function", function=function("f", "{}")),
                call(1, id="call_2", type="function", function=function("g", "[]")),
            ),
        ),
        finish_reason="tool_calls",
    ),
    pieces(
        "calls in pieces without indexes",
        calls(call(id="call_1", type="function", function=function("f", "{"))),
        args(None, "}"),
        calls(call(id="call_2", type="function", function=function("g", "["))),
        args(None, "]"),
        comes=(
            calls(call(0, id="call_1", type="function", function=function("f", "{"))),
            args(0, "}"),
            calls(call(1, id="call_2", type="function", function=function("g", "["))),
            args(1, "]"),
        ),
        finish_reason="tool_calls",
    ),
    pieces(
        "calls that all say index 0",
        *(calls(FIRST), args(0, "{}"), calls({**SECOND, "index": 0}), args(0, "["), args(0, "]")),
        comes=(calls(FIRST), args(0, "{}"), calls(SECOND), args(1, "["), args(1, "]")),
        finish_reason="tool_calls",
    ),
    # Clients join ids as they join arguments: call_1call_1.
    *(
        pieces(
            f"{name} in every piece",
            calls(FIRST),
            calls(call(0, id=again, type="function", function=function(None, "{"))),
            calls(call(0, id=again, type="function", function=function(None, "}"))),
            comes=(
                calls(FIRST),
                calls(call(0, type="function", function=function(None, "{"))),
                calls(call(0, type="function", function=function(None, "}"))),
            ),
            finish_reason="tool_calls",
        )
        for name, again in (("an id", "call_1"), ("an empty id", ""))
    ),
    pieces(
        "a piece without an index goes on with the latest call",
        *(calls(FIRST), args(None, "{}"), calls(SECOND), args(None, "[]")),
        comes=(calls(FIRST), args(0, "{}"), calls(SECOND), args(1, "[]")),
        finish_reason="tool_calls",
    ),
    row(
        "calls without indexes in several choices",
        [
            chunk(
                piece(
                    0,
                    role="assistant",
                    **calls(call(id="a", type="function", function=function("f", "{}"))),
                )
            ),
            chunk(
                piece(
                    1,
                    role="assistant",
                    **calls(call(id="b", type="function", function=function("g", "{}"))),
                )
            ),
            chunk(piece(0, **calls(call(id="c", type="function", function=function("h", "{}"))))),
            chunk(piece(0, "tool_calls"), piece(1, "tool_calls")),
        ],
        [
            chunk(
                piece(
                    0,
                    role="assistant",
                    **calls(call(0, id="a", type="function", function=function("f", "{}"))),
                )
            ),
            chunk(
                piece(
                    1,
                    role="assistant",
                    **calls(call(0, id="b", type="function", function=function("g", "{}"))),
                )
            ),
            chunk(piece(0, **calls(call(1, id="c", type="function", function=function("h", "{}"))))),
            chunk(piece(0, "tool_calls"), piece(1, "tool_calls")),
        ],
    ),
    pieces(
        "a deprecated call",
        {"function_call": function("f", "")},
        {"function_call": function(None, "{")},
        {"function_call": function(None, "}")},
        finish_reason="function_call",
    ),
    pieces("a refusal", {"refusal": "N"}, {"refusal": "o."}),
    pieces("annotations", {"content": "Hello"}, {"annotations": [ANNOTATION]}),
    pieces(
        "sound",
        {"audio": {"id": "audio_1", "transcript": "H"}},
        {"audio": {"data": "UklG"}},
        {"audio": {"data": "Rg==", "transcript": "i"}},
        {"audio": {"expires_at": 1795402592}},
    ),
    *(
        pieces(
            f"thoughts as {name}",
            *({name: "H"}, {name: "m"}, {"content": "a"}),
            comes=({"reasoning": "H"}, {"reasoning": "m"}, {"content": "a"}),
        )
        for name in ("reasoning_content", "reasoning")
    ),
    pieces(
        "thoughts that are null (OpenRouter)",
        {"reasoning": None, "content": "a"},
        comes=({"content": "a"},),
    ),
    pieces(
        "thoughts and their details",
        {"reasoning": "H", "reasoning_details": [{"type": "reasoning.text", "text": "H", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]},
        {"content": "a"},
        comes=(
            {
                "reasoning": "H",
                "extra": {"reasoning_details": [{"type": "reasoning.text", "text": "H", "index": 0}]},
            },
            {"extra": {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}},
            {"content": "a"},
        ),
    ),
    pieces(
        "thoughts as parts",
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "H"}]}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "m"}]}]},
        {"content": "a"},
        comes=({"reasoning": "H"}, {"reasoning": "m"}, {"content": "a"}),
    ),
    row(
        "likelihoods",
        [
            chunk(piece(role="assistant", content="")),
            chunk(piece(content="He", more={"logprobs": {"content": LIKELIHOODS["content"]}})),
            chunk(piece(content="llo", more={"logprobs": {"content": [likely("llo", -0.5)]}})),
            chunk(piece(refusal="No", more={"logprobs": {"refusal": LIKELIHOODS["refusal"]}})),
            chunk(piece(finish_reason="stop", more={"logprobs": None})),
        ],
    ),
    row(
        "fingerprint and tier",
        [{**one, "system_fingerprint": "fp_1", "service_tier": "flex"} for one in deltas({"content": "a"})],
    ),
    *(
        pieces(f"finish reason {reason}", {"content": "a"}, finish_reason=reason)
        for reason in ("length", "content_filter", "eos", "é")
    ),
    row(
        "unknown members",
        [
            chunk(piece(role="assistant", content="", x=ODD), x=ODD),
            chunk(piece(content="a", more={"content_filter_results": ODD}), provider="Behind"),
            chunk(
                piece(**calls(call(0, id="i", type="function", function=function("f", "", x=ODD), y=ODD)))
            ),
            chunk(piece(finish_reason="stop"), x_groq={"id": "req_1"}),
        ],
        [
            chunk(piece(role="assistant", content="", extra={"x": ODD}), extra={"x": ODD}),
            chunk(
                piece(content="a", more={"extra": {"content_filter_results": ODD}}),
                extra={"provider": "Behind"},
            ),
            chunk(
                piece(
                    **calls(
                        call(
                            0,
                            id="i",
                            type="function",
                            function=function("f", "", extra={"x": ODD}),
                            extra={"y": ODD},
                        )
                    )
                )
            ),
            chunk(piece(finish_reason="stop"), extra={"x_groq": {"id": "req_1"}}),
        ],
    ),
    row(
        "a choice without a delta (Azure's asynchronous filter)",
        [*deltas({"content": "a"}), chunk({"index": 0, "content_filter_results": ODD})],
        [
            *deltas({"content": "a"}),
            chunk({"index": 0, "delta": {}, "extra": {"content_filter_results": ODD}}),
        ],
    ),
    row(
        "what is said before there are choices (Azure) comes with the first",
        [chunk(prompt_filter_results=[{"prompt_index": 0}]), *deltas({"content": "a"})],
        [
            chunk(
                piece(role="assistant", content=""), extra={"prompt_filter_results": [{"prompt_index": 0}]}
            ),
            *deltas({"content": "a"})[1:],
        ],
    ),
    row(
        "what is said after the choices have ended",
        [*deltas({"content": "a"}), chunk(moderation={"input": {"type": "error"}})],
        [*deltas({"content": "a"}), chunk(extra={"moderation": {"input": {"type": "error"}}})],
    ),
    row(
        "what is said of choices after they have ended",
        [*deltas({"content": "a"}), chunk(moderation={"choices": [1]})],
        [*deltas({"content": "a"}), chunk(extra={"moderation": {"choices": [1]}})],
    ),
    row(
        "padding against traffic analysis",
        [{**one, "obfuscation": "aB3"} for one in deltas({"content": "a"})],
        [{**one, "extra": {"obfuscation": "aB3"}} for one in deltas({"content": "a"})],
    ),
]


@each_way
@pytest.mark.parametrize(("chunks", "comes"), STREAMED)
def test_a_streamed_answer_comes_back_as_it_was(
    ways: Ways,
    upstream: Upstream,
    way: str,
    chunks: list[Members],
    comes: list[Members],
) -> None:
    came = ways.hear(way, upstream, Told(events=chunks))
    assert told(joined(came)) == told(joined(map(spare, comes)))


@each_way
def test_every_chunk_of_a_stream_names_the_same_answer(ways: Ways, upstream: Upstream, way: str) -> None:
    # Azure says what its filters found before it has an id, a model and a time.
    found = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [1]}
    came = ways.hear(way, upstream, Told(events=[found, *deltas({"content": "a"}, {"content": "b"})]))
    assert {(one["id"], one["created"], one["model"]) for one in came} == {tuple(ENVELOPE.values())}
    assert [one["extra"] for one in came if "extra" in one] == [{"prompt_filter_results": [1]}]


@each_way
def test_the_role_is_said_in_the_first_delta_of_a_choice_alone(
    ways: Ways, upstream: Upstream, way: str
) -> None:
    # Ollama says it in every delta, and clients join what is said: assistantassistant.
    said = [chunk(piece(index, role="assistant", content="a")) for index in (0, 1, 0, 1)]
    ends = [chunk(piece(index, "stop", role="assistant", content="")) for index in (0, 1)]
    came = ways.hear(way, upstream, Told(events=[*said, *ends]), n=2)
    told_roles = [
        part["index"] for one in came for part in one["choices"] if "role" in part.get("delta", {})
    ]
    assert told_roles == [0, 1]
