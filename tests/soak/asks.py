"""What the soak's callers ask for: a request is drawn from the seed and its number, from nothing else."""

from dataclasses import dataclass
from random import Random
from typing import Literal

from tests.soak import says

Way = Literal["REST", "gRPC", "worker"]  # through Envoy, through Envoy, straight to a worker
WAYS: tuple[Way, ...] = ("REST", "gRPC", "worker")
# How a limit of time is said: in the request, in a header, or as the call's own deadline.
Saying = Literal["body", "header", "call"]
ROUTES = ("in-order", "by-weight", "by-latency", "by-load")
SETTLED = (
    30.0  # seconds in which a request without a limit must end: six attempts of 1.5 s, and their waits
)


@dataclass(frozen=True, slots=True)
class Leaving:
    """When the caller goes: after its first content, or after some seconds, be there content or not."""

    after_content: bool
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request and how it is sent. No `providers`: any that has the model."""

    prompt: says.Prompt
    way: Way
    text: bool
    stream: bool
    model: str
    providers: tuple[str, ...] = ()
    timeout: float | None = None
    saying: Saying = "call"
    hedge: float | None = None  # the delay in seconds; 0: what the server has observed
    cache_key: str = ""
    leaving: Leaving | None = None

    @property
    def allowed(self) -> tuple[str, ...]:
        """Who may answer."""
        head, slash, _ = self.model.partition("/")
        return (head,) if slash else self.providers or says.PROVIDERS

    @property
    def patience(self) -> float:
        """Seconds after which the request hangs, whatever the reason."""
        return (SETTLED if self.timeout is None else self.timeout) + 1.0


def draw(seed: str, number: int) -> Ask:
    """The request of this number."""
    random = Random(f"{seed}/{number}")  # noqa: S311
    way = random.choices(WAYS, (3, 2, 2))[0]
    text = random.random() < 0.25
    stream = random.random() < 0.6
    model, providers = _whom(random, says.TEXT_MODEL if text else says.CHAT_MODEL, text=text)
    timeout = random.choice((0.2, 0.6, 1.5, 4.0)) if random.random() < 0.35 else None
    return Ask(
        says.Prompt(number, random.randint(1, 24)),
        way,
        text,
        stream,
        model,
        providers,
        timeout,
        random.choice(("body", "header", "call")),
        random.choice((0.0, 0.02, 0.1)) if random.random() < 0.2 else None,
        f"key-{random.randrange(40)}" if random.random() < 0.2 else "",
        _leaving(random, stream=stream) if random.random() < 0.15 else None,
    )


def _whom(random: Random, model: str, *, text: bool) -> tuple[str, tuple[str, ...]]:
    """The model by name, and the providers: a list, one before the model, a route, or none."""
    kind = random.choices(("list", "prefix", "route", "any"), (4, 1, 2, 3))[0]
    if kind == "list":
        return model, tuple(random.sample(says.PROVIDERS, random.randint(1, 4)))
    if kind == "prefix":
        return f"{random.choice(says.PROVIDERS)}/{model}", ()
    if kind == "route" and not text:
        return random.choice(ROUTES), ()
    return model, ()


def _leaving(random: Random, *, stream: bool) -> Leaving:
    if stream and random.random() < 0.5:
        return Leaving(after_content=True)
    return Leaving(after_content=False, seconds=random.uniform(0.001, 0.08))
