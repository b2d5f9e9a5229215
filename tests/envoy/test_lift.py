"""Lifting under a real LuaJIT, each rule by example."""

from __future__ import annotations

from typing import Any

import pytest

from tests.envoy.lua_edge import EMBEDDINGS, LuaEdge

EDGE = LuaEdge()


def lifted(body: str) -> str:
    text, _ = EDGE.lift(body.encode())
    assert text is not None
    return text.decode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param('{"model" : "m"}', '{"model" : "m"}', id="nothing to do"),
        pytest.param("{}", "{}", id="an empty object"),
        pytest.param(' {\n"n":1} ', ' {\n"n":1} ', id="white space stays"),
        pytest.param('{"provider":"A B"}', '{"providers":["A","B"]}', id="split"),
        pytest.param('{"providers":" A\\tB\\n"}', '{"providers":["A","B"]}', id="split by spaces"),
        pytest.param(
            '{"provider":"\\u0041\\u0020\\"\\\\\\u0001"}',
            '{"providers":["A","\\"\\\\\\u0001"]}',
            id="split after unescaping",
        ),
        pytest.param('{"provider":""}', '{"providers":[]}', id="split nothing"),
        pytest.param('{"provider":["A B"]}', '{"providers":["A B"]}', id="a list is not split"),
        pytest.param('{"provider":null}', '{"providers":null}', id="null is not split"),
        pytest.param('{"provider":"A","providers":["B"]}', '{"providers":["B"]}', id="two names"),
        pytest.param('{"n":1,"n":2}', '{"n":2}', id="the last wins"),
        pytest.param('{"\\u006e":1}', '{"n":1}', id="an escaped name"),
        pytest.param('{"n":1,"\\u006e":2}', '{"n":2}', id="the last wins, however it is spelled"),
        pytest.param('{"tool_choice":"auto"}', '{"tool_choice":{"mode":"auto"}}', id="a shorthand"),
        pytest.param('{"tool_choice":null}', '{"tool_choice":null}', id="null is no shorthand"),
        pytest.param(
            '{"messages":[{"content":"a\\n"}, {} ,{"role":"u"}]}',
            '{"messages":[{"content":[{"text":"a\\n"}]}, {} ,{"role":"u"}]}',
            id="a shorthand for a list",
        ),
        pytest.param(
            '{"functions":[{"parameters":{"b": 1.0,\t"a":"\\""}}]}',
            '{"functions":[{"parameters":"{\\"b\\": 1.0,\\t\\"a\\":\\"\\\\\\"\\"}"}]}',
            id="text is kept to the byte",
        ),
        pytest.param(
            '{"functions":[{"parameters":"x"}]}',
            '{"functions":[{"parameters":"\\"x\\""}]}',
            id="text of a string has its quotes",
        ),
        pytest.param(
            '{"functions":[{"parameters":null}]}',
            '{"functions":[{"parameters":null}]}',
            id="null is no text",
        ),
        pytest.param(
            '{"metadata":{"a":"1","a":"2"},"logit_bias":{"5":1}}',
            '{"metadata":{"a":"2"},"logit_bias":{"5":1}}',
            id="a map has each key once",
        ),
        pytest.param(
            '{"x":1,"n":2,"maxTokens" : {"y": [ ]}}',
            '{"n":2,"extra_json":"{\\"x\\":1,\\"maxTokens\\" : {\\"y\\": [ ]}}"}',
            id="unknown names move as they are",
        ),
        pytest.param(
            '{"x":1,"y":2,"x":3}',
            '{"extra_json":"{\\"x\\":3,\\"y\\":2}"}',
            id="of an unknown name too the last wins",
        ),
        pytest.param(
            '{"extra_json":"z"}',
            '{"extra_json":"{\\"extra_json\\":\\"z\\"}"}',
            id="extra_json is an unknown name",
        ),
        pytest.param(
            '{"messages":[{"tool_calls":[{"extra":{"provider":"A B","x":1}}]}]}',
            '{"messages":[{"tool_calls":[{"extra":{"provider":"A B","x":1}}]}]}',
            id="a Struct is not looked into",
        ),
        pytest.param(
            '{"model":"\\"provider\\":\\"A B\\"","x":"}"}',
            '{"model":"\\"provider\\":\\"A B\\"","extra_json":"{\\"x\\":\\"}\\"}"}',
            id="look-alikes in strings",
        ),
    ],
)
def test_a_body_is_lifted(body: str, expected: str) -> None:
    assert lifted(body) == expected


