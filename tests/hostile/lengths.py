"""Faults in how long a body is said to be, and how it is said to be packed."""

import gzip

from tests.hostile import answers
from tests.hostile.answers import OK, POISON, chunk, head
from tests.hostile.call import Call
from tests.hostile.fault import Faults, into, kind

FAULTS: Faults = {}
fault = into(FAULTS)
_MIB = 2**20


@fault
async def _gzip(call: Call) -> None:
    """Packed, though that was not asked for."""
    packed = gzip.compress(call.answer.body)
    lines = (OK, kind(call), "content-encoding: gzip", f"content-length: {len(packed)}")
    await call.send(head(*lines) + packed)


@fault
async def gzip_bomb(call: Call) -> None:
    """256 MiB of blanks and empty lines in a quarter of a MiB, before the answer."""
    filling = gzip.compress((b"\n" if call.stream else b" ") * (16 * _MIB))
    await call.send(head(OK, kind(call), "content-encoding: gzip", answers.CHUNKED))
    for _ in range(16):
        await call.block(filling)
    await call.send(chunk(gzip.compress(call.answer.body)) + chunk(b""))


@fault
async def gzip_twice(call: Call) -> None:
    """Packed twice."""
    packed = gzip.compress(gzip.compress(call.answer.body))
    lines = (OK, kind(call), "content-encoding: gzip, gzip", f"content-length: {len(packed)}")
    await call.send(head(*lines) + packed)


@fault
async def gzip_lie(call: Call) -> None:
    """Said to be packed, and it is not."""
    await call.send(call.answer.plain("content-encoding: gzip"))


@fault
async def length_long(call: Call) -> None:
    """Announces more than there is."""
    size = len(call.answer.body) + 10
    await call.send(head(OK, kind(call), f"content-length: {size}") + call.answer.body)
    await call.silence()


@fault
async def length_long_closed(call: Call) -> None:
    """The same, and the connection ends."""
    size = len(call.answer.body) + 10
    await call.send(head(OK, kind(call), f"content-length: {size}") + call.answer.body)
    call.close()


@fault
async def length_short(call: Call) -> None:
    """Announces less than there is: up to the first content, or half. What is left looks like an answer."""
    body = b"".join(block for _, block in call.answer.blocks[: 2 if call.stream else 1])
    start = head(OK, kind(call), f"content-length: {len(body)}")
    await call.send(start + body + answers.whole(POISON).plain())


@fault
async def length_negative(call: Call) -> None:
    """Announces less than nothing."""
    await call.send(head(OK, kind(call), "content-length: -1") + call.answer.body)
    call.close()


@fault
async def length_odd(call: Call) -> None:
    """Announces what is no number."""
    await call.send(head(OK, kind(call), f"content-length: {len(call.answer.body)}e0") + call.answer.body)
    call.close()


@fault
async def two_lengths(call: Call) -> None:
    """Announces two lengths."""
    size = len(call.answer.body)
    lines = (OK, kind(call), f"content-length: {size}", f"content-length: {size - 10}")
    await call.send(head(*lines) + call.answer.body)
    call.close()


@fault
async def length_and_chunks(call: Call) -> None:
    """Announces a length and chunks, as those do who smuggle (RFC 9112, 6.3)."""
    lines = (OK, kind(call), f"content-length: {len(call.answer.body)}", answers.CHUNKED)
    await call.send(head(*lines) + chunk(call.answer.body) + chunk(b""))
    call.close()
