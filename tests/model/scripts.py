"""What the routing model is tested with: providers, what each does with a request, and what callers ask."""

from dataclasses import dataclass, field
from typing import Literal

from hypothesis import strategies as st

Stage = Literal["start", "role", "content"]
End = Literal["whole", "status", "refuse", "reset", "silence", "error", "cut"]

FIRST_CONTENT, IDLE, TOTAL = 0.2, 0.12, 0.4  # seconds: the limits of every provider
BASE = 0.02  # seconds: the backoff before the first retry is at most this
COOL_DOWN, LONGEST = 0.2, 0.4  # seconds
MODELS = ("m", "n")
UNKNOWN = "Nobody"  # a provider that there is not


@dataclass(frozen=True)
class Play:
    """What a provider does with a request: how far it comes, and how it ends.

    A stream comes from `start` (nothing is sent) to `role` (an event without content) to `content`; a whole
    answer to its head, and to half of its body. It ends whole, with a status in place of an answer, with
    an RST, in silence, with an error event or object, or early but as if it were all; or nobody listens.
    """

    end: End
    stage: Stage = "start"
    status: int = 200
    retry_after: float | None = None
    after: float = 0.0  # seconds before it does anything


WHOLE, SLOW = Play("whole", "content"), Play("whole", "content", after=0.08)
PLAYS = (
    WHOLE,
    SLOW,
    Play("refuse"),
    Play("reset"),
    Play("status", status=429),
    Play("status", status=429, retry_after=0.15),
    Play("status", status=429, retry_after=1.05),
    Play("status", status=429, retry_after=30),
    Play("status", status=503),
    Play("status", status=503, retry_after=0.1),
    *(Play("status", status=status) for status in (400, 401, 404, 500)),
    *(Play("silence", stage) for stage in ("start", "role", "content")),
    *(Play("reset", stage) for stage in ("role", "content")),
    *(Play("error", stage) for stage in ("role", "content")),
    *(Play("cut", stage) for stage in ("role", "content")),
)
_OFTEN = (*[WHOLE] * 3, SLOW, *[Play("silence", stage) for stage in ("start", "content")])


@dataclass(frozen=True)
class Provider:
    """A row of the catalog."""

    id: str
    priority: int = 100
    keyed: bool = True  # whether its key is set
    times: int = 1  # retries
    breaker: bool = True
    failures: int = 2  # in a row, that open its breaker
    least: int = 1000  # attempts from which on half of them failed opens it, too


@dataclass(frozen=True)
class Ask:
    """A call. `plays` says what each provider does with its first request, its second ... and all later.

    `leave`: the caller hangs up after so many chunks; 0, or of a whole answer: after a moment.
    """

    plays: dict[str, tuple[Play, ...]] = field(hash=False)
    names: tuple[str, ...] = ()  # none: anyone
    model: str = "m"
    stream: bool = True
    deadline: tuple[Literal["field", "header", "grpc"], float] | None = None
    first_content: float | None = None  # in place of the provider's limit
    hedge: float | None = None
    leave: int | None = None


@dataclass(frozen=True)
class Wait:
    """Nothing is asked for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Script:
    """Providers, and what happens one after the other."""

    fleet: tuple[Provider, ...]
    steps: tuple[Ask | Wait, ...]


def _providers(provider_id: str) -> st.SearchStrategy[Provider]:
    return st.builds(
        Provider,
        id=st.just(provider_id),
        priority=st.sampled_from((100, 50)),
        keyed=st.sampled_from((True, True, True, False)),
        times=st.sampled_from((1, 0, 2)),
        breaker=st.sampled_from((True, True, False)),
        failures=st.sampled_from((2, 3)),
        least=st.sampled_from((1000, 4)),
    )


def _asks(ids: tuple[str, ...]) -> st.SearchStrategy[Ask]:
    plays = st.lists(st.sampled_from((*PLAYS, *_OFTEN)), min_size=1, max_size=2).map(tuple)
    named = st.lists(st.sampled_from(ids), min_size=1, max_size=4).map(tuple)
    seconds = st.sampled_from((3.0, 0.1, 0.3))
    return st.builds(
        Ask,
        plays=st.fixed_dictionaries(dict.fromkeys(ids, plays)),
        names=st.one_of(*[st.just(()), named, named, named] * 3, st.just((ids[0], UNKNOWN))),
        model=st.sampled_from(MODELS),
        stream=st.sampled_from((True, True, False)),
        deadline=st.one_of(
            st.none(), st.none(), st.tuples(st.sampled_from(("field", "header", "grpc")), seconds)
        ),
        first_content=st.sampled_from((None, None, 0.1)),
        hedge=st.sampled_from((None, None, None, 0.04)),
        leave=st.sampled_from((None, None, None, None, 0, 1, 2)),
    )


def _scripts(ids: tuple[str, ...]) -> st.SearchStrategy[Script]:
    fleet = st.tuples(*map(_providers, ids))
    waits = st.builds(Wait, st.sampled_from((0.1, 0.25, 0.45)))
    steps = st.lists(st.one_of(*[_asks(ids)] * 5, waits), min_size=1, max_size=6).map(tuple)
    return st.builds(Script, fleet, steps)


scripts = st.sampled_from(("abc", "ab", "abcd")).map(tuple).flatmap(_scripts)
