"""Cases of what calls go through: deadlines, callers who leave, many at once, and what is not known."""

import asyncio
from contextlib import aclosing
from typing import Any

import grpc

from server.verify.case import Case, Fault, expect
from server.verify.cases.asking import chat, replied, replied_or_refused, said
from server.verify.peer import Peer, Refused
from server.verify.services import CHAT, CHAT_STREAM, Method

_DEADLINE = 0.05  # seconds
_LEAVERS = 8
_PATIENCE = 1.0  # seconds until the first chunk, for one who leaves then
_AT_ONCE = 16
_TALE = "Count from one to one hundred, in words. " * 50
_UNKNOWN = (
    ("x-verify-provider", "unknown"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("x-verify-bin", b"\x00\xff"),
)
_FIELD = b"\xfa\xff\x07\x05later"  # field 16383, a string, which no message of the contract has


async def _deadline(peer: Peer) -> str:
    told = [await _in_time(peer, method) for method in (CHAT, CHAT_STREAM)]
    await _goes_on(peer)
    return ", ".join(told)


async def _in_time(peer: Peer, method: Method[Any]) -> str:
    try:
        await peer.call(method, chat(peer, said(_TALE)), within=_DEADLINE)
    except Refused as refused:
        if refused.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise Fault(str(refused)) from None
        return "DEADLINE_EXCEEDED"
    return "an answer in time"


async def _leaves(peer: Peer) -> str:
    begun = await asyncio.gather(*(_leave(peer) for _ in range(_LEAVERS)))
    await _goes_on(peer)
    return f"{sum(begun)} of {_LEAVERS} had begun, and the next call was answered"


async def _leave(peer: Peer) -> bool:
    """Goes away after the first chunk, or where it takes long. Whether it had come."""
    try:
        async with (
            asyncio.timeout(_PATIENCE),
            aclosing(peer.begun(CHAT_STREAM, chat(peer, said(_TALE)))) as chunks,
        ):
            return await anext(chunks, None) is not None
    except TimeoutError:
        return False
    except Refused as refused:
        if refused.code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise Fault(str(refused)) from None
        return False


async def _goes_on(peer: Peer) -> None:
    """Whether the next call is answered."""
    try:
        replied(await peer.call(CHAT, chat(peer)))
    except Refused as refused:
        raise Fault(f"the next call: {refused}") from None


async def _at_once(peer: Peer) -> str:
    outcomes = await peer.all_at_once(CHAT, [chat(peer)] * _AT_ONCE)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    for one in refused:
        if one.code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise Fault(f"for {len(refused)} of {_AT_ONCE}: {one}")
    expect(len(refused) < _AT_ONCE, f"RESOURCE_EXHAUSTED for all {_AT_ONCE}")
    return f"{_AT_ONCE - len(refused)} of {_AT_ONCE} answered"


async def _metadata(peer: Peer) -> str:
    return replied(await peer.answered(CHAT, chat(peer), metadata=_UNKNOWN))


async def _fields(peer: Peer) -> str:
    return replied(await peer.answered(CHAT, chat(peer).SerializeToString() + _FIELD))


async def _extra_json(peer: Peer) -> str:
    request = chat(peer, extra_json='{"x_verify": {"a": [1, null]}}')
    return replied_or_refused(await peer.may_refuse(CHAT, request))


CASES = (
    Case(
        "chat/deadline",
        "chat",
        asks="a long text with a deadline of 50 ms, whole and streamed, then hello",
        wants="an answer in time or DEADLINE_EXCEEDED, and an answer to hello",
        mend="stop the work when the deadline of the call has passed; let no error of yours stand for it, "
        "and leave nothing locked",
        check=_deadline,
    ),
    Case(
        "stream/cancel",
        "chat",
        asks=f"{_LEAVERS} streams at once, each left after its first chunk, then hello",
        wants="an answer to hello",
        mend="stop the work when the call is cancelled, and free what it held: threads, locks, places in "
        "a queue",
        check=_leaves,
    ),
    Case(
        "chat/at-once",
        "chat",
        asks=f"hello {_AT_ONCE} times at once",
        wants="answers, or RESOURCE_EXHAUSTED for those that are too many",
        mend="let calls wait for their turn, or end them with RESOURCE_EXHAUSTED; `concurrency` in the "
        "row keeps them away",
        check=_at_once,
    ),
    Case(
        "chat/metadata",
        "chat",
        asks="hello with metadata that you do not know, binary among them",
        wants="an answer",
        mend="leave alone what you do not know",
        check=_metadata,
    ),
    Case(
        "chat/unknown-field",
        "chat",
        asks="hello with a field that no message has yet",
        wants="an answer, for the contract grows",
        mend="use stubs that skip unknown fields, as those of protoc do",
        check=_fields,
    ),
    Case(
        "chat/extra_json",
        "chat",
        asks="hello with an unknown member in `extra_json`",
        wants="an answer, or INVALID_ARGUMENT where you take none",
        mend="read it as a JSON object, leave it alone, or end the call with INVALID_ARGUMENT",
        check=_extra_json,
    ),
)
