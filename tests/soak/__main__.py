"""`make soak`: the service under full load with half of all upstream answers bad.

Every request must end in one of the legal ways, and memory, files and sockets must end where they were
after a warm-up. The exit code is 1 where anything is otherwise.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.arguments import between
from tests.soak import report, run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=between(0.1, 240), default=10, help="how long (10)")
    parser.add_argument("--requests", type=between(1, 1e8), help="how many requests, in place of a time")
    parser.add_argument("--callers", type=between(1, 1000), default=32, help="at once (32)")
    parser.add_argument("--workers", type=between(1, 64), default=2, help="of the service (2)")
    parser.add_argument("--share", type=between(0, 1), default=0.5, help="of bad answers (0.5)")
    parser.add_argument("--quick", action="store_true", help="do not wait for idle connections to go")
    parser.add_argument("--seed", default="", help="what requests and faults are drawn from (a new one)")
    return parser.parse_args()


def main() -> int:
    """Runs the soak; gives the exit code."""
    given = _arguments()
    plan = run.Plan(
        seed=given.seed or run.new_seed(),
        seconds=60 * given.minutes,
        requests=None if given.requests is None else int(given.requests),
        callers=int(given.callers),
        workers=int(given.workers),
        share=given.share,
        quick=given.quick,
    )
    sys.stdout.write(f"seed {plan.seed}\n")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        found = run.soak(plan, Path(folder))
    sys.stdout.write(report.text(found))
    return 0 if found.passed else 1


if __name__ == "__main__":
    sys.exit(main())
