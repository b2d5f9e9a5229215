"""Every feature of a whole answer, from the upstream back to REST and gRPC callers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.openai_api.says import (
    ANNOTATION,
    LIKELIHOODS,
    ODD,
    PLANES,
    SOUND,
    USAGE,
    Members,
    call,
    choice,
    function,
    likely,
    whole,
)
from tests.openai_api.shapes import spare, told
from tests.upstream import Told

if TYPE_CHECKING:
    from tests.exchange import Ways
    from tests.upstream import Upstream

each_way = pytest.mark.parametrize("way", ["rest", "grpc"])


def row(name: str, answer: Any, comes: Any = None) -> Any:
    """A feature: what the upstream answers, and what must come back where it is not the very same."""
    return pytest.param(answer, answer if comes is None else comes, id=name)


def message(name: str, members: Members, comes: Members | None = None, finish_reason: str = "stop") -> Any:
    """A feature of a message."""
    expected = None if comes is None else whole(choice(comes, finish_reason=finish_reason))
    return row(name, whole(choice(members, finish_reason=finish_reason)), expected)


CALLS = [
    call(id="call_1", type="function", function=function("f", '{"a": 1.0, "é": "\\n"}')),
    call(id="call_2", type="function", function=function("g", "")),
    call(id="call_3", type="custom", custom={"name": "c", "input": "SELECT 1;\n"}),
]

WHOLE = [
    message("text", {"content": "Hello"}),
    message("text of all planes", {"content": PLANES, "refusal": PLANES}),
    message("an empty text", {"content": ""}),
    message("no text", {"content": None, "refusal": None, "annotations": [], "audio": None}, {}),
    row(
        "several choices",
        whole(choice({"content": "a"}), choice({"content": "b"}, 1, "length"), choice({"content": ""}, 2)),
    ),
    row(
        "choices in another order",
        whole(choice({"content": "b"}, 1, "length"), choice({"content": "a"}, 0)),
    ),
    message("calls of tools", {"tool_calls": CALLS[:2]}, finish_reason="tool_calls"),
    message("a call beside text", {"content": "Let me see", "tool_calls": CALLS[:1]}),
    message("a call of a custom tool", {"tool_calls": CALLS[2:]}, finish_reason="tool_calls"),
    message("a call with an index", {"tool_calls": [{"index": 0, **CALLS[0]}]}),
    message(
        "a deprecated call", {"function_call": function("f", '{"a":1}')}, finish_reason="function_call"
    ),
    message("a refusal", {"refusal": "No.", "content": None}, {"refusal": "No."}),
    message("annotations", {"content": "Hello", "annotations": [ANNOTATION, ANNOTATION]}),
    message(
        "annotations of other kinds",
        {"content": "a", "annotations": [{"type": "file", "file": {"hash": "h"}}]},
        {"content": "a", "annotations": [{"type": "file", "extra": {"file": {"hash": "h"}}}]},
    ),
    message("sound", {"audio": SOUND, "content": None}, {"audio": SOUND}),
    *(
        message(
            f"thoughts as {name}", {"content": "a", name: "Hm\n"}, {"content": "a", "reasoning": "Hm\n"}
        )
        for name in ("reasoning_content", "reasoning")
    ),
    message("thoughts that are null (OpenRouter)", {"content": "a", "reasoning": None}, {"content": "a"}),
    message(
        "thoughts under two names (OpenRouter)",
        {"content": "a", "reasoning": "Hm", "reasoning_content": "Hm"},
        {"content": "a", "reasoning": "Hm"},
    ),
    message(
        "thoughts and their details",
        {
            "content": "a",
            "reasoning": "Hm",
            "reasoning_details": [{"type": "reasoning.text", "text": "Hm"}],
        },
        {
            "content": "a",
            "reasoning": "Hm",
            "extra": {"reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]},
        },
    ),
    message(
        "thoughts as parts",
        {
            "content": [
                {
                    "type": "thinking",
                    "thinking": [{"type": "text", "text": "H"}, {"type": "text", "text": "m"}],
                },
                {"type": "text", "text": "a"},
                {"type": "text", "text": "b"},
            ]
        },
        {"content": "ab", "reasoning": "Hm"},
    ),
    row("likelihoods", whole(choice({"content": "He"}, logprobs=LIKELIHOODS))),
    row(
        "no likelihoods",
        whole(choice({"content": "He"}, logprobs=None)),
        whole(choice({"content": "He"})),
    ),
    row(
        "likelihoods of empty tokens",
        whole(
            choice(
                {"content": "a"},
                logprobs={
                    "content": [
                        {"token": "", "logprob": -1.5, "top_logprobs": [{"token": "", "logprob": -1.5}]}
                    ]
                },
            )
        ),
    ),
    row("usage with details", whole(choice({"content": "a"}), usage=USAGE)),
    row(
        "usage of nothing",
        whole(choice({"content": "a"}), usage=dict.fromkeys(("prompt_tokens", "total_tokens"), 0)),
    ),
    row(
        "fingerprint and tier",
        whole(choice({"content": "a"}), system_fingerprint="fp_1", service_tier="priority"),
    ),
    *(
        row(f"finish reason {reason}", whole(choice({"content": "a"}, finish_reason=reason)))
        for reason in ("stop", "length", "tool_calls", "content_filter", "function_call", "eos", "é")
    ),
    row(
        "unknown members",
        whole(
            choice(
                {
                    "content": "a",
                    "tool_calls": [
                        {**CALLS[0], "x": ODD},
                        {**CALLS[1], "function": function("g", "", x=ODD)},
                    ],
                    "function_call": function("f", "", x=ODD),
                    "audio": {"id": "i", "x": ODD},
                    "annotations": [
                        {"type": "url_citation", "url_citation": {"url": "u", "x": ODD}, "y": 1}
                    ],
                    "images": [{"image_url": {"url": "data:,"}}],
                },
                content_filter_results=ODD,
                logprobs={"content": [likely("a", -1, likely("a", -1, x=ODD), x=ODD)], "x": 1},
            ),
            usage={"prompt_tokens": 1, "cost": 0.00015, "prompt_tokens_details": {"x": ODD}, "y": None},
            x_groq=ODD,
            provider="Behind",
            time_info={"queue": 1e-7},
        ),
        whole(
            choice(
                {
                    "content": "a",
                    "tool_calls": [
                        {**CALLS[0], "extra": {"x": ODD}},
                        {**CALLS[1], "function": function("g", "", extra={"x": ODD})},
                    ],
                    "function_call": function("f", "", extra={"x": ODD}),
                    "audio": {"id": "i", "extra": {"x": ODD}},
                    "annotations": [
                        {
                            "type": "url_citation",
                            "url_citation": {"url": "u", "extra": {"x": ODD}},
                            "extra": {"y": 1},
                        }
                    ],
                    "extra": {"images": [{"image_url": {"url": "data:,"}}]},
                },
                extra={"content_filter_results": ODD},
                logprobs={
                    "content": [likely("a", -1, likely("a", -1, extra={"x": ODD}), extra={"x": ODD})],
                    "extra": {"x": 1},
                },
            ),
            usage={
                "prompt_tokens": 1,
                "prompt_tokens_details": {"extra": {"x": ODD}},
                "extra": {"cost": 0.00015},
            },
            extra={"x_groq": ODD, "provider": "Behind", "time_info": {"queue": 1e-7}},
        ),
    ),
    message(
        "thoughts as parts and by name",
        {
            "content": [{"type": "thinking", "thinking": "H"}, {"type": "text", "text": "a"}],
            "reasoning": "m",
        },
        {"content": "a", "reasoning": "m", "extra": {"thinking": "H"}},
    ),
    message(
        "parts of other kinds",
        {"content": [{"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}]},
        {
            "extra": {
                "content": [{"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}]
            }
        },
    ),
    row(
        "numbers that should be whole",
        whole(choice({"content": "a"}), usage={"prompt_tokens": 3.0, "completion_tokens": 1.5}),
        whole(choice({"content": "a"}), usage={"prompt_tokens": 3, "extra": {"completion_tokens": 1.5}}),
    ),
    row(
        "members called extra_json",
        whole(choice({"tool_calls": [{**CALLS[0], "extra_json": "{}"}]}), extra_json="x"),
        whole(
            choice({"tool_calls": [{**CALLS[0], "extra": {"extra_json": "{}"}}]}), extra={"extra_json": "x"}
        ),
    ),
    row(
        "members called extra",
        whole(choice({"content": "a", "extra": {"b": 1}, "c": 2}), extra=5),
        whole(choice({"content": "a", "extra": {"b": 1, "c": 2}}), extra={"extra": 5}),
    ),
]


@each_way
@pytest.mark.parametrize(("answer", "comes"), WHOLE)
def test_an_answer_comes_back_as_it_was(
    ways: Ways, upstream: Upstream, way: str, answer: Members, comes: Members
) -> None:
    [came] = ways.hear(way, upstream, Told(whole=answer))
    assert told(came) == told(spare(comes))
