"""What a row may say of a Space."""

from typing import Any

import msgspec
import pytest

from server import drivers, rows
from server.drivers.base import Target
from server.drivers.gradio import app
from server.drivers.gradio.options import host
from server.errors import AttemptFailed, SettingsError
from server.rows import Row
from tests.server.drivers.gradio.spaces import CHAT, FLUX, space, target


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("black-forest-labs/FLUX.1-schnell", "black-forest-labs-flux-1-schnell.hf.space"),
        ("stabilityai/stable_diffusion--3", "stabilityai-stable-diffusion-3.hf.space"),
        ("no-owner", ""),
        ("a/b/c", ""),
        ("evil.example/../x", ""),
        ("owner/" + "n" * 90, ""),
    ],
)
def test_a_host_follows_from_a_space(name: str, expected: str) -> None:
    assert host(name) == expected


@pytest.mark.parametrize(
    ("said", "row", "address"),
    [
        pytest.param({}, {}, "https://owner-model.hf.space", id="the model's own name"),
        pytest.param({"space": "a/B"}, {}, "https://a-b.hf.space", id="another Space"),
        pytest.param({}, {"base_url": "http://box:7860/"}, "http://box:7860", id="the row's address"),
        pytest.param(
            {"address": "http://one"}, {"base_url": "http://box"}, "http://one", id="the model's address"
        ),
    ],
)
def test_an_app_is_where_the_row_says(said: dict[str, Any], row: dict[str, Any], address: str) -> None:
    options = {"models": {"owner/model": {**CHAT, **said}}}
    made = Target(Row(id="Up", driver="gradio", options=options, **row), "owner/model")
    assert app.of(made).address == address


def test_a_model_of_which_the_row_says_nothing_is_not_there() -> None:
    with pytest.raises(AttemptFailed, match="no Space for other"):
        app.of(msgspec.structs.replace(target(), model="other"))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        pytest.param({"endpoint": "a/b"}, "endpoint cannot be a/b", id="endpoint"),
        pytest.param({"endpoint": ""}, "endpoint cannot be empty", id="no endpoint"),
        pytest.param({"space": "x"}, "give its address", id="space"),
        pytest.param({"address": "ftp://x"}, "address must be", id="address"),
        pytest.param({"address": "http://me@x"}, "address must be", id="user"),
        pytest.param({"extra": {"url": 1}}, "extra cannot have url", id="extra"),
        pytest.param({"extra": {"seed": -1}}, ">= 0", id="place"),
        pytest.param({"inputs": [{}]}, "an input is", id="empty input"),
        pytest.param({"inputs": [{"field": "seed", "absent": "seed"}]}, "an input is", id="two inputs"),
        pytest.param({"inputs": [{"field": "seed", "form": "pairs"}]}, "of history alone", id="form"),
        pytest.param({"inputs": [{"filed": "seed"}]}, "filed", id="unknown member"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_row(said: dict[str, Any], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        space({**FLUX, **said})
    options = {"models": {"m": {**FLUX, **said}}}
    file = rows.File(providers=({"id": "A", "driver": "gradio", "options": options},))
    with pytest.raises(SettingsError, match="row A: options: "):
        rows.read(file, "own.yaml", drivers.KINDS)
