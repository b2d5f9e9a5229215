"""Text completions through the real service: what is asked reaches the upstream, and texts come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from tests.calls import rest_text
from tests.exchange import TEXT
from tests.openai_api.asks import changed
from tests.openai_api.shapes import TEXT_REQUEST, at_upstream, plain, spare, told
from tests.upstream import Told

if TYPE_CHECKING:
    from tests.exchange import Ways
    from tests.upstream import Upstream

each_way = pytest.mark.parametrize("way", ["rest", "grpc"])
kinds = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
Members = dict[str, Any]
MODEL = "text-1"
ODD_VALUE = Raw(rb'{"z" :1.0, "a":[ 1e3,-0.0,12345678901234567890, null,"\u00e4\/" ]}')
PLANES = '\u0000\t"\\/é\u2028\U0001f600\U0010ffff'
ENVELOPE = {"id": "cmpl-1", "object": "text_completion", "created": 5, "model": "text-1-large"}
USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "total_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 1},
}
LIKELIHOODS = {
    "tokens": ["a", "", PLANES],
    "token_logprobs": [None, -0.5, 0],
    "top_logprobs": [None, {"a": -0.5, "": -9999.0}, {}],
    "text_offset": [0, 1, 1],
}


def answer(*choices: Members, **more: Any) -> Members:
    """An upstream's whole answer, or a chunk of it."""
    return {**ENVELOPE, "choices": list(choices), **more}


def choice(text: str, index: int = 0, finish_reason: str | None = "stop", **more: Any) -> Members:
    return {"index": index, "text": text, "finish_reason": finish_reason, **more}


DEFAULT = Told(answer(choice("a")))
STREAMED = Told(events=[answer(choice("a"))])


def row(name: str, /, arrives: Members | None = None, **sent: Any) -> Any:
    """A feature: its members of a request, and those that must arrive where they are not the very same."""
    return pytest.param(sent, sent if arrives is None else arrives, id=name)


REQUESTS = [
    row("a text", prompt="Once"),
    row("an empty text", prompt=""),
    row("a text of all planes", prompt=PLANES),
    row("texts", prompt=["a", ""]),
    row("a list of one text", prompt=["a"], arrives={"prompt": "a"}),
    row("tokens", prompt=[1, 2, 2**31 - 1]),
    row("lists of tokens", prompt=[[1, 2], [0]]),
    row("a list of one list of tokens", prompt=[[1, 2]], arrives={"prompt": [1, 2]}),
    row("a suffix", suffix="\nEnd"),
    row("an empty suffix", suffix=""),
    row("a limit of tokens", max_tokens=0),
    row("temperature", temperature=0.7, top_p=0),
    row("several texts", n=3, best_of=5),
    row("repeating the prompt", echo=True),
    row("not repeating the prompt", echo=False),
    row("likelihoods", logprobs=5),
    row("likelihoods of no others", logprobs=0),
    row("one text that ends", stop="\n", arrives={"stop": ["\n"]}),
    row("texts that end", stop=["a", ""]),
    row("penalties", presence_penalty=-2, frequency_penalty=0.1),
    row("biases", logit_bias={"50256": -100}),
    row("a seed beyond doubles", seed=2**63 - 1),
    row("a user", user="u"),
    row("members that nobody knows yet", top_k=40, guided=ODD_VALUE, nothing=None),
    row("members of chat", tools=ODD_VALUE, modalities=["text"]),
    row("chat's limit of tokens", max_completion_tokens=5),
    row(
        "null members",
        arrives={},
        **dict.fromkeys(("suffix", "max_tokens", "stop", "logprobs", "logit_bias", "n", "echo", "best_of")),
    ),
]


