"""Numbers on the command lines of the benchmark and the soak."""

import argparse
from collections.abc import Callable
from typing import TypeVar

N = TypeVar("N", int, float)


def between(least: N, most: N) -> Callable[[str], N]:
    """Reads a number of the bounds' type that lies between them."""

    def read(text: str) -> N:
        if not least <= (value := type(least)(text)) <= most:
            raise argparse.ArgumentTypeError(f"must be {least:g} to {most:g}")
        return value

    return read
