"""Canvas: real images, the same for the same request."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from interference.v1.images_pb2 import GenerateImagesRequest
from server.drivers.base import Target
from server.drivers.canvas import CanvasDriver, draw
from server.errors import RequestRefused
from server.rows import Row

TARGET = Target(Row(id="Canvas", driver="canvas"), "canvas")


async def images(**fields: Any) -> list[bytes]:
    made = await CanvasDriver().answer(GenerateImagesRequest(prompt="dusk", **fields), TARGET)
    return [base64.b64decode(item.b64_json) for item in made.data]


@pytest.mark.parametrize(
    ("fields", "size", "kind"),
    [
        pytest.param({}, (512, 512), "PNG", id="default"),
        pytest.param({"size": "96x64"}, (96, 64), "PNG", id="size"),
        pytest.param({"width": 64, "height": 128}, (64, 128), "PNG", id="width and height"),
        pytest.param({"size": "auto"}, (512, 512), "PNG", id="auto"),
        pytest.param({"output_format": "webp", "size": "32x32"}, (32, 32), "WEBP", id="webp"),
        pytest.param({"output_format": "jpeg", "size": "32x32"}, (32, 32), "JPEG", id="jpeg"),
    ],
)
async def test_an_image_has_the_size_and_format_asked_for(
    fields: dict[str, Any], size: tuple[int, int], kind: str
) -> None:
    [data] = await images(**fields)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert (image.size, image.format) == (size, kind)


def test_the_same_request_draws_the_same_image() -> None:
    assert draw("dusk", 64, 64, 1) == draw("dusk", 64, 64, 1)


@pytest.mark.parametrize(("prompt", "seed"), [("dawn", 1), ("dusk", 2)])
def test_another_prompt_or_seed_draws_another_image(prompt: str, seed: int) -> None:
    assert draw(prompt, 64, 64, seed) != draw("dusk", 64, 64, 1)


async def test_several_images_differ() -> None:
    assert len(set(await images(n=3, size="32x32"))) == 3


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"size": "4096x64"}, "size", id="too large"),
        pytest.param({"width": 8, "height": 8}, "size", id="too small"),
        pytest.param({"size": "2048x2048", "n": 3}, "n", id="too many"),
        pytest.param({"output_format": "gif"}, "output_format", id="format"),
    ],
)
async def test_what_cannot_be_drawn_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        await images(**fields)
    assert refused.value.param == param