@pytest.mark.parametrize(
    ("body", "streams"),
    [
        pytest.param('{"stream": true }', True, id="true"),
        pytest.param('{"stream":false}', False, id="false"),
        pytest.param('{"stream":true,"stream":false}', False, id="the last wins"),
        pytest.param('{"x":{"stream":true},"messages":[{"stream":true}]}', False, id="deeper"),
        pytest.param('{"\\u0073tream":true}', True, id="an escaped name"),
    ],
)
def test_a_stream_is_asked_for_by_true_at_the_top(body: str, streams: bool) -> None:
    assert EDGE.lift(body.encode())[1] is streams


DEEP = 100_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"x"', id="a string"),
        pytest.param(b"null", id="null"),
        pytest.param(b'\xef\xbb\xbf{"n":1}', id="a byte order mark"),
        pytest.param(b'{"n":1', id="cut"),
        pytest.param(b'{"n":1}}', id="more after the end"),
        pytest.param(b'{"n":1}\x00', id="NUL after the end"),
        pytest.param(b'{"n":1,}', id="a comma too many"),
        pytest.param(b"{'n':1}", id="single quotes"),
        pytest.param(b"{n:1}", id="a bare name"),
        pytest.param(b'{"n" 1}', id="no colon"),
        pytest.param(b'{"n":}', id="no value"),
        pytest.param(b'{"stop":["a"}', id="brackets that do not match"),
        pytest.param(b'{"x":{"a":1]}', id="brackets that do not match in what moves"),
        pytest.param(b'{"x":01}', id="a leading zero"),
        pytest.param(b'{"x":1.}', id="a point without digits"),
        pytest.param(b'{"x":1e}', id="an exponent without digits"),
        pytest.param(b'{"x":NaN}', id="NaN"),
        pytest.param(b'{"x":tru}', id="half a word"),
        pytest.param(b'{"x":truex}', id="more than a word"),
        pytest.param(b'{"x":"\\q"}', id="an unknown escape"),
        pytest.param(b'{"x":"\\u12"}', id="a short escape"),
        pytest.param(b'{"x":"a\nb"}', id="a line feed in a string"),
        pytest.param(b'{"x":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"x":"\xed\xa0\x80"}', id="a surrogate in UTF-8"),
        pytest.param(b'{"user":"\xc3","user":"a"}', id="not UTF-8 in what is dropped"),
        pytest.param(b'{"user":"\\q","user":"a"}', id="an unknown escape in what is dropped"),
        pytest.param(b'{"\\ud800":1}', id="half a surrogate pair in a name"),
        pytest.param(b'{"provider":"\\udc00"}', id="half a surrogate pair in a split string"),
        pytest.param(b'{"x":' + b"[" * DEEP, id="deep lists"),
        pytest.param(b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}", id="deep lists that end"),
        pytest.param(b'{"a":' * DEEP, id="deep objects"),
        pytest.param(b'{"messages":[' * DEEP, id="deep objects of known names"),
    ],
)
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    text, reason = EDGE.lift(body)
    assert text is None
    assert reason.startswith(b"The body is not valid JSON: expected ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param('{"n":"1"}', "n must be a number.", id="a string for a number"),
        pytest.param('{"store":"true"}', "store must be true or false.", id="a string for a boolean"),
        pytest.param('{"stop":["a",null]}', "stop[1] must be a string.", id="a null in a list"),
        pytest.param('{"provider":[["a"]]}', "provider[0] must be a string.", id="a list in a list"),
        pytest.param(
            '{"metadata":{"a":null}}',
            "metadata must be an object whose values are each a string.",
            id="a null in a map",
        ),
        pytest.param(
            '{"logit_bias":{"5":"1"}}',
            "logit_bias must be an object whose values are each a number.",
            id="a string for a number in a map",
        ),
        pytest.param(
            '{"seed":-9223372036854775809}', "seed must be an integer of 64 bits.", id="below the least"
        ),
    ],
)
def test_what_the_transcoder_would_read_as_something_else_is_refused(body: str, reason: str) -> None:
    assert EDGE.lift(body.encode()) == (None, reason.encode())


