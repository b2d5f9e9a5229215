"""What the service's log says of a soak: one line of JSON for each call, and nothing that went wrong."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import msgspec

_WRONG = re.compile(
    r"Traceback|CRITICAL|ERROR|a defect|never retrieved|never awaited|Unclosed|starting it anew"
)
_KEPT = 100  # lines
_ID = "soak-"


@dataclass
class Log:
    """How many lines each request has, those of the wanted ones, and the first that must not be there."""

    calls: Counter[int] = field(default_factory=Counter)
    wanted: dict[int, list[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


class _Line(msgspec.Struct):
    event: str = ""
    request_id: str = ""


def request_id(number: int) -> str:
    """The id under which a request of the soak is told of."""
    return f"{_ID}{number}"


def read(lines: Iterable[str], wanted: Collection[int] = ()) -> Log:
    """Reads a log. What is said in a line of JSON may quote anything."""
    log = Log()
    for line in lines:
        if line.startswith("{"):
            _take(log, _number(line), line, wanted)
        elif _WRONG.search(line) and len(log.wrong) < _KEPT:
            log.wrong.append(line.rstrip())
    return log


def _take(log: Log, number: int | None, line: str, wanted: Collection[int]) -> None:
    if number is None:
        return
    log.calls[number] += 1
    if number in wanted:
        log.wanted.setdefault(number, []).append(line.rstrip())


def _number(line: str) -> int | None:
    told = msgspec.json.decode(line, type=_Line)
    if told.event != "call" or not told.request_id.startswith(_ID):
        return None
    return int(told.request_id.removeprefix(_ID))
