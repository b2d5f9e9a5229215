"""The page of parameters: fresh, complete, and true to the rows."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server import drivers, operations
from server.config import Settings, load_catalog
from server.operations import CHAT, EMBEDDINGS, IMAGES, Operation
from server.parameters_page import OPENAPI, VALUES, does, page
from server.profile import REFUSABLE
from server.routing.refusals import honours
from server.rows import Row

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "parameters.md"


def openapi() -> Any:
    return json.loads(OPENAPI.read_text(encoding="utf-8"))


def row(provider_id: str = "A", **more: Any) -> Row:
    fields: dict[str, Any] = {"id": provider_id, "driver": "openai", "models": ("m",), **more}
    return Row(**fields)


def lines(*rows: Row) -> dict[str, str]:
    """The first line of each parameter on a page."""
    found: dict[str, str] = {}
    for line in page(rows, openapi()).splitlines():
        if line.startswith("| `"):
            found.setdefault(line.split("`")[1], line)
    return found


def test_the_committed_page_is_fresh() -> None:
    command = [sys.executable, "-m", "server.parameters_page"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30, text=True, cwd=ROOT)
    assert COMMITTED.read_text(encoding="utf-8") == done.stdout, "run make generate"


def test_every_parameter_and_every_provider_is_on_it() -> None:
    catalog = load_catalog(Settings(), drivers.KINDS).providers
    text = page(catalog, openapi())
    for operation in operations.ALL:
        for name in operation.fields:
            assert f"\n| `{name}` | " in text
    for one in catalog:
        assert f"\n| `{one.id}` | " in text


def test_every_value_that_a_row_may_refuse_has_its_place() -> None:
    assert {name for names in VALUES.values() for name in names} == REFUSABLE
    assert VALUES.keys() == {operation.name for operation in operations.ALL}


@pytest.mark.parametrize(
    ("operation", "fields", "name", "honoured"),
    [
        pytest.param(CHAT, {"params": ("seed",)}, "seed", True, id="listed"),
        pytest.param(CHAT, {"params": ("seed",)}, "stop", False, id="not listed"),
        pytest.param(CHAT, {"params": ("max_tokens",)}, "max_completion_tokens", True, id="its twin is"),
        pytest.param(CHAT, {"params": ()}, "stream_options", True, id="seen to here"),
        pytest.param(EMBEDDINGS, {"embedding_params": ()}, "encoding_format", True, id="of embeddings"),
        pytest.param(IMAGES, {"image_params": ("width", "height")}, "size", True, id="said otherwise"),
        pytest.param(IMAGES, {"image_params": ("n",)}, "size", False, id="no size at all"),
        pytest.param(IMAGES, {"image_params": ()}, "response_format", True, id="made here"),
    ],
)
def test_a_parameter_is_honoured(
    operation: Operation, fields: dict[str, Any], name: str, honoured: bool
) -> None:
    assert honours(row(**fields), operation, name) is honoured


@pytest.mark.parametrize(
    ("fields", "done"),
    [
        pytest.param({}, ["chat"], id="models"),
        pytest.param({"models": (), "discover": True}, ["chat"], id="models to be discovered"),
        pytest.param({"models": (), "image_models": ("i",)}, ["images"], id="images alone"),
        pytest.param({"text_models": ("*",)}, ["chat", "text_completions"], id="text too"),
    ],
)
def test_a_provider_does_what_it_has_models_for(fields: dict[str, Any], done: list[str]) -> None:
    assert [operation.name for operation in operations.ALL if does(row(**fields), operation)] == done


def test_providers_are_told_in_the_shortest_way() -> None:
    rows = [row(name, params=("seed",)) for name in "ABC"]
    dropping = row("D", params=("stop",), unsupported="drop")
    told = lines(*rows, dropping)
    assert told["seed"].endswith("| all but D | D |")
    assert told["stop"].endswith("| D |  |")
    assert told["store"].endswith("| none | D |")
    assert told["stream_options"].endswith("| all |  |")


def test_the_meaning_is_the_first_sentence_of_the_contracts_comment() -> None:
    assert "| How many answers to give, 1 or more. |" in lines(row())["n"]
