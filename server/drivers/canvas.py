"""Canvas: a provider without a model. It draws a pattern that is the same for the same prompt, size and
seed, so that a first image works anywhere. It says so in its label."""

import asyncio
import base64
import colorsys
import hashlib
import io
import random
import time
from collections.abc import AsyncGenerator

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter

from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse, Image
from server.drivers.base import Listed, Target
from server.errors import AttemptFailed, RequestRefused
from server.kinds import Kind
from server.operations import Chunk, Request, StreamRequest

_DEFAULT_SIZE = (512, 512)
_SMALLEST, _LARGEST = 16, 2048  # pixels a side
_MOST = 2**23  # pixels of all images of a request
_FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}
_NO_TEXT = "makes images, and no text"


class CanvasDriver:
    """Draws. The work is done in a thread, for it takes tens of milliseconds, one image at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore()

    async def models(self, target: Target) -> list[Listed]:
        """The row's own list."""
        return [Listed(name) for name in target.row.image_models]

    async def close(self) -> None:
        """Nothing is held."""

    async def stream(self, request: StreamRequest, target: Target) -> AsyncGenerator[Chunk, None]:
        """Canvas does not write."""
        raise AttemptFailed("no_such_model", _NO_TEXT)
        yield

    async def answer(self, request: Request, target: Target) -> GenerateImagesResponse:
        """Draws `n` images in base64; the second and further ones vary the seed."""
        if not isinstance(request, GenerateImagesRequest):
            raise AttemptFailed("no_such_model", _NO_TEXT)
        width, height = _size(request, target)
        kind = request.output_format or "png"
        if kind not in _FORMATS:
            raise _refused(target, "output_format", f"must be one of {', '.join(_FORMATS)}")
        if width * height * (request.n or 1) > _MOST:
            raise _refused(target, "n", f"images of this size are too many: {_MOST} pixels is the most")
        made = []
        for index in range(request.n or 1):
            async with self._turn:
                drawing = asyncio.to_thread(
                    draw, request.prompt, width, height, request.seed + index, _FORMATS[kind]
                )
                made.append(await drawing)
        return GenerateImagesResponse(
            created=int(time.time()),
            data=[
                Image(b64_json=base64.b64encode(image).decode(), revised_prompt=request.prompt)
                for image in made
            ],
            model=target.model,
            provider=target.row.id,
            size=f"{width}x{height}",
            output_format=kind,
        )


def draw(prompt: str, width: int, height: int, seed: int, file_format: str = "PNG") -> bytes:
    """A file of `width` x `height` pixels: soft discs over a gradient, all derived from the arguments."""
    digest = hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()
    rng = random.Random(digest)  # noqa: S311 - a pattern, not a secret
    hue = rng.random()
    image = Pillow.linear_gradient("L").resize((width, height))
    image = Pillow.merge("RGB", [image.point(_ramp(channel)) for channel in _colours(hue)])
    layer = Pillow.new("RGBA", (width, height))
    pen = ImageDraw.Draw(layer)
    for _ in range(24):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        radius = rng.uniform(0.03, 0.25) * min(width, height)
        colour = _rgb(hue + rng.uniform(-0.12, 0.12) + rng.choice((0.0, 0.5)), 0.9)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, 110))
    layer = layer.filter(ImageFilter.GaussianBlur(min(width, height) / 200))
    image.paste(layer, (0, 0), layer)
    out = io.BytesIO()
    image.save(out, format=file_format)
    return out.getvalue()


def _colours(hue: float) -> list[tuple[int, int]]:
    return list(zip(_rgb(hue, 0.35), _rgb(hue + 0.15, 0.95), strict=True))


def _ramp(ends: tuple[int, int]) -> list[int]:
    low, high = ends
    return [round(low + (high - low) * step / 255) for step in range(256)]


def _rgb(hue: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, 0.6, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _size(request: GenerateImagesRequest, target: Target) -> tuple[int, int]:
    width, height = request.width, request.height
    if request.size and request.size != "auto":
        first, _, second = request.size.partition("x")
        width, height = int(first), int(second)
    if not (width or height):
        return _DEFAULT_SIZE
    if not all(_SMALLEST <= side <= _LARGEST for side in (width, height)):
        raise _refused(target, "size", f"must be {_SMALLEST} to {_LARGEST} pixels a side")
    return width, height


def _refused(target: Target, param: str, fault: str) -> RequestRefused:
    return RequestRefused(f"{param} {fault}", param=param, provider=target.row.id, model=target.model)


KIND = Kind(make=lambda _: CanvasDriver())
