"""Images in OpenAI's dialect: bytes in, bytes out."""

import json
from typing import Any

import pytest

from interference.v1.images_pb2 import GenerateImagesRequest
from server.errors import AttemptFailed
from tests.server.drivers.openai.dialect import read, sent

ASKED = GenerateImagesRequest(prompt="p")


@pytest.mark.parametrize(
    ("fields", "params", "expected"),
    [
        pytest.param({"size": "4x2"}, ["size"], {"size": "4x2"}, id="size"),
        pytest.param({"width": 4, "height": 2}, ["size"], {"size": "4x2"}, id="sides as a size"),
        pytest.param({"size": "4x2"}, ["width", "height"], {"width": 4, "height": 2}, id="a size as sides"),
        pytest.param({"size": "auto"}, ["size"], {"size": "auto"}, id="auto"),
        pytest.param({"size": "auto"}, ["width"], {}, id="auto where it goes without saying"),
        pytest.param({"response_format": "url"}, [], {}, id="a format that is not taken"),
        pytest.param(
            {"response_format": "url"},
            ["response_format"],
            {"response_format": "url"},
            id="a format that is taken",
        ),
    ],
)
def test_an_image_request_is_sent_as_the_row_says(
    fields: dict[str, Any], params: list[str], expected: dict[str, Any]
) -> None:
    request = GenerateImagesRequest(prompt="p", **fields)
    made = sent(request, image_params=params)
    assert made.url == "https://up/v1/images/generations"
    assert json.loads(made.body) == {"model": "own-name", "prompt": "p", **expected}


def test_images_are_read() -> None:
    made = read(ASKED, {"created": 5, "data": [{"url": "http://i"}]})
    assert (made.data[0].url, made.created, made.provider) == ("http://i", 5, "Up")


@pytest.mark.parametrize("raw", [{}, {"data": []}, {"data": [{}]}, {"data": [{"url": ""}]}])
def test_an_answer_without_images_is_broken(raw: Any) -> None:
    with pytest.raises(AttemptFailed):
        read(ASKED, raw)
