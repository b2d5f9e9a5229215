"""The tables of all dialects as a page for people: what each can do, and what a vendor lacks and why."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conformance.cells import Absent, Ignores, Lacks, Works
from tests.conformance.features import FEATURES
from tests.conformance.playing import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.conformance.playing import Cell

_HEAD = """\
# What each dialect can do

Every feature of a chat, by the dialect (`driver`) in which the provider is spoken to. Made from the tables
in `tests/conformance/` by `python -m tests.conformance`. Each cell is played over REST and over gRPC, whole
and as a stream, through the real server and Envoy, to a server that the vendor's own SDK reads. A single
provider or model may do less: `GET /v1/providers/{provider}` says what.

- **✓**: it works.
- **hint**: it changes no answer, and is not sent.
- **no**: the vendor has no such thing. The request passes the provider over, and where nobody is left it is
  a 400, `parameter_unsupported`.
"""


def tables() -> dict[str, Table]:
    """The tables of the test modules beside this one, by the name of the dialect."""
    modules = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))
    found = (getattr(import_module(f"tests.conformance.{name}"), "TABLE", None) for name in modules)
    return {table.speaker.name: table for table in found if isinstance(table, Table)}


def page(dialects: Mapping[str, Table]) -> str:
    """The page of these dialects."""
    return "\n".join([_HEAD, *_matrix(dialects), *_reasons(dialects)])


def _matrix(dialects: Mapping[str, Table]) -> Iterator[str]:
    yield _line("feature", *dialects)
    yield _line(*("---" for _ in range(len(dialects) + 1)))
    for feature in FEATURES:
        yield _line(feature, *(_sign(table.cells[feature]) for table in dialects.values()))
    yield ""


def _reasons(dialects: Mapping[str, Table]) -> Iterator[str]:
    for name, table in dialects.items():
        told = [f"- {feature}: {why}" for feature, why in _told(table.cells.items())]
        if told:
            yield from (f"## {name}", "", *told, "")


def _told(cells: Iterable[tuple[str, Cell]]) -> Iterator[tuple[str, str]]:
    for feature, cell in cells:
        if isinstance(cell, (Lacks, Ignores, Absent)):
            param = f" (`{cell.param}`)" if isinstance(cell, Lacks) else ""
            yield feature, f"{cell.why}{param}"


def _sign(cell: Cell) -> str:
    match cell:
        case Ignores():
            return "hint"
        case Works():
            return "✓"
        case _:
            return "no"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
