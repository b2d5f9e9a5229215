"""Faults in an answer's body. They go on from a stage of the good answer."""

import json
from functools import cache

from tests.hostile import answers
from tests.hostile.answers import JSON, OK, POISON, chunk, data, event, head
from tests.hostile.call import Call
from tests.hostile.fault import Faults, into

FAULTS: Faults = {}
fault = into(FAULTS)
_MIB = 2**20
_OVERLOADED = {"message": "overloaded", "type": "server_error", "code": 503}


@cache
def _huge() -> bytes:
    return event(delta={"content": "x" * (20 * _MIB)})


async def _say(call: Call, payload: bytes) -> None:
    """An event with this payload before the rest of a stream, or the payload as the end of a body."""
    if call.stream:
        await call.block(data(payload))
        await call.rest()
    else:
        await call.send(chunk(payload) + chunk(b""))


@fault
async def ends(call: Call) -> None:
    """The body ends in order, too early."""
    await call.send(chunk(b""))


@fault
async def framing(call: Call) -> None:
    """A chunk whose size is no number."""
    await call.pause(0.3)  # so that what was before is read apart from it
    await call.send(b"zz\r\n")
    await call.rest()


@fault
async def framing_short(call: Call) -> None:
    """A chunk that is longer than its size."""
    await call.pause(0.3)  # so that what was before is read apart from it
    await call.send(b"2\r\n: a comment\n\n\r\n")
    await call.rest()


@fault
async def framing_huge(call: Call) -> None:
    """A chunk whose size no number can hold."""
    await call.pause(0.3)  # so that what was before is read apart from it
    await call.send(b"f" * 40 + b"\r\n")
    await call.rest()


@fault
async def chunk_extensions(call: Call) -> None:
    """A chunk with an extension (RFC 9112, 7.1.1), and trailers."""
    blank = b"\n" if call.stream else b""
    rest = b"".join(block for _, block in _left(call)) + call.answer.tail
    await call.send(b'%x;evil="1"\r\n%s\r\n' % (len(blank + rest), blank + rest))
    await call.send(b"0\r\nx-interference-provider: evil\r\n\r\n")


def _left(call: Call) -> tuple[tuple[str, bytes], ...]:
    stages = [stage for stage, _ in call.answer.blocks]
    return call.answer.blocks[stages.index(call.stage) + 1 if call.stage in stages else 0 :]


@fault
async def broken_json(call: Call) -> None:
    """JSON that is none."""
    await _say(call, b'{"choices": [{]}')


@fault
async def half_character(call: Call) -> None:
    """The connection ends within a character."""
    await call.send(b"100\r\n" + _half_character(call))
    call.close()


@fault
async def half_character_ended(call: Call) -> None:
    """The body ends in order within a character."""
    await call.send(chunk(_half_character(call)) + chunk(b""))


def _half_character(call: Call) -> bytes:
    if call.stage == "body":  # which ends in one half of a character already
        return b""
    part = event(delta={"content": "ä"}) if call.stream else call.answer.body
    escaped = part.replace(b"\\u00e4", "ä".encode())
    return escaped[: escaped.index("ä".encode()) + 1]


@fault
async def not_utf8(call: Call) -> None:
    """Text that is not UTF-8."""
    await _say(call, b'{"choices": [], "x": "\xff\xfe"}')


@fault
async def lone_surrogate(call: Call) -> None:
    """Half of a pair of surrogates, escaped: JSON can say it, UTF-8 cannot."""
    await _text(call, "\\ud83d")


@fault
async def nul_escaped(call: Call) -> None:
    """A NUL in the text, escaped, which is a character like any other."""
    await _text(call, "\\u0000")


@fault
async def nul_in_text(call: Call) -> None:
    """A NUL in the text as it is, which no JSON may have."""
    await _text(call, "\0")


async def _text(call: Call, text: str) -> None:
    """The text has this before what is left of it."""
    if call.stream:
        await call.block(event(delta={"content": "@"}).replace(b"@", text.encode()))
        await call.rest()
    else:
        body = answers.whole(f"@{answers.TEXT}").body.replace(b"@", text.encode())
        await call.send(chunk(body) + chunk(b""))


