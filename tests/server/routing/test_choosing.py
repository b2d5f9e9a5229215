"""In which order candidates are asked: shares, figures, and keys that keep a caller."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import AttemptFailed
from server.routes import Condition, Strategy
from server.routing import choosing
from server.routing.choosing import Draw, Figures
from server.routing.health import Board
from server.rows import Breaker

ALL: tuple[Strategy, ...] = ("ordered", "weighted", "least_latency", "least_outstanding")
BY_KEY: tuple[Strategy, ...] = ("weighted", "least_latency", "least_outstanding")
DRAWS = 4000


@dataclass(frozen=True)
class Option:
    identity: tuple[str, str]
    weight: float = 1.0


A, B, C = (Option((name, "m")) for name in "ABC")
OPTIONS = st.lists(
    st.builds(
        Option,
        st.tuples(st.text(max_size=5), st.text(max_size=5)),
        st.floats(1e-3, 1e6, allow_subnormal=False),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda option: option.identity,
)


def seeded(seed: int) -> Draw:
    return random.Random(seed).random  # noqa: S311 - no secret


def unknown(_: Option) -> Figures:
    return Figures()


def order(
    options: list[Option],
    strategy: Strategy,
    key: str = "",
    look: Callable[[Option], Figures] = unknown,
    seed: int = 1,
) -> list[Option]:
    return choosing.ordered(options, strategy, key, look, seeded(seed))


def first_shares(orders: list[list[Option]]) -> dict[str, float]:
    firsts = Counter(order[0].identity[0] for order in orders)
    return {name: count / len(orders) for name, count in firsts.items()}


@given(OPTIONS, st.sampled_from(ALL), st.text(max_size=5), st.integers())
def test_an_order_has_every_option_once(
    options: list[Option], strategy: Strategy, key: str, seed: int
) -> None:
    assert sorted(order(options, strategy, key, seed=seed), key=repr) == sorted(options, key=repr)


@given(OPTIONS, st.text(), st.integers())
def test_ordered_is_as_they_stand(options: list[Option], key: str, seed: int) -> None:
    assert order(options, "ordered", key, seed=seed) == options


def test_draws_follow_the_weights_at_each_place() -> None:
    options = [Option(("A", "m"), 6), Option(("B", "m"), 3), Option(("C", "m"), 1)]
    draw = seeded(4)
    orders = [choosing.weighted(options, draw) for _ in range(DRAWS)]
    assert first_shares(orders) == pytest.approx({"A": 0.6, "B": 0.3, "C": 0.1}, abs=0.03)
    after_a = [one[1:] for one in orders if one[0] is options[0]]
    assert first_shares(after_a) == pytest.approx({"B": 0.75, "C": 0.25}, abs=0.04)


@pytest.mark.parametrize("number", [0.0, 1 - 2.0**-53], ids=["least", "most"])
def test_the_ends_of_the_range_are_drawn_without_a_fault(number: float) -> None:
    assert choosing.weighted([A, B], lambda: number) == [A, B]


@pytest.mark.parametrize("strategy", BY_KEY)
@given(options=OPTIONS, key=st.text(min_size=1), seed=st.integers())
def test_a_key_decides_whatever_the_draw_the_figures_and_the_listing_say(
    strategy: Strategy, options: list[Option], key: str, seed: int
) -> None:
    kept = order(options, strategy, key, seed=1)
    load = count(5)
    assert order(options, strategy, key, lambda _: Figures(outstanding=next(load)), seed) == kept
    assert order(options[::-1], "weighted", key, seed=seed) == kept


@given(OPTIONS, st.text(min_size=1), st.data())
def test_where_one_falls_out_the_others_keep_their_order(
    options: list[Option], key: str, data: st.DataObject
) -> None:
    ill = data.draw(st.sampled_from(options))
    left = [option for option in options if option is not ill]
    assert choosing.kept(left, key) == [one for one in choosing.kept(options, key) if one is not ill]


@given(OPTIONS, st.data(), st.lists(st.text(min_size=1), min_size=1, max_size=30, unique=True))
def test_a_key_moves_only_while_its_own_provider_is_ill(
    options: list[Option], data: st.DataObject, keys: list[str]
) -> None:
    ill = data.draw(st.sets(st.sampled_from(options), max_size=len(options) - 1))

    def serves(key: str, passed_over: set[Option]) -> Option:
        return next(one for one in choosing.kept(options, key) if one not in passed_over)

    for key in keys:
        well = serves(key, set())
        assert (serves(key, ill) == well) == (well not in ill)


def test_keys_are_shared_out_by_weight_and_so_are_those_of_one_that_is_ill() -> None:
    options = [Option(("A", "m"), 6), Option(("B", "m"), 3), Option(("C", "m"), 1)]
    orders = [choosing.kept(options, f"caller-{number}") for number in range(DRAWS)]
    assert first_shares(orders) == pytest.approx({"A": 0.6, "B": 0.3, "C": 0.1}, abs=0.03)
    of_a = [one[1:] for one in orders if one[0] is options[0]]
    assert first_shares(of_a) == pytest.approx({"B": 0.75, "C": 0.25}, abs=0.04)


def test_an_order_by_key_is_the_same_in_every_process() -> None:
    assert [one.identity[0] for one in choosing.kept([A, B, C], "caller")] == ["B", "A", "C"]


@given(st.lists(st.integers(0, 99), min_size=2, max_size=6), st.integers())
def test_the_least_outstanding_goes_first(loads: list[int], seed: int) -> None:
    options = [Option((str(number), "m")) for number in range(len(loads))]
    load = dict(zip(options, loads, strict=True))
    found = order(options, "least_outstanding", "", lambda o: Figures(outstanding=load[o]), seed)
    assert [load[option] for option in found] == sorted(loads)


@pytest.mark.parametrize(
    ("figures", "names"),
    [
        pytest.param((Figures(0.3), Figures(0.1), Figures(0.2)), "BCA", id="by the median"),
        pytest.param((Figures(0.3), Figures(), Figures(0.2)), "BCA", id="one not tried first"),
        pytest.param(
            (Figures(0.3), Figures(tried=True, outstanding=1), Figures(0.2)),
            "CAB",
            id="one being tried last",
        ),
    ],
)
def test_the_least_latency_goes_first(figures: tuple[Figures, ...], names: str) -> None:
    known = dict(zip((A, B, C), figures, strict=True))
    found = order([A, B, C], "least_latency", "", known.__getitem__)
    assert "".join(option.identity[0] for option in found) == names


@pytest.mark.parametrize("strategy", ["least_latency", "least_outstanding"])
def test_ties_are_random(strategy: Strategy) -> None:
    orders = [order([A, B], strategy, seed=seed) for seed in range(DRAWS)]
    assert first_shares(orders) == pytest.approx({"A": 0.5, "B": 0.5}, abs=0.04)


@pytest.mark.parametrize(
    ("condition", "figures", "met"),
    [
        pytest.param(Condition(), Figures(9, 1), True, id="none"),
        pytest.param(Condition(failure_rate=0.2), Figures(failure_rate=0.2), True, id="rate at the limit"),
        pytest.param(Condition(failure_rate=0.2), Figures(failure_rate=0.21), False, id="rate above it"),
        pytest.param(Condition(first_content=2), Figures(2), True, id="latency at the limit"),
        pytest.param(Condition(first_content=2), Figures(2.1), False, id="latency above it"),
        pytest.param(Condition(failure_rate=0, first_content=1), Figures(), True, id="unknown"),
        pytest.param(Condition(failure_rate=0.5, first_content=1), Figures(2, 0), False, id="one of both"),
    ],
)
def test_a_condition_is_met_as_far_as_is_known(condition: Condition, figures: Figures, met: bool) -> None:
    assert choosing.meets(condition, figures) == met


async def test_figures_are_those_of_the_board_and_grow_old() -> None:
    now = 100.0
    board = Board(clock=lambda: now)
    board.add("A", msgspec.structs.replace(Breaker(), failures=100, rate=1, least=3, window=30))
    assert choosing.observed(board, A) == Figures()
    for took in (0.5, 0.25):
        ticket = await board.admit("A", "m")
        ticket.called()
        now += took
        ticket.content()
        ticket.succeeded()
        ticket.close()
    assert choosing.observed(board, A) == Figures(first_content=0.5, tried=True)
    running = await board.admit("A", "m")
    running.failed(AttemptFailed("server_error", "failed"))
    assert choosing.observed(board, A) == Figures(0.5, 1 / 3, tried=True, outstanding=1)
    running.close()
    now += 31
    assert choosing.observed(board, A) == Figures(0.5)
    now += 120
    assert choosing.observed(board, A) == Figures()
