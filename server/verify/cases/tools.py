"""Cases of tools: called, or not, but never half."""

from collections.abc import Iterable

import msgspec

from interference.v1.completion_pb2 import ChunkChoice
from interference.v1.message_pb2 import ChatMessage
from interference.v1.tool_pb2 import FunctionCall, FunctionDefinition, Tool, ToolCall
from server.verify.case import Case, expect, shown
from server.verify.cases.asking import chat, pieces, replied_or_refused, said
from server.verify.peer import Peer
from server.verify.services import CHAT, CHAT_STREAM

_QUESTION = "What is the weather in Paris? Use the tool."
_NAME = "get_weather"
_SCHEMA = '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}'
_TOOL = Tool(type="function", function=FunctionDefinition(name=_NAME, parameters=_SCHEMA))
_REFUSED = "refused with INVALID_ARGUMENT"


async def _call(peer: Peer) -> str:
    completions = await peer.may_refuse(CHAT, chat(peer, said(_QUESTION), tools=[_TOOL]))
    if not completions:
        return _REFUSED
    expect(completions[0].choices, "an answer without choices")
    choice = completions[0].choices[0]
    return _called(choice.message.tool_calls, choice.message.content, choice.finish_reason)


async def _call_streamed(peer: Peer) -> str:
    chunks = await peer.may_refuse(CHAT_STREAM, chat(peer, said(_QUESTION), tools=[_TOOL]))
    if not chunks:
        return _REFUSED
    choices = pieces(chunks).get(0, [])
    expect(choices, "a stream without choices")
    text = "".join(choice.delta.content for choice in choices)
    return _called(_put_together(choices), text, choices[-1].finish_reason)


def _put_together(choices: Iterable[ChunkChoice]) -> list[ToolCall]:
    """The calls that the pieces of a stream are of."""
    calls: dict[int, ToolCall] = {}
    for choice in choices:
        for piece in choice.delta.tool_calls:
            expect(piece.HasField("index"), "a piece of a call without an index")
            call = calls.setdefault(piece.index, ToolCall())
            call.id += piece.id
            call.function.name += piece.function.name
            call.function.arguments += piece.function.arguments
    return list(calls.values())


def _called(calls: Iterable[ToolCall], text: str, reason: str) -> str:
    """What came, in words. Raises `Fault` for half a call."""
    told = []
    for call in calls:
        expect(call.id, "a call without an id")
        expect(call.function.name == _NAME, f"a call of {shown(call.function.name)}")
        expect(_is_object(call.function.arguments), f"the arguments {shown(call.function.arguments)}")
        told.append(f"{_NAME}({shown(call.function.arguments, 60)})")
    if told:
        expect(reason == "tool_calls", f"a call with the finish reason {shown(reason)}")
        return ", ".join(told)
    expect(reason != "tool_calls", "the finish reason tool_calls without a call")
    expect(text, "neither a call nor a text")
    return f"no call, but text {shown(text, 60)}"


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError):
        return False


async def _result(peer: Peer) -> str:
    called = ToolCall(
        id="call_1", type="function", function=FunctionCall(name=_NAME, arguments='{"city": "Paris"}')
    )
    result = said('{"celsius": 21}', role="tool")
    result.tool_call_id = "call_1"
    turns = (said(_QUESTION), ChatMessage(role="assistant", tool_calls=[called]), result)
    return replied_or_refused(await peer.may_refuse(CHAT, chat(peer, *turns, tools=[_TOOL])))


CASES = (
    Case(
        "chat/tools",
        "chat",
        asks="a question with the tool get_weather",
        wants="calls of it with an id, arguments that are a JSON object and `tool_calls` as finish "
        "reason; or a text; or INVALID_ARGUMENT",
        mend="complete each call; where you have no tools, answer with text or end the call with "
        "INVALID_ARGUMENT, and leave `tools` out of the row's `params`",
        check=_call,
    ),
    Case(
        "stream/tools",
        "chat",
        asks="the same, streamed",
        wants="the same, put together by the `index` of each piece: id and name once, arguments in pieces",
        mend="set the `index` of each piece of a call, the id and the name in its first alone",
        check=_call_streamed,
    ),
    Case(
        "chat/tool-result",
        "chat",
        asks="the call of a tool by the assistant, and its result",
        wants="an answer, or INVALID_ARGUMENT where there are no tools",
        mend="take messages of the role `tool`, and those of the assistant without content",
        check=_result,
    ),
)
