"""The conversation as Converse takes it: prompts of the system apart, and users and the assistant by turns.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from interference.v1.message_pb2 import ChatMessage
from interference.v1.tool_pb2 import ToolCall
from server import forms
from server.drivers.bedrock import additions, content
from server.drivers.bedrock.content import Block, Names
from server.errors import AttemptFailed

# What an answer of this driver has in `extra`: blocks, which are given back, and what only tells of them.
REASONING: Final = "reasoning_blocks"
BLOCKS: Final = "content_blocks"
IMAGES: Final = "images"
CITATIONS: Final = "citations"
_OURS: Final = (REASONING, BLOCKS, IMAGES, CITATIONS)
_THOUGHTS: Final = frozenset({"reasoningText", "redactedContent"})
_BLOCKS: Final = frozenset({"toolUse", "toolResult", "searchResult", "guardContent", "citationsContent"})
_CALL_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NO_ARGUMENTS: Final = msgspec.Raw(b"{}")


def conversation(messages: Iterable[ChatMessage]) -> tuple[list[Block], list[dict[str, Any]]]:
    """The system's blocks, and the turns. Neighbours of the same role are one turn, as tools' results are.

    Speakers' names are left out: there is no place for them. Raises `AttemptFailed` for what has none
    either, but changes what is said.
    """
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    names = Names()
    for message in messages:
        more = additions.of(message, *(_OURS if message.role == "assistant" else ()))
        if message.role in ("system", "developer"):
            system += content.blocks(message.content, names)
            system += [{name: value} for name, value in more.items()]
            continue
        said: list[Block]
        if message.role == "tool":
            said, role, more = _result(message, more, names), "user", {}
        elif message.role == "assistant":
            said, role = _said(message, more, names), "assistant"
            more = {name: value for name, value in more.items() if name not in _OURS}
        elif message.role == "function":
            raise _lacking("results of tools, not of functions")
        else:
            said, role = [*content.blocks(message.content, names)], message.role
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += said
            turns[-1] |= more
        else:
            turns.append({"role": role, "content": said} | more)
    return system, turns


def calls_tools(turns: Iterable[dict[str, Any]]) -> bool:
    """Whether tools were called in the conversation, or answered."""
    return any("toolUse" in block or "toolResult" in block for turn in turns for block in turn["content"])


def _result(message: ChatMessage, more: dict[str, Any], names: Names) -> list[Block]:
    said = [*content.blocks(message.content, names)]
    points = [block for block in said if "cachePoint" in block]  # which stand beside a result, not in it
    told = [block for block in said if "cachePoint" not in block]
    result = {"toolUseId": _call_id(message.tool_call_id), "content": told} | more
    return [{"toolResult": result}, *points]


def _said(message: ChatMessage, more: dict[str, Any], names: Names) -> list[Block]:
    if message.HasField("audio") or message.HasField("function_call"):
        raise _lacking("answers without sound or a function_call in the conversation")
    said: list[Block] = [{"reasoningContent": block} for block in _given(more, REASONING, _THOUGHTS)]
    said += content.blocks(message.content, names)
    if message.refusal:
        said.append({"text": message.refusal})
    said += _given(more, BLOCKS, _BLOCKS)
    said += map(_call, message.tool_calls)
    return said


def _given(more: dict[str, Any], name: str, known: frozenset[str]) -> Iterator[Block]:
    """The blocks of an answer of ours, given back as they came; others call other things by this name."""
    blocks = more.get(name)
    if isinstance(blocks, msgspec.Raw):
        blocks = msgspec.json.decode(blocks)
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, dict) and known & block.keys():
            yield block


def _call(call: ToolCall) -> Block:
    if call.HasField("custom"):
        raise _lacking("calls of functions in the conversation")
    function = call.function
    use = {"toolUseId": _call_id(call.id), "name": function.name, "input": _arguments(function.arguments)}
    return {"toolUse": use | additions.of(function) | additions.of(call)}


def _arguments(text: str) -> msgspec.Raw:
    """The arguments, byte for byte. A model may have written what is no object, which Bedrock refuses."""
    if not text.strip():
        return _NO_ARGUMENTS
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        msgspec.json.decode(text)
    except forms.JSON_FAULTS:
        raise _lacking("calls whose arguments are a JSON object in the conversation") from None
    return msgspec.Raw(text.encode())


def _call_id(given: str) -> str:
    """The id where it fits, or else one that is always the same for it: others give other ids."""
    if _CALL_ID.fullmatch(given):
        return given
    return f"tooluse_{hashlib.sha256(given.encode()).hexdigest()[:32]}"


def _lacking(taken: str) -> AttemptFailed:
    return AttemptFailed("parameter_unsupported", f"takes only {taken}", param="messages")
