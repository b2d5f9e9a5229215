"""Cases of a whole answer to a conversation."""

from interference.v1.completion_pb2 import Choice
from server.verify.case import Case, NotHad, expect, shown
from server.verify.cases.asking import chat, counted, says, whole
from server.verify.peer import Peer
from server.verify.services import CHAT

_HELLO = "CreateCompletion with one message that says hello"


async def _answer(peer: Peer) -> str:
    choices = (await whole(peer)).choices
    expect(len(choices) == 1, f"{len(choices)} choices")
    choice = choices[0]
    told = says(choice.message)
    expect(choice.HasField("index"), "a choice without an index")
    expect(choice.index == 0, f"the index {choice.index} for the only choice")
    expect(told, "a message that says nothing")
    return told


async def _choice(peer: Peer) -> Choice:
    choices = (await whole(peer)).choices
    if len(choices) != 1:
        raise NotHad("there is no one choice to look at: see chat/answer")
    return choices[0]


async def _labels(peer: Peer) -> str:
    completion = await whole(peer)
    expect(completion.id, "no id")
    expect(completion.object == "chat.completion", f"the object {shown(completion.object)}")
    expect(completion.created, "no time in created")
    expect(completion.model, "no model")
    return f"{shown(completion.id)} of {shown(completion.model)}"


async def _role(peer: Peer) -> str:
    role = (await _choice(peer)).message.role
    expect(role == "assistant", f"the role {shown(role)}")
    return role


async def _finish(peer: Peer) -> str:
    reason = (await _choice(peer)).finish_reason
    expect(reason, "no finish reason")
    return shown(reason)


async def _usage(peer: Peer) -> str:
    completion = await whole(peer)
    expect(completion.HasField("usage"), "no usage")
    return counted(completion.usage)


async def _ids(peer: Peer) -> str:
    first = await whole(peer)
    [second] = await peer.answered(CHAT, chat(peer))
    expect(first.id != second.id, f"{shown(first.id)} twice")
    return f"{shown(first.id)}, then {shown(second.id)}"


CASES = (
    Case(
        "chat/answer",
        "chat",
        asks=_HELLO,
        wants="OK with one choice, index 0, whose message has text, tool calls or the like",
        mend="add one to `choices`, set its `index` even where it is 0, and put the text into "
        "`message.content`",
        check=_answer,
    ),
    Case(
        "chat/labels",
        "chat",
        asks=_HELLO,
        wants="an `id`, `object` `chat.completion`, `created` and `model`",
        mend="set the four in each answer; `created` is in seconds since 1970",
        check=_labels,
    ),
    Case(
        "chat/role",
        "chat",
        asks=_HELLO,
        wants="`message.role` is `assistant`",
        mend="set the role of the message that you answer with",
        check=_role,
    ),
    Case(
        "chat/finish",
        "chat",
        asks=_HELLO,
        wants="a `finish_reason`: `stop`, `length`, `tool_calls`, `content_filter` or a word of your own",
        mend="say `stop` where the answer is whole",
        check=_finish,
    ),
    Case(
        "chat/usage",
        "chat",
        asks=_HELLO,
        wants="`usage` with `prompt_tokens`, `completion_tokens` and `total_tokens`, the sum of both",
        mend="count the tokens (or words, where there are none), and set the counts even where they are 0",
        check=_usage,
    ),
    Case(
        "chat/ids",
        "chat",
        asks="the same twice",
        wants="each answer has an `id` of its own",
        mend="make a random id for each answer",
        check=_ids,
    ),
)
