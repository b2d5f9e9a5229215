"""The API page, to the letter: its Python examples, unchanged, against the running service."""

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from PIL import Image

from tests.calls import TIMEOUT
from tests.programs import environment
from tests.service import Service, row, serving
from tests.upstream import TEXT, Upstream

PAGE = Path(__file__).parents[1] / "selecting-a-provider.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def asked(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose HuggingSpace is a second service, asked over REST as any upstream is."""
    with serving(tmp_path_factory.mktemp("space"), workers=1) as space:
        rows = [
            row(
                "HuggingChat",
                f"{upstream.url}/500/v1",
                models=["gpt-4o-mini"],
                vision_models=["gpt-4o-mini"],
            ),
            row("AnotherProvider", f"{upstream.url}/ok/v1", models=["gpt-4o-mini"]),
            row(
                "HuggingSpace",
                space.base_url,
                models=[],
                image_models=["canvas"],
                aliases={"flux": "canvas"},
            ),
        ]
        with serving(tmp_path_factory.mktemp("asked"), rows) as service:
            yield service


@pytest.fixture(scope="module")
def single(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose HuggingChat answers."""
    rows = [row("HuggingChat", f"{upstream.url}/ok/v1", models=["gpt-4o-mini"])]
    with serving(tmp_path_factory.mktemp("single"), rows, workers=1) as service:
        yield service


def run(block: str, service: Service) -> str:
    """Runs a block as it stands, after the first one, whose import it may rely on; gives what it printed.

    The blocks ask localhost:1337, and find the service by way of a proxy setting.
    """
    done = subprocess.run(
        [sys.executable, "-c", f"{BLOCKS[0]}\nprint('---')\n{block}"],
        env=environment(HTTP_PROXY=service.url, http_proxy=service.url),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("---\n")[2]


def test_the_page_has_five_examples() -> None:
    assert len(BLOCKS) == 5


def test_the_list_of_providers(asked: Service) -> None:
    printed = run(BLOCKS[0], asked)
    assert {line.split(",")[0] for line in printed.splitlines()} >= {
        "ID: HuggingChat",
        "ID: AnotherProvider",
        "ID: HuggingSpace",
        "ID: Echo",
    }


def test_the_details_of_a_provider(asked: Service) -> None:
    printed = run(BLOCKS[1], asked).splitlines()
    assert printed[:2] == ["Provider ID: HuggingChat", "Supported Models: ['gpt-4o-mini']"]
    assert "'temperature'" in printed[2]


def test_a_completion_of_one_provider(single: Service) -> None:
    assert run(BLOCKS[2], single) == f"{TEXT}\n"


def test_a_completion_of_two_providers(asked: Service, upstream: Upstream) -> None:
    before = len(upstream.seen)
    assert run(BLOCKS[3], asked) == f"{TEXT}\n"
    assert [seen.script for seen in upstream.seen[before:]] == ["500", "ok"]


def test_an_image(asked: Service) -> None:
    urls = re.findall(r"^Image URL: (http://\S+)$", run(BLOCKS[4], asked), re.MULTILINE)
    assert urls
    for url in urls:
        answer = requests.get(url, timeout=TIMEOUT)
        assert answer.headers["content-type"] == "image/png"
        Image.open(io.BytesIO(answer.content)).verify()


def test_lists_that_are_empty_are_printed(asked: Service) -> None:
    details = requests.get(f"{asked.base_url}/providers/AnotherProvider", timeout=TIMEOUT).json()
    assert details["image_models"] == details["vision_models"] == []
    assert details["enabled"] is True


def test_a_provider_that_is_not_enabled_says_why(asked: Service) -> None:
    details = requests.get(f"{asked.base_url}/providers/OpenAI", timeout=TIMEOUT).json()
    assert (details["enabled"], details["reason"]) == (False, "set OPENAI_API_KEY")
