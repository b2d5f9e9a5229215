"""Counts everything there is to count: a worker by case, the translators and the edge by what they do."""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.counts import edge, translators
from tests.counts.cases import CASES
from tests.counts.figures import LUA, PYTHON, Figures, named
from tests.counts.worker import Counted, count, counting


@dataclass(frozen=True)
class Found:
    """What was counted, by the name of the case or the job."""

    cases: Mapping[str, Counted]
    translators: Mapping[str, Figures]
    edge: Mapping[str, Figures]

    def sections(self) -> Mapping[str, Figures]:
        """All figures as they are committed."""
        of_cases = {name: counted.figures for name, counted in self.cases.items()}
        of_python = {**of_cases, **self.translators}
        return {LUA: _flat(self.edge), PYTHON: _flat(of_python)}


def find() -> Found:
    """Counts all. That takes some seconds."""
    _say("counting the edge and the translators")
    of_edge = {job.name: edge.counted(job) for job in edge.jobs()}
    of_translators = translators.all_counted()
    # A socket's path must be short, which pytest's own folders are not.
    with tempfile.TemporaryDirectory(prefix="counts-") as folder, counting(Path(folder)) as bench:
        cases = {}
        for case in CASES:
            _say(f"counting {case.name}")
            cases[case.name] = count(bench, case)
    return Found(cases, of_translators, of_edge)


def _flat(by_name: Mapping[str, Figures]) -> Figures:
    return {name: value for case, figures in by_name.items() for name, value in named(case, figures)}


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
