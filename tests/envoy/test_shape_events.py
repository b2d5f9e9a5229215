"""How the events of a stream become what OpenAI's clients expect."""

from __future__ import annotations

import pytest

from tests.envoy.lua_edge import LuaEdge

EDGE = LuaEdge()
WORD = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
USAGE = b'data: {"id":"1","usage":{"total_tokens":2}}\n\n'
TOLD = b'data: {"choices":[],"id":"1","usage":{"total_tokens":2}}\n\n'
END = b"data: {}\n\n"
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("text", "shaped"),
    [
        pytest.param(WORD, WORD, id="a word"),
        pytest.param(END, DONE, id="the end"),
        pytest.param(WORD + END, WORD + DONE, id="a word and the end at once"),
        pytest.param(END + WORD, END + WORD, id="an empty event that is not the last"),
        pytest.param(USAGE, TOLD, id="the usage"),
        pytest.param(
            b'data: {"id":"1","extra":{"a":1}}\n\n',
            b'data: {"choices":[],"id":"1","extra":{"a":1}}\n\n',
            id="what a provider adds",
        ),
        pytest.param(WORD + USAGE + END, WORD + TOLD + DONE, id="all at once"),
        pytest.param(
            b'data: {"choices":[{"index":0}],"usage":{}}\n\n',
            b'data: {"choices":[{"index":0}],"usage":{}}\n\n',
            id="usage beside a choice",
        ),
        pytest.param(
            b'data: {"id":"\\"usage\\":{ data: {}"}\n\n',
            b'data: {"id":"\\"usage\\":{ data: {}"}\n\n',
            id="look-alikes in a string",
        ),
        pytest.param(
            b'data: {"error":{"message":"m"},"model":"x"}\n\n',
            b'data: {"error":{"param":null,"message":"m"},"model":"x"}\n\n',
            id="an error without a param",
        ),
        pytest.param(
            b'data: {"error":{"message":"m","param":"n"}}\n\n',
            b'data: {"error":{"message":"m","param":"n"}}\n\n',
            id="an error with a param",
        ),
    ],
)
def test_events_are_shaped(text: bytes, shaped: bytes) -> None:
    assert EDGE.shape_events(text) == shaped


@pytest.mark.parametrize(
    ("tokens", "shaped"),
    [
        pytest.param(
            '[{"token":"a","logprob":-0.1},{"token":"b","bytes":[1],"logprob":-1e-05}]',
            '[{"token":"a","logprob":-0.1,"top_logprobs":[]},'
            '{"token":"b","bytes":[1],"logprob":-1e-05,"top_logprobs":[]}]',
            id="none asked for",
        ),
        pytest.param(
            '[{"token":"a","logprob":-0.1,"top_logprobs":[{"token":"b","logprob":-2}]}]',
            '[{"token":"a","logprob":-0.1,"top_logprobs":[{"token":"b","logprob":-2}]}]',
            id="some asked for",
        ),
        pytest.param(
            '[{"token":"\\"logprob\\":1}","logprob":0}]',
            '[{"token":"\\"logprob\\":1}","logprob":0,"top_logprobs":[]}]',
            id="look-alikes in a string",
        ),
    ],
)
def test_a_token_has_its_list_of_likely_ones(tokens: str, shaped: str) -> None:
    event = 'data: {"choices":[{"logprobs":{"content":%s}}]}\n\n'
    assert EDGE.shape_logprobs((event % tokens).encode()) == (event % shaped).encode()
