"""The figures as a picture: bars of CPU time and of latency, as SVG that is read in light and in dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from tests.bench.gateways import DIRECT
from tests.bench.loads import BURST, LATENCY, UNARY

WIDTH, _LEFT, _RIGHT, _BAR, _STEP, _HEAD = 760, 250, 70, 14, 22, 46
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; }
.axis { stroke: #8c959f; }
.part0 { fill: #0969da; }
.part1 { fill: #1a7f37; }
.part2 { fill: #9a6700; }
.part3 { fill: #8250df; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .part0 { fill: #4493f8; }
  .part1 { fill: #3fb950; }
  .part2 { fill: #d29922; }
  .part3 { fill: #a371f7; }
}"""
_LEGEND = ("Envoy", "workers", "other processes")
_NO_CPU = (0.0,) * len(_LEGEND)  # before the part of a bar that is no CPU time


@dataclass(frozen=True)
class _Bar:
    label: str
    parts: tuple[float, ...]

    @property
    def length(self) -> float:
        return sum(self.parts)


def draw(rows: Sequence[Mapping[str, Any]]) -> str:
    """The picture of the rows of a report. Raises `ValueError` where they have nothing that it shows."""
    panels = {
        "CPU, seconds for 1,000 calls": _cpu(rows, UNARY),
        "CPU, seconds for 1,000 streams of 64 chunks, each in a burst": _cpu(rows, BURST),
        "Latency that is added at one connection, milliseconds (p50)": _latency(rows),
    }
    shown = {title: bars for title, bars in panels.items() if bars}
    if not shown:
        raise ValueError("nothing to draw: it shows the loads unary, burst and latency")
    parts, top = [_legend()], 30
    for title, bars in shown.items():
        parts.append(_panel(title, bars, top))
        top += _HEAD + _STEP * len(bars)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img">'
    name = "<title>What a call costs: CPU time and added latency</title>"
    return "\n".join([head, name, f"<style>\n{_STYLE}\n</style>", *parts, "</svg>", ""])


def _cpu(rows: Sequence[Mapping[str, Any]], load: str) -> list[_Bar]:
    return [
        _Bar(_label(row), _split(row["cpu_s_per_1000"]))
        for row in rows
        if row["load"] == load and row["gateway"] != DIRECT
    ]


def _split(cpu: Mapping[str, float]) -> tuple[float, ...]:
    envoy, workers = cpu.get("Envoy", 0.0), cpu.get("workers", 0.0)
    return envoy, workers, max(cpu["total"] - envoy - workers, 0.0)


def _latency(rows: Sequence[Mapping[str, Any]]) -> list[_Bar]:
    return [
        _Bar(_label(row), (*_NO_CPU, max(row["added_p50_ms"], 0.0)))
        for row in rows
        if row["load"] == LATENCY and row["gateway"] != DIRECT and row["added_p50_ms"] is not None
    ]


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['gateway']}, {row['way']}"


def _legend() -> str:
    boxes = (
        f'<rect class="part{place}" x="{_LEFT + 130 * place}" y="8" width="12" height="12"/>'
        f"{_text(_LEFT + 130 * place + 18, 19, name)}"
        for place, name in enumerate(_LEGEND)
    )
    return "\n".join(boxes)


def _panel(title: str, bars: Sequence[_Bar], top: int) -> str:
    longest = max(bar.length for bar in bars) or 1.0
    scale = (WIDTH - _LEFT - _RIGHT) / longest
    first = top + _HEAD - 10
    lines = [_text(10, top + 22, title, kind="title")]
    for place, bar in enumerate(bars):
        y = first + _STEP * place
        lines.append(_text(_LEFT - 8, y + 12, bar.label, anchor="end"))
        x = float(_LEFT)
        for number, part in enumerate(bar.parts):
            if (width := round(part * scale, 1)) >= 1:
                box = f'x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}"'
                lines.append(f'<rect class="part{number}" {box}/>')
                x += width
        lines.append(_text(x + 6, y + 12, f"{bar.length:.2f}"))
    end = first + _STEP * len(bars) - 4
    lines.append(f'<line class="axis" x1="{_LEFT}" y1="{first - 4}" x2="{_LEFT}" y2="{end}"/>')
    return "\n".join(lines)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
