"""The committed figures, and how what is counted now is compared with them."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

FILE = Path(__file__).with_name("figures.json")
LUA = "Lua"  # is the same under each Python
# What Python calls, and how often, is another in each of its minor versions and on each system.
PYTHON = f"{sys.platform}, Python {sys.version_info.major}.{sys.version_info.minor}"
_MORE, _LESS = 0.02, 0.05  # that a figure may be from the committed one

Figures = Mapping[str, int]


def committed(section: str) -> Figures:
    """The figures of a section by name; none where it has not been counted."""
    figures: Figures = _read().get(section, {})
    return figures


def commit(sections: Mapping[str, Figures]) -> None:
    """Writes the figures of these sections, and leaves the others as they are."""
    text = json.dumps({**_read(), **sections}, indent=2, sort_keys=True)
    FILE.write_text(f"{text}\n", encoding="utf-8")


def named(case: str, figures: Figures) -> Iterator[tuple[str, int]]:
    """The figures of a case, under the names that they have among all."""
    return ((f"{case}: {name}", value) for name, value in figures.items())


def differences(now: Figures, before: Figures) -> Iterator[str]:
    """A line for each figure that is not what it was."""
    for name in sorted({*now, *before}):
        if name not in before:
            yield f"{name}: {now[name]}, and none is committed"
        elif name not in now:
            yield f"{name}: is not counted any more, committed {before[name]}"
        elif not -_LESS * before[name] <= now[name] - before[name] <= _MORE * before[name]:
            yield f"{name}: {now[name]}, committed {before[name]}{_percent(now[name], before[name])}"


def _percent(now: int, before: int) -> str:
    return f" ({100 * (now - before) / before:+.1f}%)" if before else ""


def _read() -> dict[str, dict[str, int]]:
    if not FILE.exists():
        return {}
    sections: dict[str, dict[str, int]] = json.loads(FILE.read_text(encoding="utf-8"))
    return sections
