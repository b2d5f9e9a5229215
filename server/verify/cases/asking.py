"""The requests of the cases, and how answers are told in a few words."""

from collections.abc import Iterable, Sequence
from typing import Any

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import AnswerMessage, ChatCompletion, ChatCompletionChunk, ChunkChoice
from interference.v1.message_pb2 import ChatMessage, ContentPart
from interference.v1.usage_pb2 import Usage
from server.verify.case import Fault, expect, shown
from server.verify.peer import Peer
from server.verify.services import CHAT, CHAT_STREAM

HELLO = "Hello! Please tell me, in one short sentence, how you are."
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
NO_SUCH_MODEL = "verify-provider-no-such-model"


def said(text: str, role: str = "user") -> ChatMessage:
    """A message of one text."""
    return ChatMessage(role=role, content=[ContentPart(text=text)])


def chat(peer: Peer, *messages: ChatMessage, **fields: Any) -> CreateCompletionRequest:
    """A request for chat; without messages one that says hello."""
    fields = {"model": peer.models.get("chat", ""), "messages": list(messages) or [said(HELLO)]} | fields
    return CreateCompletionRequest(**fields)


async def whole(peer: Peer) -> ChatCompletion:
    """The answer that the cases of whole answers look at."""
    [completion] = await peer.once("chat/answer", CHAT, chat(peer))
    return completion


async def streamed(peer: Peer) -> Sequence[ChatCompletionChunk]:
    """The stream that the cases of streams look at; the usage is asked for."""
    request = chat(peer, stream_options={"include_usage": True})
    return await peer.once("stream/answer", CHAT_STREAM, request)


def pieces(chunks: Iterable[ChatCompletionChunk]) -> dict[int, list[ChunkChoice]]:
    """The pieces of each choice of a stream, by its index."""
    found: dict[int, list[ChunkChoice]] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            found.setdefault(choice.index, []).append(choice)
    return found


def says(message: AnswerMessage) -> str:
    """What a message says, in a few words; empty where it says nothing."""
    told = {
        "text": shown(message.content, 60) if message.content else "",
        "reasoning": shown(message.reasoning, 60) if message.reasoning else "",
        "a refusal": shown(message.refusal, 60) if message.refusal else "",
        "tool calls": str(len(message.tool_calls) + message.HasField("function_call") or ""),
        "sound": "yes" if message.HasField("audio") else "",
    }
    return ", ".join(f"{what} {value}" for what, value in told.items() if value)


def joined(choices: Iterable[ChunkChoice]) -> str:
    """The text of a choice's pieces."""
    return "".join(choice.delta.content for choice in choices)


def replied(completions: Sequence[ChatCompletion]) -> str:
    """What an answer that only has to be one says. Raises `Fault` where it says nothing."""
    [completion] = completions
    expect(completion.choices, "an answer without choices")
    told = says(completion.choices[0].message)
    expect(told, "a message that says nothing")
    return told


def replied_or_refused(completions: Sequence[ChatCompletion]) -> str:
    """The same, where INVALID_ARGUMENT will do, too."""
    return replied(completions) if completions else "refused with INVALID_ARGUMENT"


def counted(usage: Usage) -> str:
    """The counts of a usage, checked. Raises `Fault`."""
    set_fields = {field.name for field, _ in usage.ListFields()}
    if missing := [name for name in _COUNTS if name not in set_fields]:
        raise Fault(f"a usage without {', '.join(missing)}")
    prompt, completion, total = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
    told = f"{prompt} + {completion} = {total}"
    expect(min(prompt, completion, total) >= 0 and prompt + completion == total, told)
    return told
