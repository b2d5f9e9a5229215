"""Cases of a streamed answer to a conversation."""

from itertools import pairwise

from interference.v1.completion_pb2 import ChatCompletionChunk, ChunkChoice
from server.verify.case import Case, NotHad, expect, shown
from server.verify.cases.asking import chat, counted, joined, pieces, says, streamed, whole
from server.verify.peer import Peer
from server.verify.services import CHAT_STREAM

_HELLO = "StreamCompletion with one message that says hello, and `include_usage`"
_CUMULATIVE = 3  # pieces that each begin with all before them, from which on it is no chance


async def _answer(peer: Peer) -> str:
    chunks = await streamed(peer)
    expect(chunks, "a stream without chunks")
    for chunk in chunks:
        for choice in chunk.choices:
            expect(choice.HasField("index"), "a choice without an index")
    found = pieces(chunks)
    expect(list(found) == [0], f"choices {list(found)} where one was asked for")
    kinds = [says(choice.delta) for choice in found[0]]
    expect(any(kinds), "deltas that say nothing")
    return f"{len(chunks)} chunks: {shown(joined(found[0]), 60)}"


async def _only(peer: Peer) -> list[ChunkChoice]:
    """The pieces of the only choice."""
    if not (found := pieces(await streamed(peer))):
        raise NotHad("there are no choices to look at: see stream/answer")
    return next(iter(found.values()))


async def _deltas(peer: Peer) -> str:
    texts = [text for choice in await _only(peer) if (text := choice.delta.content)]
    pairs = list(pairwise(texts))
    grown = all(later.startswith(earlier) and later != earlier for earlier, later in pairs)
    repeats = grown and len(texts) >= _CUMULATIVE
    expect(
        not repeats, f"each delta has the one before: {', '.join(shown(text, 30) for text in texts[:2])}"
    )
    return f"{len(texts)} pieces of text"


async def _labels(peer: Peer) -> str:
    chunks = await streamed(peer)
    for name in ("id", "object", "created", "model", "provider"):
        values = {getattr(chunk, name) for chunk in chunks}
        expect(len(values) <= 1, f"`{name}` changes: {shown(sorted(values))}")
        expect(name == "provider" or any(values), f"no `{name}`")
    told = chunks[0].object
    expect(told == "chat.completion.chunk", f"the object {shown(told)}")
    return f"{shown(chunks[0].id)} of {shown(chunks[0].model)}"


async def _role(peer: Peer) -> str:
    first, *later = await _only(peer)
    expect(first.delta.role == "assistant", f"the role {shown(first.delta.role)} in the first delta")
    again = sum(choice.delta.HasField("role") for choice in later)
    expect(not again, f"a role in {again} later deltas, too")
    return "assistant, once"


async def _finish(peer: Peer) -> str:
    reasons = [choice.finish_reason for choice in await _only(peer)]
    told = [reason for reason in reasons if reason]
    expect(len(told) == 1, f"{len(told)} finish reasons")
    expect(reasons[-1], "more deltas after the finish reason")
    return shown(told[0])


async def _usage(peer: Peer) -> str:
    chunks = await streamed(peer)
    having = [number for number, chunk in enumerate(chunks) if chunk.HasField("usage")]
    expect(having == [len(chunks) - 1], _where(having, len(chunks)))
    expect(not chunks[-1].choices, "a usage in a chunk that has choices")
    return counted(chunks[-1].usage)


def _where(having: list[int], chunks: int) -> str:
    if not having:
        return "no usage"
    return f"a usage in chunk {', '.join(str(number + 1) for number in having[:5])} of {chunks}"


async def _no_usage(peer: Peer) -> str:
    chunks = await peer.answered(CHAT_STREAM, chat(peer))
    told = sum(chunk.HasField("usage") for chunk in chunks)
    expect(not told, f"a usage in {told} of {len(chunks)} chunks")
    return f"{len(chunks)} chunks without one"


async def _agrees(peer: Peer) -> str:
    completion, chunks = await whole(peer), await streamed(peer)
    if not completion.choices or not chunks:
        raise NotHad("there are no two answers to compare: see chat/answer and stream/answer")
    at_once, in_pieces = completion.choices[0].message, await _only(peer)
    kinds = bool(at_once.content), bool(joined(in_pieces))
    expect(kinds[0] == kinds[1], f"text only in the {'whole answer' if kinds[0] else 'stream'}")
    models = completion.model, chunks[0].model
    expect(models[0] == models[1], f"the model {shown(models[0])} whole, {shown(models[1])} streamed")
    told = completion.usage.prompt_tokens, _prompt(chunks[-1])
    expect(told[1] in (None, told[0]), f"{told[0]} prompt_tokens whole, {told[1]} streamed")
    return f"both of {shown(models[0])}"


def _prompt(last: ChatCompletionChunk) -> int | None:
    """The tokens of the prompt; None where they are not told, which is another case."""
    return last.usage.prompt_tokens if last.HasField("usage") else None


CASES = (
    Case(
        "stream/answer",
        "chat",
        asks=_HELLO,
        wants="OK with chunks whose choices have an index, here 0, and deltas that give a text or tool "
        "calls",
        mend="send what is new in `choices[].delta`, set `index` even where it is 0; a failure is a "
        "status of the call and never `error`",
        check=_answer,
    ),
    Case(
        "stream/deltas",
        "chat",
        asks=_HELLO,
        wants="each delta has only what is new: the deltas in a row are the text",
        mend="send each piece once, not all the text so far",
        check=_deltas,
    ),
    Case(
        "stream/labels",
        "chat",
        asks=_HELLO,
        wants="`id`, `created`, `model` and `object` (`chat.completion.chunk`) in all chunks, the same in "
        "each",
        mend="make them once a stream, and set them in each chunk, that of the usage, too",
        check=_labels,
    ),
    Case(
        "stream/role",
        "chat",
        asks=_HELLO,
        wants="the first delta has the role `assistant`, and no other has a role",
        mend="set `delta.role` in a choice's first chunk alone",
        check=_role,
    ),
    Case(
        "stream/finish",
        "chat",
        asks=_HELLO,
        wants="one `finish_reason` a choice, in its last piece",
        mend="set it in the last chunk that has the choice, and leave it unset before",
        check=_finish,
    ),
    Case(
        "stream/usage",
        "chat",
        asks=_HELLO,
        wants="one `usage`, in the last chunk, which has no choices; its total is the sum",
        mend="where `stream_options.include_usage` is set, send one more chunk with `usage` and without "
        "choices",
        check=_usage,
    ),
    Case(
        "stream/no-usage",
        "chat",
        asks="the same without `include_usage`",
        wants="no `usage`",
        mend="send the chunk with the usage only where `stream_options.include_usage` is set",
        check=_no_usage,
    ),
    Case(
        "stream/agrees",
        "chat",
        asks="the same whole and streamed",
        wants="both are of the same model, for the same number of prompt tokens, and both have text or "
        "neither has",
        mend="make both answers with the same code",
        check=_agrees,
    ),
)
