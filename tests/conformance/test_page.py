"""The page of what each dialect can do: complete, and true to the tables."""

from pathlib import Path

from tests.conformance.cells import Absent, Fails, Ignores, Lacks, Works
from tests.conformance.features import FAULTS, FEATURES
from tests.conformance.openai_speaker import OpenAISpeaker
from tests.conformance.page import page, tables
from tests.conformance.playing import Table

_COMMITTED = Path(__file__).parents[2] / "docs" / "dialect-features.md"


def test_every_feature_and_every_dialect_is_on_it() -> None:
    dialects = tables()
    assert "openai" in dialects
    lines = page(dialects).splitlines()
    assert f"| feature | {' | '.join(dialects)} |" in lines
    for feature in FEATURES:
        assert any(line.startswith(f"| {feature} | ") for line in lines)


def test_what_a_vendor_lacks_is_told_with_the_reason() -> None:
    cells: dict[str, Works | Lacks | Fails | Absent] = {
        **dict.fromkeys(FEATURES, Works()),
        **dict.fromkeys(FAULTS, Fails("")),
        "seed": Lacks("seed", "It has none."),
        "cache breakpoint": Ignores("It caches by itself."),
        "fault: too large": Absent("It has no limit."),
    }
    lines = page({"x": Table(OpenAISpeaker(), cells)}).splitlines()
    assert "| text | ✓ |" in lines
    assert "| seed | no |" in lines
    assert "| cache breakpoint | hint |" in lines
    assert "- seed: It has none. (`seed`)" in lines
    assert "- cache breakpoint: It caches by itself." in lines
    assert "- fault: too large: It has no limit." in lines


def test_the_committed_page_is_fresh() -> None:
    """`python -m tests.conformance > docs/dialect-features.md` mends it."""
    assert _COMMITTED.read_text() == page(tables())
