"""Images. https://platform.openai.com/docs/api-reference/images"""

from typing import Any

from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from server.drivers import answers
from server.drivers.base import Target
from server.drivers.openai import body, wire
from server.errors import AttemptFailed
from server.operations import IMAGES
from server.transport import HttpAnswer, HttpRequest

_OURS = frozenset({"stream", "size", "width", "height", "response_format", "partial_images"})


class ImagesTranslator:
    """Translates images."""

    def request(self, request: GenerateImagesRequest, target: Target, *, stream: bool) -> HttpRequest:
        """POST /images/generations. The size is given in the fields that the provider has for it."""
        honoured = target.row.image_params
        asked = body.of_request(request, target, _OURS)
        if request.HasField("response_format") and "response_format" in honoured:
            asked["response_format"] = request.response_format
        return wire.post(target, IMAGES, asked | _size(request, honoured))

    def answer(
        self, answer: HttpAnswer, _: GenerateImagesRequest, target: Target
    ) -> GenerateImagesResponse:
        """Reads images."""
        images = answers.lift(GenerateImagesResponse, wire.answered(answer, target))
        if not images.data or not all(item.url or item.b64_json for item in images.data):
            raise AttemptFailed(answers.BROKEN, "answered without images", status=answer.status)
        answers.complete(images, target)
        return images


def _size(request: GenerateImagesRequest, honoured: tuple[str, ...]) -> dict[str, Any]:
    """The size in the fields that the provider has for it. `auto` is what goes without saying."""
    size = request.size or (f"{request.width}x{request.height}" if request.width else "")
    if not size or (size == "auto" and "size" not in honoured):
        return {}
    if "size" in honoured:
        return {"size": size}
    width, _, height = size.partition("x")
    return {"width": int(width), "height": int(height)}
