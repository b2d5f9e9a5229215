"""What all tests of the running service share: one upstream, and one service with a row for each script."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests import upstream as scripts
from tests.exchange import Ways
from tests.scheduling import ByFile
from tests.service import Service, row, serving
from tests.upstream import Upstream, scripted_upstream

STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 422, 425, 429, 500, 503)
KEY = "upstream-key-0123456789"
CALM = {"breaker": {"enabled": False}, "retry": {"times": 0}}  # each attempt stands for itself
QUICK = {"connect": 1, "first_content": 0.3, "idle": 0.3, "total": 0.6}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Says how several processes share the tests."""
    return ByFile(config, log)


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """The scripted upstream."""
    with scripted_upstream() as running:
        yield running


@pytest.fixture(scope="session")
def service(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service. Providers are named after the script behind them: `ok`, `429`, `cut-later` ...

    `refused` has nobody behind it, `no-key` wants a key that is not there; `silent` and `half` have
    limits below a second; `told` is asked for any model, and answers what a test has put into
    `Upstream.answers` under the model's name; `takes-thoughts` takes back what an assistant thought.
    """
    names = (*scripts.SCRIPTS, *map(str, STATUSES))
    rows = [
        row(
            name,
            f"{upstream.url}/{name}/v1",
            key_env="UPSTREAM_KEY",
            image_models=["i"],
            image_params=["n", "size", "seed"],
            priority=500,
            discover=name == "told",  # so that it is asked for any model
            text_models=["text-*"],
            embedding_models=["embed-*"],
            limits=QUICK if name in ("silent", "half", "no-end") else {},
            **CALM,
        )
        for name in names
    ]
    rows.append(row("refused", "http://127.0.0.1:1/v1", **CALM))
    rows.append(row("no-key", f"{upstream.url}/ok/v1", key_env="NOT_SET"))
    rows.append(row("picky", f"{upstream.url}/ok/v1", params=["seed"]))
    rows.append(row("modest", f"{upstream.url}/ok/v1", params=["max_tokens", "tools"], priority=500))
    rows.append(row("lenient", f"{upstream.url}/ok/v1", params=["seed"], unsupported="drop"))
    thoughts = {"reasoning": "reasoning_content"}
    rows.append(row("takes-thoughts", f"{upstream.url}/ok/v1", profile=thoughts, priority=600))
    folder = tmp_path_factory.mktemp("service")
    with serving(folder, rows, {"UPSTREAM_KEY": KEY}, max_body_bytes=9 * 2**20) as running:
        yield running


@pytest.fixture(scope="session")
def ways(service: Service) -> Iterator[Ways]:
    """The two ways in to the service."""
    with grpc.insecure_channel(service.worker) as channel:
        yield Ways(service, channel)