@each_way
@kinds
@pytest.mark.parametrize(("sent", "arrives"), REQUESTS)
def test_what_to_continue_reaches_the_upstream(
    ways: Ways, upstream: Upstream, way: str, stream: bool, sent: Members, arrives: Members
) -> None:
    request: Members = {"prompt": "Once"} | sent
    ways.hear(way, upstream, STREAMED if stream else DEFAULT, api=TEXT, model=MODEL, **request)
    assert upstream.last().path == "/told/v1/completions"
    expected = {"model": MODEL, "prompt": "Once"} | arrives | ({"stream": True} if stream else {})
    assert told(upstream.last().body) == told(plain(expected))
    assert changed(upstream, request) == []


@each_way
@pytest.mark.parametrize(
    ("sent", "comes"),
    [
        pytest.param(answer(choice("a")), answer(choice("a")), id="a text"),
        pytest.param(answer(choice(PLANES)), answer(choice(PLANES)), id="a text of all planes"),
        pytest.param(answer(choice("")), answer(choice("")), id="an empty text"),
        pytest.param(
            answer(choice("b", 1, "length"), choice("a")),
            answer(choice("b", 1, "length"), choice("a")),
            id="several texts",
        ),
        pytest.param(
            answer(choice("a", logprobs=LIKELIHOODS)),
            answer(choice("a", logprobs=LIKELIHOODS)),
            id="likelihoods",
        ),
        pytest.param(
            answer(choice("a"), usage=USAGE, system_fingerprint="fp"),
            answer(choice("a"), usage=USAGE, system_fingerprint="fp"),
            id="usage and fingerprint",
        ),
        pytest.param(
            answer(choice("a", stop_reason=5), usage={**USAGE, "cost": 0.5}, kv=[None], provider="Behind"),
            answer(
                choice("a", extra={"stop_reason": 5}),
                usage={**USAGE, "extra": {"cost": 0.5}},
                extra={"kv": [None], "provider": "Behind"},
            ),
            id="members that nobody knows yet",
        ),
    ],
)
def test_an_answer_comes_back_as_it_was(
    ways: Ways, upstream: Upstream, way: str, sent: Members, comes: Members
) -> None:
    [came] = ways.hear(way, upstream, Told(sent), api=TEXT, model=MODEL, prompt="Once")
    assert told(came) == told(spare(comes))


def text_of(chunks: list[Members]) -> dict[int, str]:
    """The whole text of each choice."""
    texts_: dict[int, str] = {}
    for chunk in chunks:
        for part in chunk.get("choices", ()):
            texts_[part["index"]] = texts_.get(part["index"], "") + part.get("text", "")
    return texts_


PIECES = [
    answer(choice("He", 0, None)),
    answer(choice(PLANES, 1, None, logprobs=LIKELIHOODS)),
    answer(choice("llo", 0, None)),
    answer(choice("", 1, "length"), choice("!", 0, "stop", stop_reason="x")),
]
LAST = answer(usage=USAGE)
USAGES = [
    pytest.param([*PIECES, LAST], id="as the last chunk"),
    pytest.param([*PIECES[:-1], {**PIECES[-1], "usage": USAGE}], id="beside the end"),
    pytest.param([*({**piece, "usage": USAGE} for piece in PIECES)], id="in every chunk"),
]


@each_way
@pytest.mark.parametrize("asked", [None, False, True])
@pytest.mark.parametrize("chunks", USAGES)
def test_a_stream_comes_back_as_it_was(
    ways: Ways, upstream: Upstream, way: str, asked: bool | None, chunks: list[Members]
) -> None:
    more: Members = {} if asked is None else {"stream_options": {"include_usage": asked}}
    came = ways.hear(way, upstream, Told(events=chunks), api=TEXT, model=MODEL, prompt="Once", n=2, **more)
    assert text_of(came) == {0: "Hello!", 1: PLANES}
    parts = [part for chunk in came for part in chunk.get("choices", ())]
    assert [part["logprobs"] for part in parts if "logprobs" in part] == [spare(LIKELIHOODS)]
    assert [part["extra"] for part in parts if "extra" in part] == [{"stop_reason": "x"}]
    reasons = {part["index"]: part["finish_reason"] for part in parts if "finish_reason" in part}
    assert reasons == {0: "stop", 1: "length"}
    assert {chunk["id"] for chunk in came} == {"cmpl-1"}
    assert {chunk["object"] for chunk in came} == {"text_completion"}
    assert [chunk for chunk in came if "usage" in chunk] == ([spare(LAST)] if asked else [])
    assert ("usage" in came[-1]) == bool(asked)


