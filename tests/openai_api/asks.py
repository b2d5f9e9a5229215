"""What callers ask in OpenAI's dialect, for the tables of features, and what of it arrived upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw

from tests.openai_api.shapes import text_at, texts

if TYPE_CHECKING:
    from tests.upstream import Upstream

Members = dict[str, Any]
USER = {"role": "user", "content": "Hi"}
PLANES = '\u0000\t"\\/\u007f\u00e9\u2028\ufffd\ufeff\U0001f600\U0002a6d6\U000e0001\U0010ffff'
# Numbers, keys, white space and escapes that a parser or a Struct would have changed.
ODD_SCHEMA = Raw(
    rb"""{ "type":"object",	"required":["zeta","alpha"],
  "properties" : {"zeta":{"const":1.0},"alpha":{"enum":[1e3,1E+2,-0.0,0.10,12345678901234567890]},
  "\u00e4\/\ud83d\ude00":{"pattern":"^\\d+\"$","default":null}, "":{}},"additionalProperties":false  }"""
)
ODD_VALUE = Raw(rb'{"z" :1.0, "a":[ 1e3,-0.0,12345678901234567890, null,"\u00e4\/" ], "a b":{ }}')
BREAKPOINT = {"mode": "explicit", "ttl": "30m"}


def row(name: str, /, arrives: Members | None = None, **sent: Any) -> Any:
    """A feature: its members of a request, and those that must arrive where they are not the very same."""
    return pytest.param(sent, sent if arrives is None else arrives, id=name)


def arrived(upstream: Upstream, *, stream: bool) -> Members:
    """The body that the upstream saw last, but for what says where it goes and whether to stream."""
    seen = dict(upstream.last().body)
    assert seen.pop("model") == "m"
    assert seen.pop("stream", False) is stream
    return seen


def changed(upstream: Upstream, request: Members) -> list[Any]:
    """The JSON texts of a request that did not arrive byte for byte: where each is, before and after."""
    seen = upstream.last().raw
    pairs = ((place, text, text_at(seen, place)) for place, text in texts(request))
    return [pair for pair in pairs if pair[1] != pair[2]]
