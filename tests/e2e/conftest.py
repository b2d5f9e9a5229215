"""A service whose providers do what a test has told the upstream, call by call."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from tests.background import unreachable
from tests.conftest import CALM
from tests.service import Service, row, serving
from tests.upstream import Upstream

STEADY: dict[str, Any] = {"breaker": {"enabled": False}}  # asked whatever happened before


@pytest.fixture(scope="session")
def resilient(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`A`, `B` and `C` do what `play` has told, `Patient` says nothing for long, `Absent` and `Gone`
    are not there, `Nowhere` takes no connection.

    `Breaks` opens after two failures for a moment, `Keyed` has a key, `Limited` and `Shown` a breaker as
    it comes.
    `Narrow` answers two at a time, one in each of the two workers. `Seen` has a model of its own.
    """

    def played(name: str, **more: Any) -> dict[str, Any]:
        return row(name, f"{upstream.url}/played/v1", aliases={"m": f"m-{name}"}, **more)

    rows = [
        *(played(name, **STEADY) for name in "ABC"),
        row("Patient", f"{upstream.url}/silent/v1", **CALM),
        row("Endless", f"{upstream.url}/endless/v1", text_models=["m"], **CALM),
        row("Slow", f"{upstream.url}/shortly/v1", **CALM),
        row("Half", f"{upstream.url}/half/v1", **CALM),
        row("Seen", f"{upstream.url}/ok/v1", **CALM | {"models": ["seen"]}),
        *(row(name, "http://127.0.0.1:1/v1", **STEADY) for name in ("Absent", "Gone")),
        played("Breaks", breaker={"failures": 2, "cool_down": 0.3}, retry={"times": 0}),
        *(played(name, retry={"times": 0}) for name in ("Limited", "Shown")),
        played("Keyed", key_env="UPSTREAM_KEY", retry={"times": 0}),
        row(
            "Narrow", f"{upstream.url}/silent/v1", concurrency={"limit": 2, "queue": 1, "wait": 0.3}, **CALM
        ),
    ]
    folder = tmp_path_factory.mktemp("resilient")
    with unreachable() as nowhere:
        rows.append(row("Nowhere", f"{nowhere}/v1", **CALM))
        with serving(folder, rows, {"UPSTREAM_KEY": "key-of-ours-0123456789"}) as running:
            yield running


@pytest.fixture
def play(upstream: Upstream) -> Iterator[Any]:
    """Tells the upstream what a provider does, call by call; at last it answers as it should."""
    told: list[str] = []

    def tell(provider: str, *scripts: str) -> None:
        told.append(f"m-{provider}")
        upstream.plays[f"m-{provider}"] = deque(scripts)

    yield tell
    for model in told:
        upstream.plays.pop(model, None)
