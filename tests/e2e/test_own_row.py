"""A compatible provider is one row: written to a file while the server runs, there after a SIGHUP, and gone
after the next, as the README says.
"""

import signal
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.calls import TIMEOUT, Outcome, ask
from tests.programs import wait_until
from tests.service import Service, row, serving
from tests.upstream import TEXT, Upstream


def write(folder: Path, *rows: dict[str, Any]) -> None:
    """Says which rows of its own the server has, and has it read them."""
    (folder / "own.yaml").write_text(yaml.safe_dump({"providers": list(rows)}))


def reload(service: Service) -> None:
    """Has the server read everything anew; returns when the new workers answer."""
    before = service.program.said.count("Restarted in")
    service.program.process.send_signal(signal.SIGHUP)
    wait_until(lambda: service.program.said.count("Restarted in") > before, lambda: service.program.said)


def listed(service: Service) -> bool:
    providers = requests.get(f"{service.base_url}/providers", timeout=TIMEOUT).json()
    return "Mine" in [provider["id"] for provider in providers]


def asked(service: Service, way: str, *, stream: bool) -> Outcome:
    return ask(service, way, "Mine", stream=stream, model="mine-1")


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_a_row_added_while_the_server_runs_answers_until_it_is_removed(
    upstream: Upstream, tmp_path: Path, way: str
) -> None:
    own = row("Mine", f"{upstream.url}/ok/v1", models=["mine-1"], key_env="MINE_API_KEY")
    with serving(tmp_path, variables={"MINE_API_KEY": "my-key-0123456789"}, workers=1) as service:
        assert not listed(service)
        assert asked(service, way, stream=False).code in (404, "NOT_FOUND")

        write(tmp_path, own)
        reload(service)
        assert listed(service)
        for stream in (False, True):
            outcome = asked(service, way, stream=stream)
            assert (outcome.text, outcome.provider, outcome.error) == (TEXT, "Mine", {})
            assert upstream.last().headers["authorization"] == "Bearer my-key-0123456789"
            assert upstream.last().body["model"] == "mine-1"

        write(tmp_path)
        reload(service)
        assert not listed(service)
        outcome = asked(service, way, stream=False)
        assert outcome.code in (404, "NOT_FOUND")
        assert outcome.error["error"]["code"] == "provider_not_found"


def test_a_row_that_is_wrong_is_refused_and_everything_goes_on(upstream: Upstream, tmp_path: Path) -> None:
    own = row("Mine", f"{upstream.url}/ok/v1", models=["mine-1"])
    with serving(tmp_path, [own], workers=1) as service:
        write(tmp_path, {**own, "modles": []})
        service.program.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "modles" in service.program.said, lambda: service.program.said)
        assert asked(service, "rest", stream=False).text == TEXT
