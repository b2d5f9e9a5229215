"""Prints the default configuration: `python -m interference_edge > envoy/envoy.yaml`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from interference_edge import EdgeSettings, render


def main() -> None:
    """Reads the descriptor that the command line names; writes YAML to the standard output."""
    parser = argparse.ArgumentParser(prog="python -m interference_edge", description=__doc__)
    parser.add_argument(
        "--descriptor",
        type=Path,
        default=Path("gen/descriptor.binpb"),
        help="the descriptor set of the contract (default: %(default)s)",
    )
    arguments = parser.parse_args()
    sys.stdout.write(render(EdgeSettings(), arguments.descriptor.read_bytes()))


if __name__ == "__main__":
    main()
