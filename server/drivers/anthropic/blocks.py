"""The parts of messages as content blocks: text, images, documents, and where to cache.

https://platform.claude.com/docs/en/api/messages
"""

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from interference.v1.message_pb2 import CacheBreakpoint, ContentPart, ImageUrl, InputFile
from server import forms
from server.drivers.anthropic.wire import untold, without

Block = dict[str, Any]

_THOUGHTS: Final = ("thinking", "redacted_thinking")
_PDF: Final = "application/pdf"
# Files that are text by another name than text/...
_TEXTS: Final = ("application/json", "application/xml", "application/yaml", "application/x-yaml")


def of_parts(parts: Sequence[ContentPart]) -> list[Block]:
    """The blocks of a message. An empty text says nothing, and would be refused."""
    return list(filter(None, map(_block, parts)))


def text(said: str) -> Block:
    """A text."""
    return {"type": "text", "text": said}


def cache_control(ttl: str | None) -> Block:
    """Ends what is cached. Anthropic keeps it for 5 minutes or an hour: the shorter is its default, the
    longer is the nearest to all that the contract can say.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching
    """
    return {"type": "ephemeral"} | ({"ttl": "5m" if ttl == "5m" else "1h"} if ttl else {})


def mark(blocks: list[Block], control: Any) -> None:
    """Ends what is cached with the last block, unless that says it itself. Thoughts cannot say it."""
    able = [block for block in blocks if block.get("type") not in _THOUGHTS]
    if able and control is not None:
        able[-1].setdefault("cache_control", control)


def _block(part: ContentPart) -> Block | None:
    kind = forms.case(part)
    if kind in ("text", "refusal"):
        said = part.refusal if kind == "refusal" else part.text
        made = text(said) if said else None
    elif kind == "image_url":
        made = {"type": "image", "source": _image(part.image_url)}
    elif kind == "file":
        made = _file(part.file)
    else:
        raise untold("messages", f"takes no {kind or 'empty'} parts in messages")
    if made is None:
        return None
    if part.HasField("prompt_cache_breakpoint"):
        made["cache_control"] = _breakpoint(part.prompt_cache_breakpoint)
    known = ("type", "text", "image_url", "input_audio", "file", "refusal", "prompt_cache_breakpoint")
    return made | without(forms.lower(part), *known)


def _breakpoint(given: CacheBreakpoint) -> Block:
    control = cache_control(given.ttl if given.HasField("ttl") else None)
    return control | without(forms.lower(given), "mode", "ttl")


def _image(image: ImageUrl) -> Block:
    given = _data(image.url)
    source: Block
    if given is None:
        source = {"type": "url", "url": image.url}
    else:
        source = {"type": "base64", "media_type": given[0], "data": given[1]}
    # How closely to look is Anthropic's to choose: `detail` is a hint.
    return source | without(forms.lower(image), "url", "detail")


def _file(file: InputFile) -> Block:
    added = without(forms.lower(file), "file_data", "file_id", "filename")
    if file.HasField("file_id"):
        return _document({"type": "file", "file_id": file.file_id} | added, file)
    given = _data(file.file_data)
    if given is None:
        return _document({"type": "url", "url": file.file_data} | added, file)
    kind, content = given
    if kind.startswith("image/"):
        return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": content} | added}
    if kind == _PDF:
        return _document({"type": "base64", "media_type": kind, "data": content} | added, file)
    if kind.startswith("text/") or kind in _TEXTS:
        plain = {"type": "text", "media_type": "text/plain", "data": _decoded(content)}
        return _document(plain | added, file)
    raise untold("messages", f"reads no files of the type {kind[:100]}")


def _document(source: Block, file: InputFile) -> Block:
    titled = {"title": file.filename} if file.filename else {}
    return {"type": "document", "source": source} | titled


def _data(url: str) -> tuple[str, str] | None:
    """The media type and the base64 of a `data:` URL; None for another."""
    if url[:5].lower() != "data:":
        return None
    head, _, content = url[5:].partition(",")
    kind, *marks = (part.strip().lower() for part in head.split(";"))
    if "base64" not in marks:
        content = base64.b64encode(unquote_to_bytes(content)).decode()
    return kind or "text/plain", content


def _decoded(content: str) -> str:
    try:
        return base64.b64decode(content, validate=True).decode()
    except (binascii.Error, ValueError):
        raise untold("messages", "reads no text files in other encodings than UTF-8") from None


def split(blocks: list[Block], kind: str) -> Iterator[list[Block]]:
    """The blocks of a kind, and the others, each in their order."""
    yield [block for block in blocks if block.get("type") == kind]
    yield [block for block in blocks if block.get("type") != kind]
