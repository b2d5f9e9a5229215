"""What is said in a message as Gemini's parts: text, and media in the request or by address.

https://ai.google.dev/api/caching#Part
"""

import base64
import mimetypes
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from interference.v1.message_pb2 import ContentPart, InputFile
from server import forms
from server.drivers.base import Target
from server.drivers.gemini import generations, wire

Json = dict[str, Any]
# How closely to look, a hint: https://ai.google.dev/gemini-api/docs/media-resolution. Generations before
# the third do not take it.
_DETAILS = {
    "low": "MEDIA_RESOLUTION_LOW",
    "high": "MEDIA_RESOLUTION_HIGH",
    "original": "MEDIA_RESOLUTION_ULTRA_HIGH",
}
_AUDIO = {"wav": "audio/wav", "mp3": "audio/mp3"}
_DATA = "data:"


def of(content: Any, target: Target, where: str) -> list[Json]:
    """The parts of a message's content; empty texts say nothing.

    Raises `RequestRefused` for a part that is malformed, with its place in the request.
    """
    made = (_of(part, target, f"{where}.content[{index}]") for index, part in enumerate(content))
    return [part for part in made if part != {"text": ""}]


def texts(content: Any) -> str:
    """The texts of a content."""
    return "".join(part.text or part.refusal for part in content)


def media(url: str, target: Target, where: str, name: str = "") -> Json:
    """A file: in the part where it is a `data:` URL, otherwise by its address, which Gemini fetches itself.

    `name` is that of the file, which may tell its type. Raises `RequestRefused` for a `data:` URL without
    data. https://www.rfc-editor.org/rfc/rfc2397
    """
    if url[: len(_DATA)].lower() != _DATA:
        known = _guess(_path(url)) or _guess(name)
        return {"fileData": {"fileUri": url, **({"mimeType": known} if known else {})}}
    head, comma, data = url[len(_DATA) :].partition(",")
    if not comma:
        raise wire.refused(target, where, "must be an address, or a data: URL with a comma before its data")
    kind, *parameters = head.split(";")
    otherwise = "application/octet-stream"
    if "base64" not in map(str.lower, parameters):
        data, otherwise = base64.b64encode(unquote_to_bytes(data)).decode(), "text/plain"
    return {"inlineData": {"mimeType": kind or _guess(name) or otherwise, "data": data}}


def _path(url: str) -> str:
    """The path of an address; of one that is none nothing."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _of(part: ContentPart, target: Target, where: str) -> Json:
    case = forms.case(part)
    if case == "image_url":
        made = _image(part, target, where)
    elif case == "input_audio":
        sound = part.input_audio
        kind = _AUDIO.get(sound.format, f"audio/{sound.format}")
        made = {"inlineData": {"mimeType": kind, "data": sound.data}}
        wire.merge(made["inlineData"], sound.extra_json)
    elif case == "file":
        made = _file(part.file, target, f"{where}.file")
    elif case in ("text", "refusal", ""):
        made = {"text": part.text or part.refusal}
        if not case and part.extra_json:
            made = {}  # a part of Gemini's own
    else:
        raise wire.refused(target, f"{where}.type", f"has nothing that Gemini takes: {case[:64]}")
    wire.merge(made, part.extra_json)
    return made


def _image(part: ContentPart, target: Target, where: str) -> Json:
    image = part.image_url
    made = media(image.url, target, f"{where}.image_url.url")
    wire.merge(next(iter(made.values())), image.extra_json)
    if image.detail in _DETAILS and generations.takes_media_of_tools(target.model):
        made["mediaResolution"] = {"level": _DETAILS[image.detail]}
    return made


def _file(file: InputFile, target: Target, where: str) -> Json:
    """A file by its bytes, or one that was uploaded (https://ai.google.dev/api/files), by its address."""
    url = file.file_data or file.file_id
    if not url:
        raise wire.refused(target, where, "must have file_data or file_id")
    made = media(url, target, f"{where}.file_data", file.filename)
    wire.merge(next(iter(made.values())), file.extra_json)
    return made


def _guess(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "" if name else ""


def arguments(text: str) -> Any:
    """The arguments of a call as they were written; what is no object goes into one.

    A model may have written anything, and what a tool said to it stands in the conversation.
    """
    if not text:
        return {}
    return msgspec.Raw(text.encode()) if is_object(text) else {"arguments": text}


def is_object(text: str) -> bool:
    """Whether a text is a JSON object."""
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except forms.JSON_FAULTS:
        return False
