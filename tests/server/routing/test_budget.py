"""What is extra stays a share of what is done anyway."""

from hypothesis import given
from hypothesis import strategies as st

from server.routing.budget import Budget


@given(share=st.floats(0, 1), steps=st.lists(st.booleans(), max_size=300))
def test_never_more_than_the_share_beyond_the_first_few(share: float, steps: list[bool]) -> None:
    budget = Budget(share, burst=3)
    requests = extra = 0
    for earns in steps:
        if earns:
            budget.earn()
            requests += 1
        else:
            extra += budget.spend()
        assert extra <= share * requests + 3


def test_a_few_are_allowed_at_first() -> None:
    assert Budget(0.1).spend()


def test_a_share_of_nothing_allows_none() -> None:
    budget = Budget(0)
    budget.earn()
    assert not budget.spend()