@fault
async def nul_line(call: Call) -> None:
    """A line of NUL."""
    await call.block(b"\0\0\n\n")
    await call.rest()


@fault
async def huge_event(call: Call) -> None:
    """An event of 20 MiB."""
    await call.block(_huge())
    await call.rest()


@fault
async def endless_line(call: Call) -> None:
    """A line, or a body, that does not end."""
    while True:
        await call.block(b"data: " if call.stream else b" ")
        await call.block(b" " * _MIB)


@fault
async def endless_lines(call: Call) -> None:
    """Short data lines of an event that does not end."""
    async for _ in call.for_long():
        await call.block(b"data: x\n" * 2**16)


@fault
async def deep(call: Call) -> None:
    """JSON that is nested beyond reason."""
    depth = 100_000
    await _say(call, b'{"choices": ' + b"[" * depth + b"]" * depth + b"}")


@fault
async def deep_addition(call: Call) -> None:
    """The same in a member that nobody knows, of an event that is good otherwise."""
    depth = 500
    nested = b"[" * depth + b"]" * depth
    await call.block(event(delta={"content": ""}, more=0).replace(b'"more": 0', b'"more": ' + nested))
    await call.rest()


@fault
async def wrong_types(call: Call) -> None:
    """JSON in which nothing is of its type."""
    member = "delta" if call.stream else "message"
    wrong = {"index": "0", member: ["x"], "finish_reason": {"x": 1}, "logprobs": 7}
    odd = {"id": 5, "object": [], "created": "now", "model": {}, "usage": "x", "choices": [wrong, 3, None]}
    await _say(call, json.dumps(odd).encode())


@fault
async def no_object(call: Call) -> None:
    """JSON that is no object."""
    await _say(call, b'[1, "2", null]')


@fault
async def error_object(call: Call) -> None:
    """An error within a success, which repeats the headers of the request, the key among them."""
    error = {**_OVERLOADED, "message": f"overloaded: {call.headers}"}
    body = json.dumps({"error": error}).encode()
    if call.stage == "before":
        await call.send(head(OK, JSON, f"content-length: {len(body)}") + body)
        return
    await _say(call, body)


@fault
async def refusal(call: Call) -> None:
    """An error within a success that says that the request is wrong."""
    body = json.dumps({"error": {"message": "no such thing", "code": 400}}).encode()
    await _say(call, body)


@fault
async def done_twice(call: Call) -> None:
    """The mark of the end, again and again."""
    await call.block(data(b"[DONE]") * 3)
    await call.rest()


@fault
async def done_early(call: Call) -> None:
    """The mark of the end, too early."""
    await call.block(data(b"[DONE]"))
    await call.rest()


@fault
async def no_done(call: Call) -> None:
    """No mark of the end."""
    await call.send(chunk(b""))


@fault
async def later_content(call: Call) -> None:
    """More text after the finish reason."""
    await call.block(event(delta={"content": POISON}))
    await call.rest()


@fault
async def content_after_done(call: Call) -> None:
    """More text after the mark of the end."""
    await call.block(call.answer.tail + event(delta={"content": POISON}))
    await call.send(chunk(b""))


@fault
async def roles_in_a_flood(call: Call) -> None:
    """Chunks without content, for ever."""
    async for _ in call.for_long():
        await call.block(event(delta={"role": "assistant", "content": ""}) * 100)


@fault
async def roles(call: Call) -> None:
    """The same in peace."""
    while True:
        await call.block(event(delta={"role": "assistant", "content": ""}))
        await call.pause(0.1)


@fault
async def comments(call: Call) -> None:
    """Comments, for ever."""
    while True:
        await call.block(b": still here\n\n")
        await call.pause(0.1)


@fault
async def other_choice(call: Call) -> None:
    """A piece of a choice that was not asked for."""
    await call.block(event(delta={"content": "!"}, index=7))
    await call.rest()


@fault
async def odd_choice(call: Call) -> None:
    """A piece of a choice whose place no list has."""
    await call.block(event(delta={"content": "!"}, index=-(2**31)))
    await call.rest()
