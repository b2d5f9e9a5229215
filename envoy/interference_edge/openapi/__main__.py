"""Prints the OpenAPI document: `python -m interference_edge.openapi --descriptor FILE > gen/openapi.json`.

FILE is a descriptor set with its imports and comments (`protoc --include_imports --include_source_info`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from interference_edge.openapi import document


def main() -> None:
    """Reads the descriptor that the command line names; writes JSON to the standard output."""
    parser = argparse.ArgumentParser(prog="python -m interference_edge.openapi", description=__doc__)
    parser.add_argument(
        "--descriptor", type=Path, required=True, help="a descriptor set with its imports and comments"
    )
    arguments = parser.parse_args()
    sys.stdout.write(document.render(arguments.descriptor.read_bytes()))


if __name__ == "__main__":
    main()
