"""The usage of a streamed answer, wherever an upstream tells it: once, at the end, where it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.openai_api.says import (
    USAGE,
    Members,
    chunk,
    deltas,
    piece,
)
from tests.openai_api.shapes import joined, spare
from tests.upstream import Told

if TYPE_CHECKING:
    from tests.exchange import Ways
    from tests.upstream import Upstream

each_way = pytest.mark.parametrize("way", ["rest", "grpc"])


TEXTS = deltas({"content": "a"}, {"content": "b"})
LAST = chunk(usage=USAGE)
EARLY = {**USAGE, "completion_tokens": 1, "total_tokens": 10}

USAGES = [
    pytest.param([*TEXTS, LAST], id="as the last chunk"),
    pytest.param([*TEXTS[:-1], {**TEXTS[-1], "usage": USAGE}], id="beside the end of the choice (Mistral)"),
    pytest.param(
        [*({**one, "usage": EARLY} for one in TEXTS), LAST],
        id="in every chunk (vLLM with continuous usage)",
    ),
    pytest.param([*({**one, "usage": USAGE} for one in TEXTS)], id="in every chunk of choices alone"),
    pytest.param([*({**one, "usage": None} for one in TEXTS), LAST], id="null in every chunk but the last"),
    pytest.param(
        [*TEXTS[:-1], {**TEXTS[-1], "usage": EARLY}, LAST], id="beside the end of the choice, and after it"
    ),
    pytest.param([*TEXTS, LAST, LAST], id="twice"),
    pytest.param(
        [*TEXTS[:-1], chunk({**piece(finish_reason="stop"), "usage": USAGE})], id="in the choice (Moonshot)"
    ),
    pytest.param(
        [*TEXTS[:-1], chunk({**piece(finish_reason="stop"), "usage": None}, usage=USAGE)],
        id="beside a choice whose own is null",
    ),
    pytest.param([*TEXTS[:-1], {**TEXTS[-1], "x_groq": {"usage": USAGE}}], id="under x_groq (Groq)"),
]


@each_way
@pytest.mark.parametrize("asked", [None, False, True])
@pytest.mark.parametrize("chunks", USAGES)
def test_a_stream_tells_its_usage_once_at_its_end_where_it_is_asked_to(
    ways: Ways,
    upstream: Upstream,
    way: str,
    asked: bool | None,
    chunks: list[Members],
) -> None:
    options: Members = {} if asked is None else {"stream_options": {"include_usage": asked}}
    came = ways.hear(way, upstream, Told(events=chunks), **options)
    expected = [*TEXTS, LAST] if asked else TEXTS
    for one in came:
        one.pop("extra", None)  # Groq's usage stays there, too
    assert joined(came) == joined(map(spare, expected))
