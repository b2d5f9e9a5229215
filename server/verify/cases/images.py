"""Cases of pictures from words."""

import base64
import binascii
import io
import warnings
from typing import Any

import grpc
from PIL import Image as Pillow

from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse, GetMediaRequest, Image
from server.errors import AttemptFailed
from server.transport import HttpRequest, ask
from server.verify.case import Case, Fault, NotHad, expect, shown
from server.verify.cases.asking import NO_SUCH_MODEL
from server.verify.peer import Peer
from server.verify.services import DRAW, MEDIA

_PROMPT = "a red square on a white ground"
_SIDE = 256
_OWN = "/media/"  # where the server itself keeps images
_REFUSED = "refused with INVALID_ARGUMENT"
_SVG = (b"<svg", b"<?xml", b"<!--", b"<!DOCTYPE svg")


def _request(peer: Peer, **fields: Any) -> GenerateImagesRequest:
    model = peer.models.get("images", "")
    given = {"prompt": _PROMPT, "response_format": "b64_json"} | ({"model": model} if model else {})
    return GenerateImagesRequest(**(given | fields))


async def _whole(peer: Peer) -> GenerateImagesResponse:
    [made] = await peer.once("images/answer", DRAW, _request(peer))
    return made


async def _answer(peer: Peer) -> str:
    images = (await _whole(peer)).data
    expect(len(images) == 1, f"{len(images)} images")
    return await _read(peer, images[0])


async def _read(peer: Peer, image: Image) -> str:
    """What an image is, by its bytes. Raises `Fault` where it is none."""
    kind, (width, height) = _measured(await _bytes(peer, image))
    return f"{kind} of {width} x {height}" if width else kind


async def _bytes(peer: Peer, image: Image) -> bytes:
    expect(
        bool(image.b64_json) != bool(image.url), "an image with both of `url` and `b64_json`, or neither"
    )
    if image.b64_json:
        return _decoded(image.b64_json)
    if image.url.startswith("data:"):
        return _decoded(image.url.partition(",")[2])
    if image.url.startswith(_OWN):
        [stored] = await peer.answered(MEDIA, GetMediaRequest(name=image.url.removeprefix(_OWN)))
        return bytes(stored.data)
    expect(image.url.startswith(("http://", "https://")), f"the address {shown(image.url)}")
    try:
        fetched = await ask(HttpRequest("GET", image.url, {}), peer.limit)
    except (AttemptFailed, TimeoutError, ValueError) as error:
        raise Fault(f"nothing at {shown(image.url)}: {shown(str(error) or 'in time')}") from None
    expect(fetched.status == 200, f"HTTP {fetched.status} at {shown(image.url)}")
    return fetched.body


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Fault(f"what is no base64: {shown(text, 40)}") from None


def _measured(data: bytes) -> tuple[str, tuple[int, int]]:
    """The kind of an image and its size in pixels; of a drawing in vectors (0, 0)."""
    if data.lstrip()[:64].startswith(_SVG):
        return "SVG", (0, 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            with Pillow.open(io.BytesIO(data)) as image:
                kind, size = str(image.format), image.size
                image.verify()
    except Exception as error:  # each of Pillow's readers has its own
        raise Fault(
            f"{len(data)} bytes that are no image: {shown(str(error) or type(error).__name__)}"
        ) from None
    return kind, size


async def _address(peer: Peer) -> str:
    made = await peer.may_refuse(DRAW, _request(peer, response_format="url"))
    if not made:
        return _REFUSED
    expect(made[0].data, "no image")
    return await _read(peer, made[0].data[0])


async def _size(peer: Peer) -> str:
    made = await peer.may_refuse(DRAW, _request(peer, size=f"{_SIDE}x{_SIDE}"))
    if not made:
        return _REFUSED
    expect(made[0].data, "no image")
    kind, size = _measured(await _bytes(peer, made[0].data[0]))
    if kind == "SVG":
        raise NotHad("an SVG has no size in pixels")
    expect(size == (_SIDE, _SIDE), f"{size[0]} x {size[1]}")
    return f"{_SIDE} x {_SIDE}"


async def _n(peer: Peer) -> str:
    made = await peer.may_refuse(DRAW, _request(peer, n=2))
    if not made:
        return _REFUSED
    expect(len(made[0].data) == 2, f"{len(made[0].data)} images")
    for image in made[0].data:
        await _read(peer, image)
    return "two images"


async def _no_prompt(peer: Peer) -> str:
    return await peer.must_refuse(DRAW, _request(peer, prompt=""), grpc.StatusCode.INVALID_ARGUMENT)


async def _no_model(peer: Peer) -> str:
    return await peer.must_refuse(DRAW, _request(peer, model=NO_SUCH_MODEL), grpc.StatusCode.NOT_FOUND)


_ROW = "and leave it out of the row's `image_params`"

CASES = (
    Case(
        "images/answer",
        "images",
        asks="GenerateImages with a prompt and `response_format` `b64_json`",
        wants="one image that is one by its bytes, in `b64_json` or at `url`",
        mend="put the file into `b64_json` (standard base64, without `data:`) or its address into `url`",
        check=_answer,
    ),
    Case(
        "images/url",
        "images",
        asks="the same with `response_format` `url`",
        wants="one image that is one by its bytes, at `url` or in `b64_json`; or INVALID_ARGUMENT",
        mend="give an http(s) address that can be fetched, or `b64_json`, which is stored and given by "
        "address",
        check=_address,
    ),
    Case(
        "images/size",
        "images",
        asks=f"an image of {_SIDE}x{_SIDE}",
        wants="an image of this size, or INVALID_ARGUMENT",
        mend=f"draw in the size of `size`; or end the call with INVALID_ARGUMENT, {_ROW}",
        check=_size,
    ),
    Case(
        "images/n",
        "images",
        asks="two images",
        wants="two images, or INVALID_ARGUMENT",
        mend=f"draw `n` images; or end the call with INVALID_ARGUMENT, {_ROW}",
        check=_n,
    ),
    Case(
        "images/no-prompt",
        "images",
        asks="GenerateImages without a prompt",
        wants="INVALID_ARGUMENT",
        mend="end the call with INVALID_ARGUMENT where `prompt` is empty",
        check=_no_prompt,
    ),
    Case(
        "images/unknown-model",
        "images",
        asks=f"GenerateImages with the model {NO_SUCH_MODEL}",
        wants="NOT_FOUND, upon which the next provider is asked",
        mend="compare `model`, where it is set, with the names that you know, and end the call with "
        "NOT_FOUND",
        check=_no_model,
    ),
)
