"""Every parameter of a chat request, from REST and gRPC callers to the upstream, unary and streamed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw

from tests.openai_api.asks import (
    BREAKPOINT,
    ODD_SCHEMA,
    ODD_VALUE,
    PLANES,
    USER,
    Members,
    arrived,
    changed,
    row,
)
from tests.openai_api.shapes import plain, told

if TYPE_CHECKING:
    from tests.exchange import Ways
    from tests.upstream import Upstream

each_way = pytest.mark.parametrize("way", ["rest", "grpc"])
kinds = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


def tool(**function: Any) -> Members:
    return {"type": "function", "function": {"name": "f", **function}}


def custom(**definition: Any) -> Members:
    return {"type": "custom", "custom": {"name": "c", **definition}}


def schema(**more: Any) -> Members:
    return {"type": "json_schema", "json_schema": {"name": "s", **more}}


TOOLS = [
    row("a tool without parameters", tools=[tool()]),
    row(
        "a tool with parameters",
        tools=[tool(description="Does é.", parameters={"type": "object", "properties": {}}, strict=True)],
    ),
    row("tools that are not strict", tools=[tool(strict=False), tool(name="g", description="")]),
    row("a schema byte for byte", tools=[tool(parameters=ODD_SCHEMA), tool(name="g", parameters={})]),
    row("a custom tool", tools=[custom()]),
    row("a custom tool for text", tools=[custom(description="Any.", format={"type": "text"})]),
    row(
        "custom tools with grammars",
        tools=[
            custom(
                format={"type": "grammar", "grammar": {"definition": "start: /a+/\n", "syntax": "lark"}}
            ),
            custom(
                name="d",
                format={"type": "grammar", "grammar": {"definition": "^a\\d+$", "syntax": "regex"}},
            ),
        ],
    ),
    row(
        "a kind of tool that nobody knows yet", tools=[{"type": "web_search", "web_search": {"depth": 1.0}}]
    ),
    *(
        row(f"tool choice {mode}", tools=[tool()], tool_choice=mode)
        for mode in ("none", "auto", "required")
    ),
    row("a function chosen", tools=[tool()], tool_choice={"type": "function", "function": {"name": "f"}}),
    row("a custom tool chosen", tools=[custom()], tool_choice={"type": "custom", "custom": {"name": "c"}}),
    row(
        "a choice among tools",
        tools=[tool(), custom()],
        tool_choice={
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": Raw(b'[{"type": "function", "function": {"name": "f", "x":1.0}},{"type":"mcp"}]'),
            },
        },
    ),
    row("no parallel calls", tools=[tool()], parallel_tool_calls=False),
    row("parallel calls", tools=[tool()], parallel_tool_calls=True),
    row(
        "deprecated functions",
        functions=[{"name": "f", "description": "d", "parameters": ODD_SCHEMA}, {"name": "g"}],
    ),
    *(row(f"deprecated choice {m}", functions=[{"name": "f"}], function_call=m) for m in ("none", "auto")),
    row("a deprecated function chosen", functions=[{"name": "f"}], function_call={"name": "f"}),
]

FORMATS = [
    row("text", response_format={"type": "text"}),
    row("a JSON object", response_format={"type": "json_object"}),
    row("a JSON Schema", response_format=schema(schema={"type": "object"})),
    row("a JSON Schema byte for byte", response_format=schema(schema=ODD_SCHEMA)),
    row("a strict JSON Schema", response_format=schema(schema={}, strict=True, description="")),
    row("a JSON Schema that is not strict", response_format=schema(schema=True, strict=False)),
    row("a format that nobody knows yet", response_format={"type": "grammar", "grammar": "root ::= 1"}),
]

OPTIONS = [
    row("likelihoods", logprobs=True, top_logprobs=0),
    row("likelihoods of others", logprobs=True, top_logprobs=20),
    row("no likelihoods", logprobs=False),
    row("several answers", n=3),
    row("one text that ends", stop="END\n", arrives={"stop": ["END\n"]}),
    row("texts that end", stop=["a", "", PLANES]),
    row("a seed", seed=0),
    row("a seed beyond doubles", seed=9007199254740993),
    row("the largest seed", seed=2**63 - 1),
    row("the smallest seed", seed=-(2**63)),
    row("biases", logit_bias={"50256": -100, "0": 100, "7": 0, "8": 0.5}),
    row("penalties", presence_penalty=-2.0, frequency_penalty=0.1),
    row("zero penalties", presence_penalty=0, frequency_penalty=-0.0),
    row("a temperature", temperature=0.7),
    row("the coldest temperature", temperature=0, top_p=1),
    row("a share of likeliest tokens", top_p=0.123456789012345678),
    row("the deprecated limit of tokens", max_tokens=1),
    row("a limit of tokens", max_completion_tokens=2**31 - 1),
    *(
        row(f"reasoning effort {effort}", reasoning_effort=effort)
        for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra")
    ),
    row("sound", modalities=["text", "audio"], audio={"format": "wav", "voice": "alloy"}),
    row(
        "a voice of one's own", modalities=["audio"], audio={"format": "pcm16", "voice": {"id": "voice_1"}}
    ),
    row("a prediction", prediction={"type": "content", "content": "a\n"}),
    row(
        "a prediction in parts",
        prediction={
            "type": "content",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "text", "text": "b", "prompt_cache_breakpoint": BREAKPOINT},
            ],
        },
    ),
    row("labels", metadata={"a": "b", "": "", "é\n": PLANES}),
    row("to be stored", store=True),
    row("not to be stored", store=False),
    *(row(f"tier {tier}", service_tier=tier) for tier in ("auto", "default", "flex", "priority", "gold")),
    row("a user", user="u"),
    row("an empty user", user=""),
    row("a user's identifier", safety_identifier="id-é"),
    row("caching of the prompt", prompt_cache_key="k", prompt_cache_retention="24h"),
    row("options of caching", prompt_cache_options={"mode": "explicit", "ttl": "30m"}),
    row("moderation", moderation={"model": "omni-moderation-latest"}),
    row(
        "moderation of both sides",
        moderation={"model": "o", "policy": {"input": {"mode": "score"}, "output": {"mode": "block"}}},
    ),
    *(row(f"verbosity {verbosity}", verbosity=verbosity) for verbosity in ("low", "medium", "high")),
    row("a search of the web", web_search_options={}),
    row(
        "a search of the web from a place",
        web_search_options={
            "search_context_size": "high",
            "user_location": {
                "type": "approximate",
                "approximate": {
                    "city": "Lisbon",
                    "country": "PT",
                    "region": "",
                    "timezone": "Europe/Lisbon",
                },
            },
        },
    ),
    row(
        "options that are null",
        arrives={},
        **dict.fromkeys(
            (
                *("audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs"),
                *("max_completion_tokens", "max_tokens", "metadata", "modalities", "moderation", "n"),
                *("parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key"),
                *("prompt_cache_retention", "reasoning_effort", "response_format", "seed", "service_tier"),
                *("stop", "store", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user"),
                *("verbosity", "web_search_options", "stream_options"),
            ),
            None,
        ),
    ),
]

UNKNOWN = [
    row("members of the body", top_k=40, min_p=0.0, guided=ODD_VALUE, nothing=None, maxTokens="é"),
    row("names of ours", extra_json={"extra_json": 1}, extra=[1.0]),
    row("members of tools", tools=[{**tool(), "cache_control": ODD_VALUE}, {**custom(), "x": 1}]),
    row(
        "members of functions", tools=[tool(examples=ODD_VALUE)], functions=[{"name": "f", "x": ODD_VALUE}]
    ),
    row(
        "members of custom tools",
        tools=[
            custom(x=ODD_VALUE),
            custom(format={"type": "text", "x": ODD_VALUE}),
            custom(
                format={
                    "type": "grammar",
                    "grammar": {"definition": "a", "syntax": "lark", "x": ODD_VALUE},
                    "y": 1,
                }
            ),
        ],
    ),
    row(
        "members of a choice",
        tool_choice={"type": "function", "function": {"name": "f", "x": ODD_VALUE}, "y": ODD_VALUE},
    ),
    row(
        "members of a choice among tools",
        tool_choice={
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [], "x": ODD_VALUE},
            "y": 1,
        },
    ),
    row("a kind of choice that nobody knows yet", tool_choice={"type": "mcp", "mcp": ODD_VALUE}),
    row("members of a deprecated choice", function_call={"name": "f", "x": ODD_VALUE}),
    row("members of a format", response_format={**schema(schema={}, x=ODD_VALUE), "y": ODD_VALUE}),
    row("members of sound", audio={"format": "wav", "voice": {"id": "v", "x": ODD_VALUE}, "y": ODD_VALUE}),
    row("members of a prediction", prediction={"type": "content", "content": "a", "x": ODD_VALUE}),
    row(
        "members of a search",
        web_search_options={
            "user_location": {"type": "approximate", "approximate": {"x": ODD_VALUE}, "y": ODD_VALUE},
            "z": ODD_VALUE,
        },
    ),
    row("members of caching", prompt_cache_options={"mode": "implicit", "x": ODD_VALUE}),
    row(
        "members of moderation",
        moderation={"model": "o", "policy": {"input": {"mode": "score", "x": ODD_VALUE}, "y": 1}, "z": 2},
    ),
]


@each_way
@kinds
@pytest.mark.parametrize(("sent", "arrives"), [*TOOLS, *FORMATS, *OPTIONS, *UNKNOWN])
def test_a_parameter_reaches_the_upstream_as_it_was(
    ways: Ways, upstream: Upstream, way: str, stream: bool, sent: Any, arrives: Any
) -> None:
    request = {"model": "m", "messages": [USER]} | sent
    ways.ask(way, "ok", request, stream=stream)
    assert told(arrived(upstream, stream=stream)) == told(plain({"messages": [USER]} | arrives))
    assert changed(upstream, request) == []


@each_way
@pytest.mark.parametrize(
    "asked",
    [
        {"include_usage": True},
        {"include_usage": False},
        {"include_obfuscation": False},
        {"include_usage": True, "include_obfuscation": True, "x": 1.5},
        {},
    ],
    ids=json.dumps,
)
def test_options_of_a_stream_reach_the_upstream(
    ways: Ways, upstream: Upstream, way: str, asked: Members
) -> None:
    request = {"model": "m", "messages": [USER], "stream_options": asked}
    ways.ask(way, "ok", request, stream=True)
    assert told(arrived(upstream, stream=True)["stream_options"]) == told(asked)


@kinds
@pytest.mark.parametrize(
    ("provider", "model"),
    [
        pytest.param("ok", "m", id="a string"),
        pytest.param(["ok"], "m", id="a list"),
        pytest.param(None, "ok/m", id="before the model"),
    ],
)
def test_what_chooses_a_provider_goes_no_further(
    ways: Ways, upstream: Upstream, stream: bool, provider: Any, model: str
) -> None:
    request = {"model": model, "messages": [USER], "provider": provider}
    ways.ask("rest", "ok", request, stream=stream)
    assert arrived(upstream, stream=stream) == {"messages": [USER]}
