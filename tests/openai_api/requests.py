"""Random chat requests of OpenAI's full shape, with members that nobody knows yet at every level, text of
all planes, and JSON texts in every spelling.

The shape is that of `CompletionCreateParams` in OpenAI's SDK.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from hypothesis import strategies as st
from msgspec import Raw

Members = dict[str, Any]
Strategy = st.SearchStrategy[Any]

# --- Words, numbers and JSON texts -----------------------------------------------------------------

TEXT = st.text(
    st.sampled_from('aB "\\/{}[]:,\x00\n\x7f\u2028\ufeffé€😀𪛖') | st.characters(codec="utf-8"), max_size=8
)
WORD = TEXT.filter(bool)
SHARE = st.floats(0, 2) | st.integers(0, 2)
PENALTY = st.floats(-2, 2) | st.integers(-2, 2)
COUNT = st.integers(0, 2**31 - 1)
# Names of no member of OpenAI's, some of which look like ours.
NAME = st.sampled_from(["top_k", "x", "extra_json", "maxTokens", "cache_control", "é", "", "\n", "a.b"])
_SPACE = st.sampled_from(["", "", " ", "\n\t", "  \r\n"])
_NUMBER = (
    st.sampled_from(["0", "-0", "1.0", "-0.0", "1e3", "1E+2", "0.10", "12345678901234567890", "5e-324"])
    | st.integers().map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
)
_STRING = (
    TEXT.map(json.dumps)
    | TEXT.map(partial(json.dumps, ensure_ascii=False))
    | st.sampled_from(['"\\/"', '"\\u00E4"', '"\\ud83d\\uDE00"', '"\\u0061"', '"}\\\\"'])
)


def _listed(space: str, items: list[str]) -> str:
    return "[" + space + f"{space},".join(items) + space + "]"


def _object_text(space: str, pairs: list[tuple[str, str]]) -> str:
    members = (f"{name}{space}:{space}{value}" for name, value in pairs)
    return "{" + space + f",{space}".join(members) + space + "}"


_ANY_TEXT = st.recursive(
    _NUMBER | _STRING | st.sampled_from(["true", "false", "null"]),
    lambda inner: (
        st.builds(_listed, _SPACE, st.lists(inner, max_size=3))
        | st.builds(_object_text, _SPACE, st.lists(st.tuples(_STRING, inner), max_size=3))
    ),
    max_leaves=5,
)
# JSON as text, to arrive byte for byte: anything, and a schema.
ANY = _ANY_TEXT.map(lambda text: Raw(text.encode()))
SCHEMA = st.builds(
    _object_text,
    _SPACE,
    st.lists(
        st.tuples(st.sampled_from(['"type"', '"properties"', '"$defs"', '"enum"']) | _STRING, _ANY_TEXT),
        max_size=3,
    ),
).map(lambda text: Raw(text.encode()))


def _merged(*parts: Members) -> Members:
    return {name: value for part in parts for name, value in part.items()}


def with_unknown(more: Strategy, required: Members, optional: Members) -> Strategy:
    """An object with required members, some of the optional ones, and some that nobody knows."""
    nothing: Strategy = st.just({})
    unknown = nothing | st.dictionaries(NAME, more, max_size=2)
    known = st.fixed_dictionaries(required, optional={name: st.none() | s for name, s in optional.items()})
    return st.builds(_merged, known, unknown) | st.builds(_merged, unknown, known)


def asked(required: Members | None = None, /, **optional: Strategy) -> Strategy:
    """An object of a request; `required` pairs names with strategies or with the only value."""
    strategies = {
        name: value if isinstance(value, st.SearchStrategy) else st.just(value)
        for name, value in (required or {}).items()
    }
    return with_unknown(ANY, strategies, optional)


# --- Requests --------------------------------------------------------------------------------------

_BREAKPOINT = asked({"mode": "explicit"}, ttl=st.sampled_from(["30m", "12h"]))
_TEXT_PART = asked({"type": "text", "text": TEXT}, prompt_cache_breakpoint=_BREAKPOINT)
_PART = (
    _TEXT_PART
    | asked(
        {"type": "image_url", "image_url": asked({"url": WORD}, detail=WORD)},
        prompt_cache_breakpoint=_BREAKPOINT,
    )
    | asked(
        {"type": "input_audio", "input_audio": asked({"data": WORD, "format": WORD})},
        prompt_cache_breakpoint=_BREAKPOINT,
    )
    | asked(
        {"type": "file", "file": asked(file_data=TEXT, file_id=TEXT, filename=TEXT)},
        prompt_cache_breakpoint=_BREAKPOINT,
    )
    | asked({"type": "video_url", "video_url": ANY})
)
_TEXTS = TEXT | st.lists(_TEXT_PART, max_size=2)
_REFUSAL = asked({"type": "refusal", "refusal": TEXT})
_CALL = asked({"name": TEXT, "arguments": TEXT | _ANY_TEXT})
_TOOL_CALL = asked({"id": TEXT, "type": "function", "function": _CALL}) | asked(
    {"id": TEXT, "type": "custom", "custom": asked({"name": TEXT, "input": TEXT})}
)
_MESSAGE = (
    asked({"role": st.sampled_from(["developer", "system"]), "content": _TEXTS}, name=TEXT)
    | asked({"role": "user", "content": TEXT | st.lists(_PART, max_size=3)}, name=TEXT)
    | asked(
        {"role": "assistant"},
        content=TEXT | st.lists(_TEXT_PART | _REFUSAL, max_size=2),
        name=TEXT,
        refusal=TEXT,
        audio=asked({"id": WORD}),
        function_call=_CALL,
        tool_calls=st.lists(_TOOL_CALL, max_size=3),
    )
    | asked({"role": "tool", "content": _TEXTS, "tool_call_id": TEXT})
    | asked({"role": "function", "content": st.none() | TEXT, "name": TEXT})
)
_FUNCTION = asked({"name": WORD}, description=TEXT, parameters=SCHEMA, strict=st.booleans())
_FORMAT_OF_TEXT = asked({"type": "text"}) | asked(
    {
        "type": "grammar",
        "grammar": asked({"definition": WORD, "syntax": st.sampled_from(["lark", "regex"])}),
    }
)
_TOOL = (
    asked({"type": "function", "function": _FUNCTION})
    | asked({"type": "custom", "custom": asked({"name": WORD}, description=TEXT, format=_FORMAT_OF_TEXT)})
    | asked({"type": "web_search"})
)
_NAMED = asked({"name": WORD})
_TOOL_LIST = st.builds(_listed, _SPACE, st.lists(_ANY_TEXT, max_size=2)).map(
    lambda text: Raw(text.encode())
)
_TOOL_CHOICE = (
    st.sampled_from(["none", "auto", "required"])
    | asked({"type": "function", "function": _NAMED})
    | asked({"type": "custom", "custom": _NAMED})
    | asked(
        {
            "type": "allowed_tools",
            "allowed_tools": asked({"mode": st.sampled_from(["auto", "required"]), "tools": _TOOL_LIST}),
        }
    )
)
_RESPONSE_FORMAT = asked({"type": st.sampled_from(["text", "json_object", "grammar"])}) | asked(
    {
        "type": "json_schema",
        "json_schema": asked({"name": WORD}, description=TEXT, schema=SCHEMA, strict=st.booleans()),
    }
)
_ACTION = asked({"mode": st.sampled_from(["score", "block"])})

# A chat request for the model `m`, but for `stream` and its options.
REQUESTS = asked(
    {"model": "m", "messages": st.lists(_MESSAGE, min_size=1, max_size=3)},
    audio=asked({"format": WORD, "voice": TEXT | asked({"id": TEXT})}),
    frequency_penalty=PENALTY,
    function_call=st.sampled_from(["none", "auto"]) | asked({"name": TEXT}),
    functions=st.lists(_FUNCTION, max_size=2),
    logit_bias=st.dictionaries(st.integers(0, 2**31).map(str), st.integers(-100, 100), max_size=3),
    logprobs=st.booleans(),
    max_completion_tokens=COUNT,
    max_tokens=COUNT,
    metadata=st.dictionaries(TEXT, TEXT, max_size=3),
    modalities=st.lists(st.sampled_from(["text", "audio"]), max_size=2),
    moderation=asked({"model": WORD}, policy=asked(input=_ACTION, output=_ACTION)),
    n=st.integers(1, 128),
    parallel_tool_calls=st.booleans(),
    prediction=asked({"type": "content", "content": _TEXTS}),
    presence_penalty=PENALTY,
    prompt_cache_key=TEXT,
    prompt_cache_options=asked(mode=st.sampled_from(["implicit", "explicit"]), ttl=st.just("30m")),
    prompt_cache_retention=st.sampled_from(["in_memory", "24h"]),
    reasoning_effort=st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
    response_format=_RESPONSE_FORMAT,
    safety_identifier=TEXT,
    seed=st.integers(-(2**63), 2**63 - 1),
    service_tier=st.sampled_from(["auto", "default", "flex", "scale", "priority", "fast"]),
    stop=TEXT | st.lists(TEXT, max_size=4),
    store=st.booleans(),
    temperature=SHARE,
    tool_choice=_TOOL_CHOICE,
    tools=st.lists(_TOOL, max_size=3),
    top_logprobs=st.integers(0, 20),
    top_p=SHARE,
    user=TEXT,
    verbosity=st.sampled_from(["low", "medium", "high"]),
    web_search_options=asked(
        search_context_size=st.sampled_from(["low", "medium", "high"]),
        user_location=asked(
            {
                "type": "approximate",
                "approximate": asked(city=TEXT, country=TEXT, region=TEXT, timezone=TEXT),
            }
        ),
    ),
)
STREAM_OPTIONS = asked(include_usage=st.booleans(), include_obfuscation=st.booleans())


def written(value: Any, *, escaped: bool, space: str) -> str:
    """The JSON of a request, with white space around its signs, and letters beyond ASCII escaped or not."""
    if isinstance(value, Raw):
        return bytes(value).decode()
    if isinstance(value, list):
        return _listed(space, [written(item, escaped=escaped, space=space) for item in value])
    if isinstance(value, dict):
        names = (json.dumps(name, ensure_ascii=escaped) for name in value)
        values = (written(item, escaped=escaped, space=space) for item in value.values())
        return _object_text(space, list(zip(names, values, strict=True)))
    return json.dumps(value, ensure_ascii=escaped)
