"""Parts of a message as blocks of Converse's: text, images, sound, video and documents, and cache points.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from interference.v1.message_pb2 import CacheBreakpoint, ContentPart, ImageUrl, InputFile
from server.drivers.bedrock import additions
from server.errors import AttemptFailed

Block = dict[str, Any]

_IMAGES: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_FILES: Final[Mapping[str, tuple[str, str]]] = {
    **{kind: ("image", name) for kind, name in _IMAGES.items()},
    "application/pdf": ("document", "pdf"),
    "text/csv": ("document", "csv"),
    "application/msword": ("document", "doc"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("document", "docx"),
    "application/vnd.ms-excel": ("document", "xls"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ("document", "xlsx"),
    "text/html": ("document", "html"),
    "text/plain": ("document", "txt"),
    "text/markdown": ("document", "md"),
    "video/x-matroska": ("video", "mkv"),
    "video/quicktime": ("video", "mov"),
    "video/mp4": ("video", "mp4"),
    "video/webm": ("video", "webm"),
    "video/x-flv": ("video", "flv"),
    "video/mpeg": ("video", "mpeg"),
    "video/x-ms-wmv": ("video", "wmv"),
    "video/3gpp": ("video", "three_gp"),
    "audio/mpeg": ("audio", "mp3"),
    "audio/wav": ("audio", "wav"),
    "audio/x-wav": ("audio", "wav"),
    "audio/ogg": ("audio", "ogg"),
    "audio/flac": ("audio", "flac"),
    "audio/aac": ("audio", "aac"),
    "audio/mp4": ("audio", "mp4"),
}
# The end of a file's name: the same, where nothing else tells.
_ENDINGS: Final[Mapping[str, tuple[str, str]]] = {
    **{name: (noun, name) for noun, name in _FILES.values()},
    "jpg": ("image", "jpeg"),
    "mp4": ("video", "mp4"),
    "m4a": ("audio", "m4a"),
    "htm": ("document", "html"),
    "3gp": ("video", "three_gp"),
}
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9\s()\[\]-]|\s+")
_MOST_NAME: Final = 180  # characters of 200, for a number to follow


class Names:
    """Names of documents, no two of a request the same, of the letters that Bedrock takes."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def one(self, wanted: str) -> str:
        """A name like the one that is wanted."""
        stem = wanted.rpartition(".")[0] or wanted
        name = " ".join(_NOT_IN_A_NAME.sub(" ", stem).split())[:_MOST_NAME].strip() or "document"
        again = self._taken[name] = self._taken.get(name, 0) + 1
        return name if again == 1 else f"{name} ({again})"


def blocks(parts: Iterable[ContentPart], names: Names) -> Iterator[Block]:
    """The parts, each with what ends the cached prompt behind it. Empty texts are left out: none may be
    sent.

    Raises `AttemptFailed` for what cannot be said in blocks.
    """
    for part in parts:
        block = _block(part, names) | additions.of(part)
        if block and block != {"text": ""}:
            yield block
        if part.HasField("prompt_cache_breakpoint"):
            yield cache_point(part.prompt_cache_breakpoint)


def cache_point(given: CacheBreakpoint) -> Block:
    """https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html"""
    point: Block = {"type": "default"}
    if given.HasField("ttl"):
        point["ttl"] = given.ttl
    return {"cachePoint": point | additions.of(given)}


def _block(part: ContentPart, names: Names) -> Block:
    if part.HasField("text"):
        return {"text": part.text}
    if part.HasField("refusal"):
        return {"text": part.refusal}
    if part.HasField("image_url"):
        return _image(part.image_url)
    if part.HasField("file"):
        return _file(part.file, names)
    if part.HasField("input_audio"):
        sound = part.input_audio
        return {"audio": {"format": sound.format, "source": {"bytes": sound.data}} | additions.of(sound)}
    return {}


def _image(image: ImageUrl) -> Block:
    if image.url.startswith("s3://"):
        noun, name = _of_ending(image.url)
    else:
        noun, name = _FILES.get(_media_type(image.url), ("", ""))
    if noun != "image":
        raise _lacking("images that are PNG, JPEG, GIF or WebP, as data: URLs or in S3")
    return {"image": {"format": name, "source": _source(image.url)} | additions.of(image)}


def _file(file: InputFile, names: Names) -> Block:
    where = file.file_data or file.file_id
    noun, name = _FILES.get(_media_type(where), ("", ""))
    if not noun:
        noun, name = _of_ending(file.filename or where)
    if not noun:
        raise _lacking("files of a kind that it knows, as data: URLs or in S3")
    block: Block = {"format": name, "source": _source(where)}
    if noun == "document":
        block["name"] = names.one(file.filename or ("" if file.file_data else where.rpartition("/")[2]))
    return {noun: block | additions.of(file)}


def _source(url: str) -> Block:
    """Where the bytes are. An address elsewhere is not fetched: who asks would not know from where."""
    if url.startswith("s3://"):
        return {"s3Location": {"uri": url}}
    head, comma, data = url.partition(",")
    if not head.startswith("data:") or not comma:
        raise _lacking("images and files as data: URLs or in S3, not by address")
    if head.endswith(";base64"):
        data = unquote_to_bytes(data).decode("latin-1") if "%" in data else data
    else:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return {"bytes": _checked(data)}


def _checked(data: str) -> str:
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise _lacking("images and files whose data: URL is base64") from None
    return data


def _media_type(url: str) -> str:
    head = url.partition(",")[0] if url.startswith("data:") else ""
    return head.removeprefix("data:").partition(";")[0].strip().lower()


def _of_ending(name: str) -> tuple[str, str]:
    return _ENDINGS.get(name.rpartition(".")[2].lower(), ("", ""))


def _lacking(taken: str) -> AttemptFailed:
    return AttemptFailed("parameter_unsupported", f"takes only {taken}", param="messages")
