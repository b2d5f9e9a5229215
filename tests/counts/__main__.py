"""`make counts`: counts what a call takes and writes it into tests/counts/figures.json, to be committed.

The tests compare with that. None of it depends on the clock or on what else the machine does.
"""

import argparse
import sys
from itertools import chain

from tests.counts import figures
from tests.counts.cases import CASES
from tests.counts.counting import Found, find


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--compare", action="store_true", help="only say what is not as committed")
    parser.add_argument(
        "--explain",
        metavar="CASE",
        choices=[case.name for case in CASES],
        help=f"only say which functions a case calls, how often:\n{'; '.join(case.name for case in CASES)}",
    )
    return parser.parse_args()


def _differences(found: Found) -> list[str]:
    sections = found.sections().items()
    return [*chain(*(figures.differences(now, figures.committed(name)) for name, now in sections))]


def _functions(found: Found, case: str) -> list[str]:
    counted = sorted(found.cases[case].functions.items(), key=lambda one: (-one[1], one[0]))
    return [f"{times:6} {name}" for name, times in counted]


def main() -> int:
    """Counts; gives the exit code, which is 1 where a comparison found differences."""
    given = _arguments()
    found = find()
    lines = _functions(found, given.explain) if given.explain else _differences(found)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    if given.explain:
        return 0
    if given.compare:
        return int(bool(lines))
    figures.commit(found.sections())
    return 0


if __name__ == "__main__":
    sys.exit(main())
