"""In which order candidates are asked: by the strategy of a route, and by the key that a caller keeps.

Weighted orders are draws without replacement (https://arxiv.org/abs/1012.0256): each candidate draws u
from 0 to 1, and the least -ln(u)/weight goes first. Where u is a hash of the caller's key and the candidate
in place of a random number, this is weighted rendezvous hashing
(https://en.wikipedia.org/wiki/Rendezvous_hashing): the same key gives the same order, and leaving a
candidate out leaves the order of the others as it is.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol, TypeVar

from server.routes import Condition, Strategy
from server.routing.health import Board

Draw = Callable[[], float]  # the next random number, from 0 to below 1

_DIGEST = 16  # bytes of a hash
_UNIT = 2.0**-53  # a float has 53 bits between 0 and 1


class Option(Protocol):
    """One that may be asked: what tells it from others, wherever it is listed, and its share."""

    @property
    def identity(self) -> tuple[str, str]:
        """The provider's id, and the model by the provider's own name."""
        ...

    @property
    def weight(self) -> float:
        """Its share among the options."""
        ...


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of an option of late; None where it is not."""

    first_content: float | None = None  # the median time to it, in seconds
    failure_rate: float | None = None  # the share of the attempts that failed
    tried: bool = False  # whether there was any attempt of late, or one is running
    outstanding: int = 0  # attempts that are running in this worker


T = TypeVar("T", bound=Option)
Look = Callable[[T], Figures]


def ordered(options: Sequence[T], strategy: Strategy, key: str, look: Look[T], draw: Draw) -> list[T]:
    """The options in the order in which to ask them. A `key` keeps a caller, where it is not empty."""
    if strategy == "ordered" or len(options) < 2:
        return list(options)
    if key:
        return kept(options, key)
    if strategy == "weighted":
        return weighted(options, draw)
    figures = [look(option) for option in options]
    if strategy == "least_latency":
        return _sorted(options, [(*_latency(figure), draw()) for figure in figures])
    return _sorted(options, [(figure.outstanding, draw()) for figure in figures])


def weighted(options: Sequence[T], draw: Draw) -> list[T]:
    """Drawn one after the other, each by its share of what is left."""
    return _sorted(options, [(_cost(1.0 - draw(), option.weight),) for option in options])


def kept(options: Sequence[T], key: str) -> list[T]:
    """By weighted rendezvous hashing of a key, which may be of any length."""
    hashed = blake2b(key.encode(), digest_size=_DIGEST).digest()
    return _sorted(options, [(_cost(_unit(hashed, option), option.weight),) for option in options])


def observed(board: Board, option: Option) -> Figures:
    """What the board of health has of an option."""
    circuit = board.peek(*option.identity)
    if circuit is None:
        return Figures()
    now, seen = board.clock(), circuit.observed
    seen.refresh(now)
    attempts, failures = seen.counts(now)
    return Figures(
        first_content=seen.median(),
        failure_rate=failures / attempts if attempts >= circuit.settings.least else None,
        tried=attempts > 0 or circuit.outstanding > 0,
        outstanding=circuit.outstanding,
    )


def meets(condition: Condition, figures: Figures) -> bool:
    """Whether what is known of an option does not break a condition."""
    return _within(figures.failure_rate, condition.failure_rate) and _within(
        figures.first_content, condition.first_content
    )


def _within(figure: float | None, most: float | None) -> bool:
    return figure is None or most is None or figure <= most


def _latency(figures: Figures) -> tuple[int, float]:
    """Who was not tried goes first, so that it is; who was, and gave nothing yet, goes last."""
    if figures.first_content is not None:
        return 1, figures.first_content
    return (2, 0.0) if figures.tried else (0, 0.0)


def _unit(hashed: bytes, option: Option) -> float:
    """A number above 0, and at most 1, that a hashed key and an option always give."""
    provider, model = option.identity
    name = f"{provider}\0{model}".encode()
    number = int.from_bytes(blake2b(name, key=hashed, digest_size=8).digest(), "big")
    return ((number >> 11) + 1) * _UNIT


def _cost(unit: float, weight: float) -> float:
    return -math.log(unit) / weight


def _sorted(options: Sequence[T], costs: Sequence[tuple[float, ...]]) -> list[T]:
    """By cost, the least first; equal ones as they stand."""
    order = sorted(range(len(options)), key=costs.__getitem__)
    return [options[index] for index in order]
