"""What goes along with a call to servers like this one, and which calls have come in a circle."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import LoopDetected
from server.services import hops
from server.services.call import Call

ME = "interference-me"


class Arrived:
    """The part of a gRPC context that is looked at."""

    def __init__(self, *metadata: tuple[str, str]) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """What came."""
        return self._metadata


def carried(*metadata: tuple[str, str]) -> dict[str, str]:
    context: Any = Arrived(*metadata)
    running = Call(dict(metadata), rest=False, journal=None)  # type: ignore[arg-type]  # not looked at
    return dict(hops.carried(running, context, ME))


def test_a_trace_goes_along_and_nothing_else() -> None:
    trace = (("x-request-id", "r"), ("traceparent", "00-a"), ("tracestate", "b=c"))
    assert carried(*trace, ("authorization", "Bearer secret"), ("cookie", "a")) == {
        **dict(trace),
        "cdn-loop": ME,
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(["a"], f"a, {ME}", id="one"),
        pytest.param(["a, b; c=d"], f"a, b; c=d, {ME}", id="several"),
        pytest.param(["a", "b"], f"a, b, {ME}", id="several headers"),
        pytest.param(["  ,"], ME, id="none"),
        pytest.param([f'a; by="{ME}, {ME}"'], f'a; by="{ME}, {ME}", {ME}', id="words about one"),
        pytest.param([f"{ME}-2"], f"{ME}-2, {ME}", id="a name that begins alike"),
        pytest.param([", ".join("abcdefgh")], ", ".join([*"abcdefgh", ME]), id="eight"),
    ],
)
def test_who_had_a_request_before_is_told_to_the_next(before: list[str], after: str) -> None:
    assert carried(*(("cdn-loop", one) for one in before))["cdn-loop"] == after


@pytest.mark.parametrize(
    "before",
    [
        pytest.param([ME], id="itself"),
        pytest.param([f"a, {ME}; v=1, b"], id="in between"),
        pytest.param([ME, "a"], id="in the first of several headers"),
        pytest.param([f'a; b="c", {ME}'], id="after something quoted"),
        pytest.param([", ".join("abcdefghi")], id="too many"),
        pytest.param(["a; b=" + "c" * 3000], id="too long"),
    ],
)
def test_a_circle_is_refused(before: list[str]) -> None:
    with pytest.raises(LoopDetected) as caught:
        carried(*(("cdn-loop", one) for one in before))
    assert (caught.value.reason, caught.value.http_status) == ("loop_detected", 508)


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), max_size=4))
def test_any_header_is_read(before: list[str]) -> None:
    try:
        told = carried(*(("cdn-loop", one) for one in before))["cdn-loop"]
    except LoopDetected:
        return
    with pytest.raises(LoopDetected):
        carried(("cdn-loop", told))


def test_what_is_too_long_to_be_a_trace_stays_here() -> None:
    assert carried(("tracestate", "a" * 512), ("x-request-id", "b" * 513)) == {
        "tracestate": "a" * 512,
        "cdn-loop": ME,
    }


@pytest.mark.parametrize(
    "members",
    [
        pytest.param('"' + '\\"' * 16_000, id="an open quote"),
        pytest.param("a," * 16_000, id="many"),
        pytest.param("x" * 60_000, id="one"),
    ],
)
def test_a_long_list_is_refused_before_it_is_read(members: str) -> None:
    with pytest.raises(LoopDetected):
        carried(("cdn-loop", members))
