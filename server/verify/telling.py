"""Says what came of the cases: in lines for people, or as JSON for programs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from server.verify.case import Case, Outcome


def lines(outcome: Outcome) -> Iterable[str]:
    """What came of a case; for a fault also what was asked, what is wanted, and how to mend it."""
    case = outcome.case
    if outcome.state != "fault":
        yield f"{outcome.state:7}  {case.name:24} {outcome.came}"
        return
    yield f"FAULT    {case.name}"
    told = {"asked": case.asks, "came": outcome.came, "wanted": case.wants, "mend": case.mend}
    for name, value in told.items():
        yield f"           {name:7}  {value}"


def absent(lacking: Mapping[str, str], cases: Iterable[Case]) -> Iterable[str]:
    """A line for each service that is not had, instead of one for each of its cases."""
    counts = Counter(case.service for case in cases)
    for service, why in lacking.items():
        yield f"not had  {f'{service} ({counts[service]} cases)':24} {why}"


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many cases came out how."""
    counts = Counter(outcome.state for outcome in outcomes)
    faults = counts["fault"]
    said = f"{len(outcomes)} cases: {counts['ok']} ok, {counts['not had']} not had, {faults} "
    return said + ("fault." if faults == 1 else "faults.")


def document(address: str, models: Mapping[str, str], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "address": address,
        "models": dict(models),
        "faults": sum(outcome.state == "fault" for outcome in outcomes),
        "cases": [
            {
                "name": outcome.case.name,
                "service": outcome.case.service,
                "state": outcome.state.replace(" ", "_"),
                "seconds": round(outcome.seconds, 3),
                "asked": outcome.case.asks,
                "came": outcome.came,
                "wanted": outcome.case.wants,
                "mend": outcome.case.mend,
            }
            for outcome in outcomes
        ],
    }
