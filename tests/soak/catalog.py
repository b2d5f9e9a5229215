"""The providers and routes of the soak's service, as its catalog file says them."""

from collections.abc import Mapping
from typing import Any

from tests.service import row
from tests.soak import asks, says

# What a silent provider costs. Long enough for a machine that is kept busy on purpose.
LIMITS = {"connect": 1, "first_content": 0.5, "idle": 0.5, "total": 1.5}
# With half of all answers bad, breakers as they are shipped would leave nobody to ask; so half of the
# providers have none, and the others' open and close often.
_BREAKERS = {"failures": 4, "rate": 0.7, "least": 10, "window": 2, "cool_down": 0.2, "longest": 1}
_FIRST_STEADY = 3


def catalog(ports: Mapping[str, int]) -> dict[str, Any]:
    """The catalog file's members, for providers that listen on these ports."""
    rows = [_row(name, ports[name], index) for index, name in enumerate(says.PROVIDERS)]
    return {"providers": rows, "routes": [_route(*each) for each in enumerate(asks.ROUTES)]}


def _row(name: str, port: int, index: int) -> dict[str, Any]:
    # One is often full.
    more: dict[str, Any] = {"breaker": _BREAKERS if index < _FIRST_STEADY else {"enabled": False}}
    if name == says.PROVIDERS[0]:
        more["concurrency"] = {"limit": 6, "queue": 2, "wait": 0.1}
    return row(
        name,
        f"http://127.0.0.1:{port}/v1",
        models=[says.CHAT_MODEL],
        text_models=[says.TEXT_MODEL],
        limits=LIMITS,
        **more,
    )


def _route(index: int, name: str) -> dict[str, Any]:
    strategy = ("ordered", "weighted", "least_latency", "least_outstanding")[index]
    targets: list[dict[str, Any]] = [
        {"provider": provider, "model": says.CHAT_MODEL}
        | ({"weight": place + 1} if strategy == "weighted" else {})
        for place, provider in enumerate(says.PROVIDERS[: 4 + index % 3])
    ]
    targets[0]["when"] = {"failure_rate": 0.9}
    return {"model": name, "strategy": strategy, "targets": targets}
