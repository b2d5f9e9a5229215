"""What is asked: a load is some calls, taken in turn by callers that each have a connection of their own.

The prompt says how the upstream is to answer, so that a gateway needs to know nothing of it.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.message_pb2 import ChatMessage, ContentPart, ImageUrl

REQUEST, CHUNKS, PACE_MS = 170, 64, 10
IMAGE = 8 * 2**20
UNARY, BURST, PACED, BODY, LATENCY, MIXED = "unary", "burst", "paced", "image", "latency", "mixed"
KINDS = (UNARY, BURST, PACED, BODY, LATENCY, MIXED)
_DATA_URL = "data:image/png;base64,"


@dataclass(frozen=True)
class Ask:
    """A call. Its JSON has `size` bytes. A stream has so many chunks with so many milliseconds between;
    0 sends them as one burst.
    """

    stream: bool = False
    chunks: int = CHUNKS
    pace_ms: int = 0
    size: int = REQUEST
    image: bool = False  # most of the size is an image


@dataclass(frozen=True)
class Load:
    """So many calls over so many connections. The callers begin within `spread` seconds, in turn."""

    name: str
    asks: tuple[Ask, ...]
    count: int
    connections: int = 16
    spread: float = 0.0

    def times(self, factor: float) -> "Load":
        """The load with more calls, or fewer: one for each connection at least."""
        return replace(self, count=max(self.connections, round(self.count * factor)))


def standard(
    requests: int, connections: int = 16, streams: int = 50, chunks: int = CHUNKS, image: int = IMAGE
) -> dict[str, Load]:
    """The loads of a run, where a turn has so many unary calls, and as much of the others as takes about
    as long.
    """
    burst, paced = Ask(stream=True, chunks=chunks), Ask(stream=True, chunks=chunks, pace_ms=PACE_MS)
    mix = (Ask(), burst, Ask(size=16_384), Ask(stream=True, chunks=8), Ask())
    loads = (
        Load(UNARY, (Ask(),), requests, connections),
        Load(BURST, (burst,), max(requests // 4, connections), connections),
        Load(PACED, (paced,), 2 * streams, streams, spread=chunks * PACE_MS / 1000),
        Load(BODY, (Ask(size=image, image=True),), max(requests // 200, 1), 1),
        Load(LATENCY, (Ask(),), max(requests // 5, 1), 1),
        Load(MIXED, mix, max(requests // 2, connections), connections),
    )
    return {load.name: load for load in loads}


def chat_json(ask: Ask, model: str) -> bytes:
    """The body of the call in OpenAI's JSON, of as many bytes as it is to have, or the fewest it can."""
    empty = len(_json(ask, model, "", ""))
    text, image = _fill(ask, ask.size - empty)
    return _json(ask, model, text, image)


def chat_message(ask: Ask, model: str) -> CreateCompletionRequest:
    """The same call as a message."""
    text, image = _fill(ask, ask.size - len(_json(ask, model, "", "")))
    content = [ContentPart(text=text)]
    if ask.image:
        content.append(ContentPart(image_url=ImageUrl(url=_DATA_URL + image)))
    return CreateCompletionRequest(model=model, messages=[ChatMessage(role="user", content=content)])


def http_request(body: bytes, host: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The bytes of a POST of JSON over HTTP/1.1."""
    own = {"host": host, "content-type": "application/json", "content-length": str(len(body))}
    lines = [f"{name}: {value}" for name, value in (own | dict(headers)).items()]
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode() + body


def _fill(ask: Ask, room: int) -> tuple[str, str]:
    """The prompt and the image, in base64, that fill `room` bytes."""
    prompt = f"chunks={ask.chunks} pace={ask.pace_ms}. Paint the sea at dusk. "
    if not ask.image:
        return prompt.ljust(room, "~"), ""
    noise = Random(ask.size).randbytes(max(room - len(prompt), 0) // 4 * 3)  # noqa: S311
    return prompt, base64.b64encode(noise).decode()


def _json(ask: Ask, model: str, text: str, image: str) -> bytes:
    content: Any = text
    if ask.image:
        content = [{"type": "text", "text": text}]
        content.append({"type": "image_url", "image_url": {"url": _DATA_URL + image}})
    request: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": content}]}
    return json.dumps(request | ({"stream": True} if ask.stream else {}), separators=(",", ":")).encode()
