"""What a run has found: as data for JSON, and as tables for people."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from tests.bench.gateways import DIRECT, PLAIN, REST
from tests.bench.loads import BURST, LATENCY, PACED
from tests.bench.run import Case, Grown
from tests.bench.targets import Findings, Target, added, targets

Row = Mapping[str, Any]
_Cell = Callable[[Row], Any]
_STREAMS = (BURST, PACED)
_BUSY = 0.9  # of a core
_COMMON: dict[str, _Cell] = {
    "Envoy": lambda row: row["cpu_s_per_1000"].get("Envoy"),
    "workers": lambda row: row["cpu_s_per_1000"].get("workers"),
    "other": lambda row: _others(row["cpu_s_per_1000"]),
    "CPU s/1k": lambda row: row["cpu_s_per_1000"].get("total"),
    "x Envoy": lambda row: row["cpu_to_plain_envoy"],
    "x direct": lambda row: row["p50_to_direct"],
    "calls/s": lambda row: row["calls_per_s"],
    "p50 ms": lambda row: row["p50_ms"],
    "p99 ms": lambda row: row["p99_ms"],
}
_STREAMED: dict[str, _Cell] = {
    "first p50": lambda row: row["first_content_p50_ms"],
    "p99": lambda row: row["first_content_p99_ms"],
    "+p50": lambda row: row["added_first_content_p50_ms"],
    "+p99": lambda row: row["added_first_content_p99_ms"],
    "us/chunk": lambda row: row["cpu_us_per_chunk"],
    "chunks/s": lambda row: row["chunks_per_s"],
}
_ADDED: dict[str, _Cell] = {"+p50 ms": lambda row: row["added_p50_ms"]}
_HELP = """\
CPU s/1k: user and system time of the processes for 1,000 calls, in seconds. x Envoy: against a plain
Envoy. x direct: p50 against asking the upstream itself; +: milliseconds beyond that. first: until the first
content.
"""


def data(found: Findings) -> dict[str, Any]:
    """All that was found, in units that the names tell."""
    start = [round(value, 3) for value in found.cold_starts]
    return {
        "machine": dict(found.machine),
        "loads": [_row(found, case) for case in found.figures],
        "rss_mib": {name: _rounded(roles, 1) for name, roles in found.rss.items()},
        "cold_start_s": {"starts": start, "median": round(median(start), 3) if start else None},
        "growth": [_grown(one) for one in found.grown],
        "memory": asdict(found.memory) if found.memory else None,
        "missing": dict(found.missing),
        "targets": [_target(target) for target in targets(found)],
    }


def text(report: Mapping[str, Any]) -> str:
    """The tables of a report."""
    parts = [_machine(report), _HELP, *_loads(report["loads"]), _memory(report), _growth(report["growth"])]
    parts += [f"not measured: {name}: {why}\n" for name, why in report["missing"].items()]
    parts.append(_limited(report["loads"]))
    return "\n".join(part for part in [*parts, _targets(report["targets"])] if part)


# --- Data ------------------------------------------------------------------------------------------


def _row(found: Findings, case: Case) -> dict[str, Any]:
    figures = found.figures[case]
    plain = found.figures.get(Case(PLAIN, REST, case.load))
    direct = found.figures.get(Case(DIRECT, REST, case.load))
    own = case.gateway == DIRECT
    cpu = {} if own else _rounded({**figures.cpu, "total": figures.total_cpu}, 3, 1e3)
    streamed = case.load in _STREAMS
    return {
        **asdict(case),
        "calls": figures.calls,
        "cpu_s_per_1000": cpu,
        "cpu_to_plain_envoy": _ratio(figures.total_cpu, plain.total_cpu if plain else 0) if cpu else None,
        "p50_to_direct": _ratio(figures.p50, direct.p50 if direct else 0),
        "calls_per_s": round(figures.rate, 1),
        "p50_ms": round(1e3 * figures.p50, 3),
        "p99_ms": round(1e3 * figures.p99, 3),
        "added_p50_ms": _added(found, case, "p50"),
        "first_content_p50_ms": round(1e3 * figures.first_p50, 3) if streamed else None,
        "first_content_p99_ms": round(1e3 * figures.first_p99, 3) if streamed else None,
        "added_first_content_p50_ms": _added(found, case, "first_p50") if streamed else None,
        "added_first_content_p99_ms": _added(found, case, "first_p99") if streamed else None,
        "cpu_us_per_chunk": round(1e6 * figures.chunk_cpu, 1) if streamed and cpu else None,
        "chunks_per_s": round(figures.chunks_rate) if streamed else None,
        "events_per_chunk": round(figures.events, 3) if streamed else None,
        "callers_cpu_share": round(figures.client_share, 2),
    }


def _grown(one: Grown) -> dict[str, Any]:
    cpu = _rounded({**one.figures.cpu, "total": one.figures.total_cpu}, 3, 1e3)
    return {
        "by": one.by,
        "value": one.value,
        "way": one.case.way,
        "load": one.case.load,
        "cpu_s_per_1000": cpu,
        "cpu_us_per_chunk": round(1e6 * one.figures.chunk_cpu, 1) if one.case.load in _STREAMS else None,
        "calls_per_s": round(one.figures.rate, 1),
        "p50_ms": round(1e3 * one.figures.p50, 3),
        "callers_cpu_share": round(one.figures.client_share, 2),
    }


def _target(target: Target) -> dict[str, Any]:
    measured = None if target.measured is None else round(target.measured, 3)
    return {**asdict(target), "measured": measured, "met": target.met}


def _added(found: Findings, case: Case, name: str) -> float | None:
    seconds = None if case.gateway == DIRECT else added(found, case, name)
    return None if seconds is None else round(1e3 * seconds, 3)


def _ratio(value: float, by: float) -> float | None:
    return round(value / by, 2) if by else None


def _rounded(values: Mapping[str, float], digits: int, factor: float = 1) -> dict[str, float]:
    return {name: round(factor * value, digits) for name, value in values.items()}


def _others(cpu: Mapping[str, float]) -> float | None:
    if not cpu:
        return None
    return sum((cpu[name] for name in cpu if name not in ("Envoy", "workers", "total")), 0.0)


# --- Tables ----------------------------------------------------------------------------------------


def table(titles: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """Text in columns: the first to the left, the others to the right and as wide as they must be."""
    cells = [list(titles), *([_cell(value) for value in line] for line in lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "".join(_line(line, widths) for line in cells)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip() + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"
    return str(value)


def _machine(report: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in report["machine"].items()) + "\n"


def _loads(rows: Sequence[Row]) -> list[str]:
    return [
        _load(name, [row for row in rows if row["load"] == name])
        for name in dict.fromkeys(row["load"] for row in rows)
    ]


def _load(name: str, rows: Sequence[Row]) -> str:
    cells = _COMMON | (_STREAMED if name in _STREAMS else {}) | (_ADDED if name == LATENCY else {})
    lines = ([f"{row['gateway']}, {row['way']}", *(cell(row) for cell in cells.values())] for row in rows)
    return table([name, *cells], lines)


def _limited(rows: Sequence[Row]) -> str:
    """Where the callers were as busy as can be, so that more calls a second may well be possible."""
    names = [
        f"{row['gateway']}, {row['way']}, {row['load']}" for row in rows if row["callers_cpu_share"] > _BUSY
    ]
    return f"calls/s that the callers limited: {'; '.join(names)}\n" if names else ""


def _memory(report: Mapping[str, Any]) -> str:
    lines = [
        [f"{name}, {role}", float(mib)]
        for name, roles in report["rss_mib"].items()
        for role, mib in roles.items()
    ]
    starts = report["cold_start_s"]
    said = table(["memory", "MiB"], lines) if lines else ""
    if report["memory"]:
        (early, late), (before, after) = report["memory"]["calls"], report["memory"]["mib"]
        said += f"a worker after {early} mixed calls: {before:.1f} MiB; after {late}: {after:.1f} MiB\n"
    if starts["starts"]:
        said += f"\ncold start to the first 200: {starts['median']:.2f} s (of {len(starts['starts'])})\n"
    return said


def _growth(rows: Sequence[Row]) -> str:
    titles = ["cost as it grows", "CPU s/1k", "us/chunk", "calls/s", "p50 ms", "callers' CPU"]
    lines = [
        [
            f"{row['by']}: {row['value']}, {row['load']}, {row['way']}",
            row["cpu_s_per_1000"]["total"],
            row["cpu_us_per_chunk"],
            row["calls_per_s"],
            row["p50_ms"],
            row["callers_cpu_share"],
        ]
        for row in rows
    ]
    return table(titles, lines) if lines else ""


def _targets(rows: Sequence[Row]) -> str:
    answers = {True: "yes", False: "no", None: "not measured"}
    lines = [
        [
            f"{row['what']}, {row['way']}",
            f"{'>=' if row['least'] else '<='} {row['limit']:g} {row['unit']}",
            row["measured"],
            row["note"] or answers[row["met"]],
        ]
        for row in rows
    ]
    return table(["target", "limit", "measured", "met"], lines)
