"""What must hold of the images that a provider made, before they count as its answer."""

import asyncio
import base64
import binascii

from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from server.errors import AttemptFailed


async def check(answer: GenerateImagesResponse, request: GenerateImagesRequest) -> None:
    """Raises `AttemptFailed` where the images are not what was asked for."""
    if request.response_format == "b64_json" and not all(image.b64_json for image in answer.data):
        raise AttemptFailed("broken_answer", "gave an address where base64 was asked for", blame=False)
    await asyncio.to_thread(_check_base64, answer)


def _check_base64(made: GenerateImagesResponse) -> None:
    """Raises `AttemptFailed` for an image that is none; takes away what makes a `data:` URL of one."""
    for image in made.data:
        if image.b64_json.startswith("data:"):
            image.b64_json = image.b64_json.partition(",")[2]
        try:
            base64.b64decode(image.b64_json, validate=True)
        except (binascii.Error, ValueError):
            raise AttemptFailed("broken_answer", "gave an image that is not base64") from None
