"""The Images service."""

import base64
from collections.abc import Mapping

from google.api.httpbody_pb2 import HttpBody

from interference.v1.images_pb2 import (
    GenerateImagesRequest,
    GenerateImagesResponse,
    GetMediaRequest,
)
from interference.v1.images_pb2_grpc import ImagesServicer
from server.errors import NotFound
from server.media import Media
from server.routing.router import Router
from server.services import call, validate
from server.services.call import Context

_FOREVER = "public, max-age=31536000, immutable"


class Images(ImagesServicer):
    """Makes images, and gives those it keeps. `public_url` is how callers reach this server, where set."""

    def __init__(self, router: Router, media: Media, public_url: str) -> None:
        self._router = router
        self._media = media
        self._public_url = public_url.rstrip("/")

    async def GenerateImages(
        self, request: GenerateImagesRequest, context: Context
    ) -> GenerateImagesResponse:
        """Makes images."""
        call.choose(request)
        validate.images(request)
        made = await self._router.answer(request, call.current().journal)
        if request.response_format != "b64_json":
            base = self._base(call.current().headers)
            drawn = [image for image in made.data if not image.url]
            names = await self._media.put(*(base64.b64decode(image.b64_json) for image in drawn))
            for image, name in zip(drawn, names, strict=True):
                image.url = f"{base}/media/{name}"
                image.ClearField("b64_json")
        return made

    async def GetMedia(self, request: GetMediaRequest, context: Context) -> HttpBody:
        """Gives a stored image. Its name is never used again, so that it can be cached for ever."""
        item = await self._media.get(request.name)
        if item is None:
            raise NotFound(
                "There is no such image; it may have been removed to make room.",
                reason="media_not_found",
                param="name",
            )
        headers = {
            "etag": item.etag,
            "cache-control": _FOREVER,
            "x-content-type-options": "nosniff",
            "content-security-policy": "default-src 'none'; sandbox",
        }
        wanted = call.current().headers.get("if-none-match", "")
        if wanted.strip() == "*" or item.etag in [
            tag.strip().removeprefix("W/") for tag in wanted.split(",")
        ]:
            await context.send_initial_metadata((*headers.items(), ("x-interference-status", "304")))
            return HttpBody(content_type=item.content_type)
        await context.send_initial_metadata(tuple(headers.items()))
        return HttpBody(content_type=item.content_type, data=item.data)

    def _base(self, headers: Mapping[str, str]) -> str:
        if self._public_url:
            return self._public_url
        host = headers.get("x-forwarded-host")
        scheme = "https" if headers.get("x-forwarded-proto") == "https" else "http"
        return f"{scheme}://{host}" if host else ""
