"""The features of a chat, each with what a caller sends and what the vendor answers, in no dialect.

A dialect's table has a cell for every one of `FEATURES` and of `FAULTS`. Members of a feature's body are
those of `POST /v1/chat/completions`; where it has no `messages` they are `HI`.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.conformance.said import Called, Said
from tests.openai_api.asks import ODD_SCHEMA

Members = dict[str, Any]
# Everything but U+0000, which some vendors refuse in any text.
PLANES: Final = '\t"\\/\u007f\u00e9\u2028\ufeff\U0001f600\U0002a6d6\U0010ffff'
PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG_BASE64: Final = base64.b64encode(PNG).decode()
PDF_BASE64: Final = base64.b64encode(b"%PDF-1.4\n%%EOF\n").decode()
WAV_BASE64: Final = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt ").decode()
IMAGE_URL: Final = "https://images.example/cat.png"
ANSWER: Final = Said("Hello there, caller.")

WEATHER_SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def user(content: Any) -> Members:
    """What a person says."""
    return {"role": "user", "content": content}


def tool(name: str = "weather", parameters: Any = WEATHER_SCHEMA, **more: Any) -> Members:
    """A tool that may be called."""
    function = {"name": name, "description": "Tells the weather.", "parameters": parameters, **more}
    return {"type": "function", "function": function}


def called(call_id: str, arguments: str, name: str = "weather") -> Members:
    """A call in a message that is given back."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def told(call_id: str, content: str) -> Members:
    """What a tool said."""
    return {"role": "tool", "tool_call_id": call_id, "content": content}


HI: Final = [user("Hi")]
PARIS: Final = Called("weather", {"city": "Paris"}, "call_1")
ROME: Final = Called("weather", {"city": "Rome"}, "call_2")
CALLS: Final = Said(calls=(PARIS,), finish="tool_calls")


@dataclass(frozen=True)
class Feature:
    """What a caller sends, and what the vendor answers."""

    body: Members = field(default_factory=dict)
    said: Said = ANSWER


def _talk(*messages: Members) -> Feature:
    return Feature({"messages": list(messages)})


def _part(**part: Any) -> Feature:
    return _talk(user([{"type": "text", "text": "What is this?"}, part]))


