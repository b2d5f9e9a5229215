"""On which terms a provider takes an operation: what its row says, worked out once."""

from dataclasses import dataclass

from server.drivers.openai import address
from server.operations import Operation
from server.rows import ONES, TWINS, Row

_MOST = 4096  # rows and operations that are remembered; a process has a few hundred


@dataclass(frozen=True, slots=True)
class Terms:
    """`url` is where the operation is, None where that depends on the model.

    `renamed` pairs parameters with those that stand for them, `dropped` are those that are left out, `ones`
    those that are where they are 1.
    """

    row: Row
    url: str | None
    renamed: tuple[tuple[str, str], ...]
    dropped: frozenset[str]
    ones: tuple[str, ...]


_known: dict[tuple[int, str], Terms] = {}  # each holds its row, so that no other gets its identity


def of(row: Row, operation: Operation) -> Terms:
    """The terms of a row. Rows have no hash; they do not change and are few."""
    terms = _known.get((id(row), operation.name))
    if terms is None:
        if len(_known) >= _MOST:
            _known.clear()
        terms = _known[id(row), operation.name] = _terms(row, operation)
    return terms


def _terms(row: Row, operation: Operation) -> Terms:
    honoured = frozenset(row.params_of(operation))
    drops = row.unsupported == "drop"
    dropped = operation.hints | (frozenset(operation.fields) - operation.ours if drops else frozenset())
    return Terms(
        row=row,
        url=None if address.depends_on_model(row, operation.name) else address.url(row, operation.name, ""),
        renamed=tuple(
            (name, twin)
            for name, twin in TWINS.items()
            if name in operation.fields and name not in honoured and twin in honoured
        ),
        dropped=dropped - honoured,
        ones=() if drops else tuple(n for n in ONES if n in operation.fields and n not in honoured),
    )
