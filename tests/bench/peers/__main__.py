"""Installs the peers: `python -m tests.bench.peers install`. What cannot be installed is named with the
reason, and does not hold up the others.
"""

import argparse
import sys

from tests.bench.peers import PEERS
from tests.upstreams.cache import CannotMakeError, say


def install() -> dict[str, str]:
    """Installs all that is not there, and tells why some could not be."""
    failed = {}
    for name, peer in PEERS.items():
        try:
            say(f"{name} is in {peer.packages.install()}")
        except CannotMakeError as error:
            failed[name] = str(error)
    return failed


def main() -> None:
    """Ends with 1 where none could be installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["install"])
    parser.parse_args()
    failed = install()
    for name, why in failed.items():
        say(f"\n{name} cannot be installed here and is left out: {why}")
    sys.exit(len(failed) == len(PEERS))


if __name__ == "__main__":
    main()