FEATURES: Final[Mapping[str, Feature]] = {
    # What is said.
    "text": Feature(),
    "system prompt": _talk({"role": "system", "content": "Be brief."}, user("Hi")),
    "developer prompt": _talk({"role": "developer", "content": "Be brief."}, user("Hi")),
    "conversation": _talk(user("Hi"), {"role": "assistant", "content": "Hello."}, user("And you?")),
    "text in parts": _talk(user([{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}])),
    "unicode": Feature({"messages": [user(PLANES)]}, Said(PLANES)),
    # How it is to be answered.
    "temperature": Feature({"temperature": 0.25}),
    "top_p": Feature({"top_p": 0.5}),
    "stop": Feature({"stop": ["END", "STOP"]}),
    "max_tokens": Feature({"max_tokens": 50}),
    "max_completion_tokens": Feature({"max_completion_tokens": 50}),
    "penalties": Feature({"presence_penalty": 0.5, "frequency_penalty": 0.25}),
    "seed": Feature({"seed": 42}),
    "several choices": Feature({"n": 2}),
    "logprobs": Feature({"logprobs": True, "top_logprobs": 2}),
    "logit bias": Feature({"logit_bias": {"50256": -100}}),
    "user": Feature({"user": "user-1"}),
    # Tools.
    "tools": Feature({"tools": [tool()]}, CALLS),
    "parallel tool calls": Feature({"tools": [tool()]}, Said(calls=(PARIS, ROME), finish="tool_calls")),
    "tool call beside text": Feature(
        {"tools": [tool()]}, Said("Let me see.", calls=(PARIS,), finish="tool_calls")
    ),
    "tool call without arguments": Feature(
        {"tools": [tool("now", {"type": "object", "properties": {}})]},
        Said(calls=(Called("now"),), finish="tool_calls"),
    ),
    "tool schema byte for byte": Feature({"tools": [tool(parameters=ODD_SCHEMA)]}, CALLS),
    "one tool call at a time": Feature({"tools": [tool()], "parallel_tool_calls": False}, CALLS),
    "tool choice auto": Feature({"tools": [tool()], "tool_choice": "auto"}),
    "tool choice none": Feature({"tools": [tool()], "tool_choice": "none"}),
    "tool choice required": Feature({"tools": [tool()], "tool_choice": "required"}, CALLS),
    "forced tool": Feature(
        {
            "tools": [tool(), tool("other")],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
        },
        CALLS,
    ),
    "tool results": Feature(
        {
            "tools": [tool()],
            "messages": [
                user("Paris and Rome?"),
                {
                    "role": "assistant",
                    "content": "Let me see.",
                    "tool_calls": [
                        called("call_1", '{"city": "Paris"}'),
                        called("call_2", '{"city": "Rome"}'),
                    ],
                },
                told("call_1", "rain"),
                told("call_2", '{"sky": "clear"}'),
            ],
        }
    ),
    # What is not text.
    "image as data": _part(type="image_url", image_url={"url": f"data:image/png;base64,{PNG_BASE64}"}),
    "image by address": _part(type="image_url", image_url={"url": IMAGE_URL}),
    "file": _part(
        type="file",
        file={"file_data": f"data:application/pdf;base64,{PDF_BASE64}", "filename": "paper.pdf"},
    ),
    "audio in": _part(type="input_audio", input_audio={"data": WAV_BASE64, "format": "wav"}),
    "image out": Feature({"modalities": ["text", "image"]}, Said("Here it is.", pictures=(PNG,))),
    # Formats.
    "JSON Schema": Feature(
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "report", "schema": WEATHER_SCHEMA, "strict": True},
            }
        },
        Said('{"city": "Paris"}'),
    ),
    "JSON Schema byte for byte": Feature(
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "report", "schema": ODD_SCHEMA},
            }
        },
        Said("{}"),
    ),
    "JSON object": Feature({"response_format": {"type": "json_object"}}, Said('{"a": 1}')),
    # Thoughts.
    "reasoning effort": Feature({"reasoning_effort": "low"}),
    "reasoning told": Feature(said=Said("42.", reasoning="Six times seven.", reasoning_tokens=4)),
    "reasoning beside a call": Feature(
        {"tools": [tool()]}, Said(reasoning="I must look.", calls=(PARIS,), finish="tool_calls")
    ),
    "reasoning given back": Feature(
        {
            "tools": [tool()],
            "messages": [
                user("Paris?"),
                {
                    "role": "assistant",
                    "content": None,
                    "reasoning_content": "I must look.",
                    "tool_calls": [called("call_1", '{"city": "Paris"}')],
                },
                told("call_1", "rain"),
            ],
        }
    ),
    # What it costs.
    "usage": Feature(said=Said("Hello there.", prompt_tokens=1_234, completion_tokens=56)),
    "cached tokens": Feature(said=Said("Hello.", prompt_tokens=1_234, cached_tokens=1_024)),
    "cache breakpoint": _talk(
        user(
            [
                {
                    "type": "text",
                    "text": "A long text.",
                    "prompt_cache_breakpoint": {"mode": "explicit"},
                },
                {"type": "text", "text": "A question?"},
            ]
        )
    ),
    # What nobody knows yet.
    "unknown member": Feature({"x_new": {"a": [1, "b"]}}),
    # Why it ends.
    "finish: stop": Feature(said=Said("All.", finish="stop")),
    "finish: length": Feature({"max_tokens": 1}, Said("All that", finish="length")),
    "finish: tool_calls": Feature({"tools": [tool()]}, CALLS),
    "finish: content_filter": Feature(said=Said("I will", finish="content_filter")),
}


@dataclass(frozen=True)
class Fault:
    """A failure: the HTTP status that callers get, and the cause of the attempt."""

    status: int
    cause: str
    retry_after: bool = False


FAULTS: Final[Mapping[str, Fault]] = {
    "fault: wrong request": Fault(400, "refused"),
    "fault: key": Fault(503, "key_refused"),
    "fault: permission": Fault(503, "access_refused"),
    "fault: model": Fault(404, "no_such_model"),
    "fault: too large": Fault(413, "refused"),
    "fault: rate limit": Fault(429, "rate_limited", retry_after=True),
    "fault: overloaded": Fault(503, "server_error"),
    "fault: server": Fault(503, "server_error"),
    "fault: in a stream": Fault(503, "server_error"),  # after content
    "fault: cut off": Fault(503, "connection_lost"),
}
