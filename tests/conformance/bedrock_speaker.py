"""Bedrock's Converse and ConverseStream, as AWS's own SDK reads them.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and
API_runtime_ConverseStream.html; frames as https://smithy.io/2.0/aws/amazon-eventstream.html has them: AWS's
library for Python reads them, and writes none.
"""

import base64
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.openai_speaker import parts
from tests.conformance.said import Called, Said, Spoken

JSON, FRAMES = "application/json", "application/vnd.amazon.eventstream"
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk="
RETRY_AFTER = "7"  # seconds
_STRING = 7  # the type of a header's value
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "guardrail_intervened",
}
_FAULTS = {
    "ValidationException": 400,
    "ServiceQuotaExceededException": 400,
    "UnrecognizedClientException": 403,
    "ExpiredTokenException": 403,
    "InvalidSignatureException": 403,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}
_METRICS = {"latencyMs": 275}
Json = dict[str, Any]


@dataclass(frozen=True)
class BedrockSpeaker:
    """Speaks Bedrock's dialect."""

    name: str = "bedrock"
    row: Mapping[str, Any] = field(
        default_factory=lambda: {"driver": "bedrock", "options": {"region": "us-east-1"}}
    )
    faults: Mapping[str, int] = field(default_factory=lambda: _FAULTS)

    def streams(self, path: str, body: Any) -> bool:  # noqa: ARG002 - the protocol's
        """Where the address says so."""
        return path.endswith("/converse-stream")

    def whole(self, said: Said) -> Spoken:
        """An answer to Converse."""
        return answer([*_blocks(said)], _STOP_REASONS[said.finish], _usage(said))

    def stream(self, said: Said) -> Spoken:
        """The events of ConverseStream: each block in pieces."""
        pieces = [piece for index, block in enumerate(_blocks(said)) for piece in _pieces(index, block)]
        return events(pieces, _STOP_REASONS[said.finish], _usage(said))

    def fault(self, word: str) -> Spoken:
        """An exception, as the first answer."""
        status = self.faults[word]
        headers = {"x-amzn-errortype": f"{word}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
        headers |= {"retry-after": RETRY_AFTER} if status == 429 else {}
        return Spoken(
            JSON, [json.dumps({"message": f"It is like this: {word}."}).encode()], status, headers
        )

    def breaks(self, said: Said, word: str) -> Spoken:
        """An exception in place of the next event; there they begin with a small letter."""
        begun = [event("messageStart", role="assistant")]
        begun += [_delta(0, {"text": piece}) for piece in parts(said.text)[:2]]
        name = word[:1].lower() + word[1:]
        body = json.dumps({"message": f"It is like this: {word}."}).encode()
        told = {":message-type": "exception", ":exception-type": name, ":content-type": JSON}
        return Spoken(FRAMES, [*begun, frame(told, body)])


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """A frame: its length and that of its headers, their checksum, all of it, and the checksum of all."""
    written = b"".join(
        _text("!B", name) + bytes([_STRING]) + _text("!H", value) for name, value in headers.items()
    )
    lengths = struct.pack("!II", 16 + len(written) + len(payload), len(written))
    body = lengths + struct.pack("!I", zlib.crc32(lengths)) + written + payload
    return body + struct.pack("!I", zlib.crc32(body))


def _text(length: str, text: str) -> bytes:
    """A text behind its length."""
    return struct.pack(length, len(text.encode())) + text.encode()


def event(name: str, **members: Any) -> bytes:
    """An event of a stream, padded as Bedrock pads them."""
    headers = {":event-type": name, ":content-type": JSON, ":message-type": "event"}
    return frame(headers, json.dumps({**members, "p": "abcdefgh"}).encode())


def answer(content: list[Json], stop_reason: str, usage: Json, **more: Any) -> Spoken:
    """A whole answer of these blocks."""
    body = {
        "metrics": _METRICS,
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason,
        "usage": usage,
        **more,
    }
    return Spoken(JSON, [json.dumps(body).encode()])


def events(pieces: list[bytes], stop_reason: str, usage: Json, **more: Any) -> Spoken:
    """A stream of these pieces of blocks."""
    last = event("metadata", usage=usage, metrics=_METRICS, **more)
    begun = event("messageStart", role="assistant")
    return Spoken(FRAMES, [begun, *pieces, event("messageStop", stopReason=stop_reason), last])


def _usage(said: Said) -> Json:
    taken = said.prompt_tokens - said.cached_tokens  # what is cached is counted apart
    usage = {
        "inputTokens": taken,
        "outputTokens": said.completion_tokens,
        "totalTokens": said.prompt_tokens + said.completion_tokens,
    }
    if said.cached_tokens:
        usage |= {"cacheReadInputTokens": said.cached_tokens, "cacheWriteInputTokens": 0}
    return usage


def _blocks(said: Said) -> Iterator[Json]:
    if said.reasoning:
        thought = {"text": said.reasoning, "signature": SIGNATURE}
        yield {"reasoningContent": {"reasoningText": thought}}
    if said.text:
        yield {"text": said.text}
    yield from map(_call, said.calls)
    for data in said.pictures:
        source = {"bytes": base64.b64encode(data).decode()}
        yield {"image": {"format": "png", "source": source}}


def _call(call: Called) -> Json:
    return {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.arguments}}


def _pieces(index: int, block: Json) -> Iterator[bytes]:
    if "reasoningContent" in block:
        thought = block["reasoningContent"]["reasoningText"]
        for piece in parts(thought["text"]):
            yield _delta(index, {"reasoningContent": {"text": piece}})
        yield _delta(index, {"reasoningContent": {"signature": thought["signature"]}})
    elif "toolUse" in block:
        use = block["toolUse"]
        start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
        yield event("contentBlockStart", start=start, contentBlockIndex=index)
        for piece in parts(json.dumps(use["input"])) if use["input"] else [""]:
            yield _delta(index, {"toolUse": {"input": piece}})
    elif "image" in block:
        start = {"image": {"format": block["image"]["format"]}}
        yield event("contentBlockStart", start=start, contentBlockIndex=index)
        data = base64.b64decode(block["image"]["source"]["bytes"])
        for at in range(0, len(data), 40):
            source = {"bytes": base64.b64encode(data[at : at + 40]).decode()}
            yield _delta(index, {"image": {"source": source}})
    else:
        for piece in parts(block["text"]):
            yield _delta(index, {"text": piece})
    yield event("contentBlockStop", contentBlockIndex=index)


def _delta(index: int, delta: Json) -> bytes:
    return event("contentBlockDelta", delta=delta, contentBlockIndex=index)
