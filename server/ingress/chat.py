"""What chat's messages can hold: rules of chat that every dialect's messages are brought to, and back."""

from collections.abc import Sequence

from interference.v1.completion_pb2 import AnswerMessage
from interference.v1.message_pb2 import ChatMessage, ContentPart
from interference.v1.options_pb2 import ApproximateLocation
from interference.v1.tool_pb2 import ToolCall
from server.ingress.wire import Members

Parts = list[ContentPart]

_ELSEWHERE = "What the tool returned is in the next user message."


def one_text(parts: Parts, between: str) -> Parts:
    """Texts as one: many providers take nothing but a string from anyone but the user."""
    if len(parts) < 2 or not all(_is_plain(part) for part in parts):
        return parts
    return [ContentPart(text=between.join(part.text for part in parts))]


def tool_message(call_id: str, parts: Parts, *, failed: bool = False) -> tuple[ChatMessage, Parts]:
    """The `tool` message that answers a call, and what it cannot hold: chat takes images and files from
    users alone, so that these parts are for a `user` message after it."""
    texts = one_text([part for part in parts if part.HasField("text")], "\n")
    seen = [part for part in parts if not part.HasField("text")]
    if seen:
        seen.insert(0, ContentPart(text=f"The tool call {call_id} returned:"))
    told = texts or [ContentPart(text=_ELSEWHERE if seen else "")]
    if failed and not told[0].text.lower().startswith("error"):  # chat has no other way to say it
        told[0].text = f"Error: {told[0].text}"
    return ChatMessage(role="tool", tool_call_id=call_id, content=told), seen


def calls(message: AnswerMessage) -> Sequence[ToolCall]:
    """The calls of an answer or a delta; the deprecated one is as good as another."""
    if not message.HasField("function_call"):
        return message.tool_calls
    return [*message.tool_calls, ToolCall(index=-1, function=message.function_call)]


def place(where: Members) -> ApproximateLocation:
    """Roughly where a user is, for a web search: what has not been taken of `where` yet."""
    found = ApproximateLocation(
        city=where.text("city"),
        country=where.text("country"),
        region=where.text("region"),
        timezone=where.text("timezone"),
    )
    where.leave(found)
    return found


def _is_plain(part: ContentPart) -> bool:
    """Whether a part is a text and nothing beside."""
    return [field.name for field, _ in part.ListFields()] == ["text"]
