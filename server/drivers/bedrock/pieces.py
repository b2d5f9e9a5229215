"""Blocks of an answer as they come: what each piece is in a delta, and what is known at the end.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlockDelta.html
"""

import base64
import binascii
from typing import Any

import msgspec

from server import forms
from server.drivers import answers
from server.drivers.bedrock import blocks, reading
from server.drivers.bedrock.messages import BLOCKS, CITATIONS, IMAGES, REASONING
from server.drivers.openai.calls import new_id
from server.errors import AttemptFailed

Members = dict[str, Any]


def begun(start: Members, calls: int) -> "Open":
    """The block that begins so, after so many calls of tools."""
    use = start.get("toolUse")
    if isinstance(use, dict) and not use.get("type"):
        return Open(start, calls)
    return Open(start)


class Open:
    """A block that has begun. `call` is its place among the calls of tools, where it is one."""

    def __init__(self, start: Members, call: int | None = None) -> None:
        self.call = call
        self._start = start
        self._thought: dict[str, list[str]] = {}  # reasoning and its signature, to be given back
        self._hidden: list[bytes] = []  # reasoning that only the model can read
        self._image: list[bytes] = []
        self._input: list[str] = []  # what a tool of Bedrock's own is asked
        self._result: list[Any] = []  # what it says
        self._has_arguments = False

    def start(self) -> Members:
        """What the beginning is in a delta."""
        if self.call is None:
            return {}
        use = reading.members(self._start["toolUse"])
        function = {"name": reading.text(use.get("name")), "arguments": ""}
        call_id = reading.text(use.get("toolUseId")) or new_id()
        return {
            "tool_calls": [{"index": self.call, "id": call_id, "type": "function", "function": function}]
        }

    def add(self, delta: Members) -> Members:
        """What the next piece is in a delta."""
        if "toolUse" in delta:
            return self._add_input(reading.text(reading.members(delta["toolUse"]).get("input")))
        if "reasoningContent" in delta:
            return self._add_thought(reading.members(delta["reasoningContent"]))
        if "citation" in delta:
            return {"extra": {CITATIONS: [delta["citation"]]}}
        if "image" in delta:
            source = reading.members(reading.members(delta["image"]).get("source"))
            self._image.append(_bytes(source.get("bytes")))
            return {}
        if "toolResult" in delta:
            self._result += reading.items(delta["toolResult"])
            return {}
        return {"extra": {BLOCKS: [delta]}}

    def stop(self) -> Members:
        """What the end is in a delta: what is whole only now."""
        if self.call is not None:
            return {} if self._has_arguments else self._arguments("{}")
        if self._thought or self._hidden:
            return {"extra": {REASONING: self._thoughts()}}
        if self._image:
            kind = reading.members(self._start.get("image") or {}).get("format", "png")
            source = {"bytes": base64.b64encode(b"".join(self._image)).decode()}
            return {"extra": {IMAGES: [blocks.image({"format": kind, "source": source})]}}
        return {"extra": {BLOCKS: [self._own()]}} if self._start else {}

    def _add_input(self, text: str) -> Members:
        if self.call is None:
            self._input.append(text)
            return {}
        self._has_arguments = self._has_arguments or bool(text)
        return self._arguments(text) if text else {}

    def _arguments(self, text: str) -> Members:
        return {"tool_calls": [{"index": self.call, "function": {"arguments": text}}]}

    def _add_thought(self, thought: Members) -> Members:
        if "redactedContent" in thought:
            self._hidden.append(_bytes(thought["redactedContent"]))
            return {}
        for name in ("text", "signature"):
            if name in thought:
                self._thought.setdefault(name, []).append(reading.text(thought[name]))
        return {"reasoning": thought["text"]} if thought.get("text") else {}

    def _thoughts(self) -> list[Members]:
        """Reasoning as an answer that comes whole has it."""
        made: list[Members] = []
        if self._thought:
            said = {"text": "", **{name: "".join(pieces) for name, pieces in self._thought.items()}}
            made.append({"reasoningText": said})
        if self._hidden:
            made.append({"redactedContent": base64.b64encode(b"".join(self._hidden)).decode()})
        return made

    def _own(self) -> Members:
        """What a tool of Bedrock's own was asked or said, as an answer that comes whole has it."""
        if isinstance(use := self._start.get("toolUse"), dict):
            return {"toolUse": use | {"input": _json("".join(self._input))}}
        if isinstance(result := self._start.get("toolResult"), dict):
            return {"toolResult": result | {"content": self._result}}
        return self._start


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except forms.JSON_FAULTS:
        return text or {}


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(reading.text(text), validate=True)
    except (binascii.Error, ValueError):
        raise AttemptFailed(answers.BROKEN, "sent bytes that are not base64") from None
