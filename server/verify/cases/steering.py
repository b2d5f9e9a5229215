"""Cases of parameters: honoured, or refused, but never dropped in silence."""

from interference.v1.completion_pb2 import ChatCompletion, Choice
from server.verify.case import Case, NotHad, expect, shown
from server.verify.cases.asking import chat, pieces, whole
from server.verify.peer import Peer
from server.verify.services import CHAT, CHAT_STREAM

_REFUSED = "refused with INVALID_ARGUMENT"
_LENGTHS = ("length", "stop")
_ROW = "and leave it out of the row's `params`"


async def _max_tokens(peer: Peer) -> str:
    completions = await peer.may_refuse(CHAT, chat(peer, max_tokens=1))
    if not completions:
        return _REFUSED
    choice = _first(completions)
    expect(choice.finish_reason in _LENGTHS, f"the finish reason {shown(choice.finish_reason)}")
    usage = completions[0].usage
    written = usage.completion_tokens - usage.completion_tokens_details.reasoning_tokens
    expect(written <= 1, f"{written} tokens")
    return f"{shown(choice.message.content, 60)}, finish reason {choice.finish_reason}"


async def _stop(peer: Peer) -> str:
    choices = (await whole(peer)).choices
    words = choices[0].message.content.split() if choices else []
    if not words:
        raise NotHad("its answer to hello has no text to stop at")
    word = words[len(words) // 2]
    completions = await peer.may_refuse(CHAT, chat(peer, stop=[word]))
    if not completions:
        return _REFUSED
    text = _first(completions).message.content
    expect(word not in text, f"{shown(word)} in {shown(text)}")
    return f"{shown(text, 60)}, asked to stop at {shown(word)}"


async def _n(peer: Peer) -> str:
    completions = await peer.may_refuse(CHAT, chat(peer, n=2))
    if not completions:
        return _REFUSED
    found = [choice.index for choice in completions[0].choices]
    expect(sorted(found) == [0, 1], f"choices with the indexes {shown(found)}")
    return "two choices"


async def _n_streamed(peer: Peer) -> str:
    chunks = await peer.may_refuse(CHAT_STREAM, chat(peer, n=2))
    if not chunks:
        return _REFUSED
    found = pieces(chunks)
    expect(sorted(found) == [0, 1], f"choices with the indexes {shown(sorted(found))}")
    ended = [index for index, choices in found.items() if choices[-1].finish_reason]
    expect(len(ended) == 2, f"a finish reason for {shown(sorted(ended))} alone")
    return "two choices"


def _first(completions: list[ChatCompletion]) -> Choice:
    choices = completions[0].choices
    expect(choices, "an answer without choices")
    return choices[0]


CASES = (
    Case(
        "chat/max_tokens",
        "chat",
        asks="hello with `max_tokens` 1",
        wants="one token and `length` (or `stop`), or INVALID_ARGUMENT",
        mend=f"count what you write, and end with `length`; or end the call with INVALID_ARGUMENT, {_ROW}",
        check=_max_tokens,
    ),
    Case(
        "chat/stop",
        "chat",
        asks="hello with `stop` set to a word of the answer to hello",
        wants="a text without the word, or INVALID_ARGUMENT",
        mend=f"cut the text before the first of the words; or end the call with INVALID_ARGUMENT, {_ROW}",
        check=_stop,
    ),
    Case(
        "chat/n",
        "chat",
        asks="hello with `n` 2",
        wants="two choices with the indexes 0 and 1, or INVALID_ARGUMENT",
        mend=f"answer twice; or end the call with INVALID_ARGUMENT, {_ROW}",
        check=_n,
    ),
    Case(
        "stream/n",
        "chat",
        asks="the same, streamed",
        wants="pieces of two choices, each with a finish reason, or INVALID_ARGUMENT",
        mend=f"set `index` in each piece, and end each choice; or end the call with INVALID_ARGUMENT, "
        f"{_ROW}",
        check=_n_streamed,
    ),
)