@pytest.mark.parametrize(
    "body",
    ['{"seed":-9223372036854775808}', '{"seed":"5"}', '{"stop":[]}', '{"metadata":{ }}', '{"n":null}'],
)
def test_what_the_transcoder_reads_as_it_is_stays(body: str) -> None:
    assert EDGE.lift(body.encode())[0] == body.encode()


def test_a_reason_says_where() -> None:
    assert EDGE.lift(b'{"n":1,}')[1] == (
        b"The body is not valid JSON: expected a member name in double quotes at byte 8."
    )


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda n: b'{"x":"' + b"A" * n * 8 + b'"}', id="a long string that moves"),
        pytest.param(lambda n: b'{"model":"' + b'\\"' * n + b'"}', id="many quotes"),
        pytest.param(lambda n: b'{"x":"' + b'\\"' * n + b'"}', id="many quotes that move"),
        pytest.param(lambda n: b'{"model":"' + b"\\\\" * n + b'"}', id="many backslashes"),
        pytest.param(lambda n: b'{"provider":"' + b"a " * n + b'"}', id="many words"),
        pytest.param(lambda n: b'{"stop":[' + b'"a",' * n + b'"a"]}', id="many elements"),
        pytest.param(lambda n: b"{" + b",".join(b'"%d":1' % i for i in range(n)) + b"}", id="many names"),
        pytest.param(
            lambda n: b'{"metadata":{' + b",".join(b'"%d":"a"' % i for i in range(n)) + b"}}",
            id="many labels",
        ),
        pytest.param(lambda n: b"{" + b'"n":1,' * n + b'"n":1}', id="one name many times"),
        pytest.param(lambda n: b'{"messages":[' + b'{"content":"a"},' * n + b"1]}", id="many messages"),
        pytest.param(
            lambda n: b'{"messages":[' + b"{}," * n + b"{}]}",
            id="many empty messages",
        ),
    ],
)
def test_lifting_takes_steps_in_proportion(make: Any) -> None:
    few, many = EDGE.instructions(make(4_000)), EDGE.instructions(make(16_000))
    assert many < 5 * few + 50


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param('"a"', '[{"text":"a"}]', id="a string"),
        pytest.param('["a", "b"]', '[{"text":"a"}, {"text":"b"}]', id="strings"),
        pytest.param("[1, -2]", '[{"tokens":[1, -2]}]', id="tokens"),
        pytest.param("[ [1,2] ,[3]]", '[ {"tokens":[1,2]} ,{"tokens":[3]}]', id="lists of tokens"),
        pytest.param('[{"text":"a","x":1}]', '[{"text":"a","extra_json":"{\\"x\\":1}"}]', id="objects"),
        pytest.param("[]", "[]", id="an empty list"),
        pytest.param("null", "null", id="null"),
    ],
)
def test_texts_and_tokens_come_bare(given: str, expected: str) -> None:
    text, _ = EDGE.lift(f'{{"input":{given}}}'.encode(), EMBEDDINGS)
    assert text == f'{{"input":{expected}}}'.encode()


@pytest.mark.parametrize("given", ["[true]", "[null]", '[{"text":"a"},1]'])
def test_what_is_neither_text_nor_tokens_is_refused(given: str) -> None:
    text, fault = EDGE.lift(f'{{"input":{given}}}'.encode(), EMBEDDINGS)
    assert text is None
    assert b"must be a string or a list of numbers" in fault
