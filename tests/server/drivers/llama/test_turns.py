"""Who is next: each caller in turn, and each caller's own requests in their order."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from server.drivers.llama.turns import Turns

CALLERS = st.lists(st.sampled_from("abc"), max_size=30)


def served(turns: Turns[tuple[str, int]]) -> list[tuple[str, int]]:
    found = []
    while (item := turns.next(lambda _: True)) is not None:
        found.append(item)
    return found


def filled(callers: str) -> Turns[tuple[str, int]]:
    turns: Turns[tuple[str, int]] = Turns()
    for number, caller in enumerate(callers):
        turns.add(caller, (caller, number))
    return turns


def test_callers_take_turns() -> None:
    assert served(filled("aaabbc")) == [("a", 0), ("b", 3), ("c", 5), ("a", 1), ("b", 4), ("a", 2)]


def test_who_has_just_been_served_waits_for_the_others() -> None:
    turns = filled("aab")
    assert turns.next(lambda _: True) == ("a", 0)
    turns.add("c", ("c", 3))
    assert served(turns) == [("b", 2), ("a", 1), ("c", 3)]


def test_who_cannot_be_served_now_keeps_the_place() -> None:
    turns = filled("aab")
    assert turns.next(lambda item: item[0] != "a") == ("b", 2)
    assert turns.next(lambda item: item[1] == 1) == ("a", 1)
    assert turns.next(lambda _: False) is None
    assert served(turns) == [("a", 0)]


def test_who_leaves_gives_up_the_place() -> None:
    turns = filled("ab")
    turns.remove("a", ("a", 0))
    turns.remove("a", ("a", 0))
    turns.remove("nobody", ("a", 0))
    assert len(turns) == 1
    assert served(turns) == [("b", 1)]
    assert len(turns) == 0


@given(callers=CALLERS)
def test_all_are_served_in_their_order_and_none_is_overtaken_twice(callers: list[str]) -> None:
    found = served(filled("".join(callers)))
    assert sorted(found, key=lambda item: item[1]) == list(zip(callers, range(len(callers)), strict=True))
    for caller in set(callers):
        numbers = [number for who, number in found if who == caller]
        assert numbers == sorted(numbers)
        for number in numbers:  # before it nobody had more turns than it would have had, and one
            before = Counter(who for who, _ in found[: found.index((caller, number))])
            assert all(count <= before[caller] + 1 for count in before.values())
