"""The Python blocks of the API page, exactly as they stand there, run against the service.

They call http://localhost:1337; `HTTP_PROXY` brings them to the port that the service really has.
"""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import requests
from PIL import Image

from tests.service import Service

PAGE = Path(__file__).parents[1] / "selecting-a-provider.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
ANSWER = "Hello from a tiny model."


def test_the_page_has_five_blocks() -> None:
    assert len(BLOCKS) == 5


def test_the_providers_are_listed(interference: Service) -> None:
    lines = printed_by(interference, BLOCKS[0])
    assert "ID: HuggingChat, URL: https://huggingface.co/chat" in lines
    assert "ID: HuggingSpace, URL: https://huggingface.co/spaces" in lines
    assert "ID: AnotherProvider, URL: " in lines


def test_a_provider_is_described(interference: Service) -> None:
    # The second block goes on where the first ended: it uses its import.
    *_, name, models, params = printed_by(interference, BLOCKS[0] + BLOCKS[1])
    assert name == "Provider ID: HuggingChat"
    assert models == "Supported Models: ['gpt-4o-mini', 'wired']"
    assert params.startswith("Parameters: [")
    assert "'temperature'" in params


def test_a_single_provider_answers(interference: Service) -> None:
    assert printed_by(interference, BLOCKS[2]) == [ANSWER]


def test_one_of_two_providers_answers(interference: Service) -> None:
    assert printed_by(interference, BLOCKS[3]) == [ANSWER]


def test_an_image_is_made_and_can_be_fetched_from_its_address(interference: Service) -> None:
    (line,) = printed_by(interference, BLOCKS[4])
    url = line.removeprefix("Image URL: ")
    with requests.Session() as session:
        session.trust_env = False  # the address must do by itself
        for _ in range(4):  # whichever worker is asked, and whichever of them made it
            response = session.get(url, timeout=10)
            assert response.status_code == 200, response.text
            assert response.headers["content-type"] == "image/png"
            with Image.open(io.BytesIO(response.content)) as image:
                image.verify()
                assert image.format == "PNG"


def printed_by(service: Service, block: str) -> list[str]:
    """Runs a block in an interpreter of its own and gives the lines that it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment["HTTP_PROXY"] = f"http://{service.envoy}"
    done = subprocess.run(
        [sys.executable, "-c", block],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()
