"""The conversation as Anthropic takes it: instructions apart, and users and the assistant in turn.

https://platform.claude.com/docs/en/build-with-claude/working-with-messages
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import msgspec

from interference.v1.message_pb2 import ChatMessage
from server.drivers.anthropic import blocks, tools, wire
from server.drivers.anthropic.blocks import Block
from server.drivers.anthropic.wire import untold, without

SYSTEM: Final = ("system", "developer")
THOUGHTS: Final = (
    "thinking_blocks"  # where an answer's extra has the blocks that must come back as they were
)
CONTENT: Final = "content_blocks"  # and those of an answer that chat has no like for: all of them, in order
_KNOWN: Final = (
    *("role", "content", "name", "refusal", "tool_calls", "tool_call_id", "function_call", "audio"),
    *("reasoning", "reasoning_content", "cache_control", THOUGHTS, CONTENT),
)


@dataclass
class _Turn:
    """What one side says before the other answers. `added` are members that only the vendor knows."""

    role: str
    content: list[Block] = field(default_factory=list)
    added: Block = field(default_factory=dict)


def of_messages(messages: Sequence[ChatMessage], *, in_place: bool) -> tuple[list[Block], list[Block]]:
    """The blocks of `system`, and the messages.

    Instructions that come later in the conversation stay where they are, `in_place`, for models that heed
    them there. For others they join the rest at its beginning, as they do where Anthropic itself reads
    OpenAI's dialect: https://platform.claude.com/docs/en/api/openai-sdk
    """
    instructions: list[Block] = []
    turns: list[_Turn] = []
    called: dict[str, str] = {}  # deprecated calls: an id for each function's latest
    for index, message in enumerate(messages):
        turn = _turn(message, index, called)
        if turn.role == "system" and not (in_place and turns):
            instructions += turn.content
        elif turn.content:  # nobody may say nothing
            turns.append(turn)
    stretches = (list(turns) for _, turns in groupby(turns, key=lambda turn: turn.role == "assistant"))
    told = [message for stretch in stretches for message in _stretch(stretch, instructions)]
    return instructions, told


def _stretch(turns: list[_Turn], instructions: list[Block]) -> list[Block]:
    """What is said before the other side answers: one turn, and after a user's the instructions among it.

    Instructions must follow a user's turn, and only one message of them; without it they go to the rest.
    https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages
    """
    spoken = [turn for turn in turns if turn.role != "system"]
    system = [turn for turn in turns if turn.role == "system"]
    if not spoken:
        instructions += [block for turn in system for block in turn.content]
        return []
    return [_joined(spoken), *([_joined(system)] if system else [])]


def _joined(turns: list[_Turn]) -> Block:
    """One message of several of one role. The results of tools must stand before all else in it."""
    content = [block for turn in turns for block in turn.content]
    results, rest = blocks.split(content, "tool_result")
    made: Block = {"role": turns[0].role, "content": results + rest}
    for turn in turns:
        made |= turn.added
    return made


def _turn(message: ChatMessage, index: int, called: dict[str, str]) -> _Turn:
    lowered = wire.lowered(message, THOUGHTS, CONTENT)
    if message.HasField("audio"):
        raise untold("messages", "takes no audio of earlier answers")
    if message.role in ("tool", "function"):
        return _Turn("user", [_result(message, lowered, called)])
    added = without(lowered, *_KNOWN)
    if message.role == "assistant":
        content = _assistant(message, lowered, f"call_{index}", called)
    else:
        content = blocks.of_parts(message.content)
    if message.refusal:
        content.append(blocks.text(message.refusal))
    blocks.mark(content, lowered.get("cache_control"))
    return _Turn("system" if message.role in SYSTEM else message.role, content, added)


def _result(message: ChatMessage, lowered: Block, called: dict[str, str]) -> Block:
    call_id = message.tool_call_id if message.role == "tool" else called.get(message.name, message.name)
    made = tools.result(call_id, blocks.of_parts(message.content))
    # `cache_control` and `is_error` are members of the block that a message becomes.
    return made | without(lowered, *(name for name in _KNOWN if name != "cache_control"))


def _assistant(message: ChatMessage, lowered: Block, call_id: str, called: dict[str, str]) -> list[Block]:
    """An answer as it was given: its thoughts, which are signed and must not change, its text and calls."""
    uses = [tools.use(call) for call in message.tool_calls]
    if message.HasField("function_call"):
        called[message.function_call.name] = call_id
        uses.append(tools.deprecated_use(message.function_call, call_id))
    said = blocks.of_parts(message.content)
    given = _blocks(lowered.get(CONTENT))
    if given and _says_the_same(given, said, uses):
        by_id = {use["id"]: use for use in uses}  # whose arguments are as they were, to the byte
        given = [by_id.get(str(block.get("id")), block) for block in given]
        blocks.mark(
            given, next((block["cache_control"] for block in said if "cache_control" in block), None)
        )
        return given
    return [*_blocks(lowered.get(THOUGHTS)), *said, *uses]


def _blocks(given: Any) -> list[Block]:
    """Blocks that a caller gives back, from `extra` or as JSON text."""
    decoded = msgspec.json.decode(given) if isinstance(given, msgspec.Raw) else given
    listed = decoded if isinstance(decoded, list) else []
    return [
        dict(block) for block in listed if isinstance(block, dict) and isinstance(block.get("type"), str)
    ]


def _says_the_same(given: list[Block], said: list[Block], uses: list[Block]) -> bool:
    """Whether blocks still are what their message says: a caller may have changed it since."""
    texts = "".join(str(block.get("text", "")) for block in given if block["type"] == "text")
    ids = [block.get("id") for block in given if block["type"] == "tool_use"]
    same_text = texts == "".join(str(block.get("text", "")) for block in said)
    return same_text and ids == [use["id"] for use in uses]
