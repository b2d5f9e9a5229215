"""Blocks of a whole answer as members of a message.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from typing import Any

import msgspec

from server.drivers.bedrock import reading, told
from server.drivers.bedrock.messages import BLOCKS, CITATIONS, IMAGES, REASONING
from server.drivers.openai.calls import new_id

Members = dict[str, Any]


def message(content: Any) -> Members:
    """The message that the blocks are. Raises `AttemptFailed` for what is none."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Members] = []
    extra: dict[str, list[Any]] = {}
    for item in reading.items(content):
        block = reading.members(item)
        if "text" in block:
            texts.append(reading.text(block["text"]))
        elif "toolUse" in block and not reading.members(block["toolUse"]).get("type"):
            calls.append(_call(block["toolUse"]))
        elif "reasoningContent" in block:
            thought = reading.members(block["reasoningContent"])
            extra.setdefault(REASONING, []).append(thought)
            if "reasoningText" in thought:
                thoughts.append(reading.text(reading.members(thought["reasoningText"]).get("text", "")))
        elif "citationsContent" in block:
            cited = reading.members(block["citationsContent"])
            texts += (
                reading.text(reading.members(one).get("text", ""))
                for one in reading.items(cited.get("content") or [])
            )
            extra.setdefault(CITATIONS, []).extend(reading.items(cited.get("citations") or []))
        elif "image" in block:
            extra.setdefault(IMAGES, []).append(image(block["image"]))
        else:  # what a tool of Bedrock's own was asked, and what it said
            extra.setdefault(BLOCKS, []).append(block)
    made: Members = {"role": "assistant", "tool_calls": calls, **told.adding(extra)}
    return made | _joined("content", texts) | _joined("reasoning", thoughts)


def image(given: Any) -> Members:
    """A picture, where others have it:
    https://openrouter.ai/docs/features/multimodal/image-generation.
    """
    block = reading.members(given)
    kind = reading.text(block.get("format", "png"))
    data = reading.text(reading.members(block.get("source")).get("bytes"))
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}


def _joined(name: str, pieces: list[str]) -> Members:
    return {name: "".join(pieces)} if any(pieces) else {}


def _call(use: Members) -> Members:
    arguments = msgspec.json.encode(use.get("input", {})).decode()
    function = {"name": reading.text(use.get("name")), "arguments": arguments}
    call_id = reading.text(use.get("toolUseId")) or new_id()
    return {"id": call_id, "type": "function", "function": function}