@each_way
@pytest.mark.parametrize("asked", [{"include_usage": True}, {"include_obfuscation": False, "x": 1.5}])
def test_options_of_a_stream_reach_the_upstream(
    ways: Ways, upstream: Upstream, way: str, asked: Members
) -> None:
    ways.hear(way, upstream, STREAMED, api=TEXT, model=MODEL, prompt="Once", stream_options=asked)
    assert told(upstream.last().body["stream_options"]) == told(asked)


@kinds
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({"id": "x", "choices": []}, id="no choices"),
        pytest.param({"id": "x", "choices": [{"index": 0}]}, id="no text"),
        pytest.param({"id": "x", "choices": [{"index": 0, "text": 5}]}, id="a text that is none"),
    ],
)
def test_an_answer_without_a_text_is_broken(
    ways: Ways, upstream: Upstream, stream: bool, sent: Members
) -> None:
    upstream.answers[MODEL] = Told(events=[sent]) if stream else Told(sent)
    more = b', "stream": true' if stream else b""
    body = b'{"model": "text-1", "provider": "told", "prompt": "a"' + more + b"}"
    assert rest_text(ways.service, body, stream=stream, path="completions").code == 503


@pytest.mark.parametrize(
    ("members", "param"),
    [
        pytest.param(b"", "prompt", id="no prompt"),
        pytest.param(b', "prompt": []', "prompt", id="an empty list"),
        pytest.param(b', "prompt": "a", "n": 0', "n", id="no texts"),
    ],
)
def test_a_wrong_request_is_refused_with_the_member_at_fault(
    ways: Ways, members: bytes, param: str
) -> None:
    body = b'{"model": "text-1", "provider": "told"' + members + b"}"
    outcome = rest_text(ways.service, body, stream=False, path="completions")
    assert (outcome.code, outcome.error["error"]["param"]) == (400, param)


WORDS = st.text(max_size=8)
TOKENS = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4)


@each_way
@settings(max_examples=50, deadline=None)
@given(
    prompt=WORDS | TOKENS | st.lists(WORDS | TOKENS, min_size=1, max_size=3),
    more=st.fixed_dictionaries(
        {},
        optional={
            "suffix": st.none() | WORDS,
            "stop": st.none() | WORDS | st.lists(WORDS, max_size=4),
            "logit_bias": st.dictionaries(
                st.integers(0, 99999).map(str), st.integers(-100, 100), max_size=3
            ),
            "temperature": st.floats(0, 2) | st.integers(0, 2),
            "seed": st.integers(-(2**63), 2**63 - 1),
            "echo": st.booleans(),
            "logprobs": st.none() | st.integers(0, 5),
            "best_of": st.integers(1, 20),
            "max_tokens": st.integers(0, 2**31 - 1),
            "top_k": st.integers(-(2**53), 2**53),
        },
    ),
    stream=st.booleans(),
)
def test_any_request_equals_itself_at_the_upstream(
    ways: Ways, upstream: Upstream, way: str, prompt: Any, more: Members, stream: bool
) -> None:
    request = {"prompt": prompt, **more}
    ways.hear(way, upstream, STREAMED if stream else DEFAULT, api=TEXT, model=MODEL, **request)
    expected = {"model": MODEL, **at_upstream(request, TEXT_REQUEST)} | ({"stream": True} if stream else {})
    assert told(upstream.last().body) == told(expected)
