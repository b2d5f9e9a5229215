"""Prints what each dialect can do: `python -m tests.conformance > docs/dialect-features.md`."""

import sys

from tests.conformance.page import page, tables

if __name__ == "__main__":
    sys.stdout.write(page(tables()))
