"""The same provider is asked once more where that is worth it, and the wait fits."""

import pytest

from server.errors import AttemptFailed, Cause
from server.routing import retry
from server.rows import Retry

ROW = Retry(times=2, base=0.1, longest=2)


def pause(
    cause: Cause,
    tries: int = 0,
    *,
    last: bool = True,
    remaining: float | None = None,
    status: int | None = None,
    retry_after: float | None = None,
) -> float | None:
    error = AttemptFailed(cause, "told", status=status, retry_after=retry_after)
    return retry.pause(ROW, error, tries, last=last, remaining=remaining)


def test_a_connection_that_failed_is_tried_again_after_a_backoff_with_full_jitter() -> None:
    first = [pause("connect_failed") for _ in range(200)]
    second = [pause("connect_failed", 1) for _ in range(200)]
    assert all(wait is not None and 0 <= wait <= 0.1 for wait in first)
    assert all(wait is not None and 0 <= wait <= 0.2 for wait in second)
    assert max(filter(None, second)) > 0.1
    assert len(set(first)) > 100


@pytest.mark.parametrize(
    "cause",
    ["connection_lost", "timed_out", "broken_answer", "key_refused", "no_such_model", "circuit_open"],
)
def test_what_may_have_been_done_already_or_will_not_change_is_not(cause: Cause) -> None:
    assert pause(cause) is None


def test_no_more_than_so_many_times() -> None:
    assert pause("connect_failed", 2) is None


@pytest.mark.parametrize(
    ("last", "remaining", "waits"),
    [
        pytest.param(True, 60.0, True, id="the last one within the deadline"),
        pytest.param(True, 4.0, False, id="beyond the deadline"),
        pytest.param(True, None, False, id="a long wait without a deadline"),
        pytest.param(False, 60.0, False, id="a long wait while there is another"),
    ],
)
def test_a_provider_that_says_when_is_waited_for_where_it_fits(
    last: bool, remaining: float | None, waits: bool
) -> None:
    wait = pause("rate_limited", last=last, remaining=remaining, status=429, retry_after=5)
    assert (wait is not None) is waits
    assert wait is None or 5 <= wait <= 5.1


@pytest.mark.parametrize("last", [True, False])
def test_a_short_wait_is_always_worth_it(last: bool) -> None:
    assert pause("rate_limited", last=last, status=429, retry_after=0.5) is not None


def test_one_that_was_not_called_as_it_asked_to_wait_is_waited_for_where_it_is_the_last() -> None:
    assert pause("rate_limited", last=False, retry_after=0.5) is None
    assert pause("rate_limited", last=True, retry_after=0.5) is not None


def test_a_503_that_says_when_is_waited_for_and_one_that_does_not_is_not() -> None:
    assert pause("server_error", status=503, retry_after=0.5) is not None
    assert pause("server_error", status=503) is None
    assert pause("server_error", status=500, retry_after=0.5) is None
    assert pause("rate_limited", status=429) is None
