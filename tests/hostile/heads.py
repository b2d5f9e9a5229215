"""Faults in an answer's head, and heads that do not fit the body. They begin at `before` with a head of
their own, or go on `within` it.
"""

from tests.hostile import answers
from tests.hostile.answers import OK, POISON, chunk, head
from tests.hostile.call import Call
from tests.hostile.fault import Fault, Faults, into, kind

FAULTS: Faults = {}
fault = into(FAULTS)
_HTML = b"<!doctype html>\n<html><body><h1>Please log in</h1></body></html>\n"


@fault
async def endless_headers(call: Call) -> None:
    """Headers, and no end of them."""
    await call.send(b"" if call.stage == "within" else head(OK, kind(call))[:-2])
    while True:
        await call.send(b"\r\n".join(b"x-%d: y" % i for i in range(1000)) + b"\r\n")


@fault
async def endless_header(call: Call) -> None:
    """A header that does not end."""
    await call.send(b"\r\nx-y: " if call.stage == "within" else head(OK, "x-y: ")[:-4])
    while True:
        await call.send(b"y" * 65536)


@fault
async def endless_status(call: Call) -> None:
    """A status line that does not end."""
    await call.send(b"HTTP/1.1 200 ")
    while True:
        await call.send(b"O" * 65536)


@fault
async def not_http(call: Call) -> None:
    """Another protocol."""
    await call.send(b"220 mail.example ESMTP\r\n")
    await call.silence()


@fault
async def no_head(call: Call) -> None:
    """The body alone, as HTTP/0.9 had it."""
    await call.send(call.answer.body)
    call.close()


@fault
async def http10(call: Call) -> None:
    """HTTP/1.0: the body ends with the connection."""
    await call.send(head("HTTP/1.0 200 OK", kind(call)) + call.answer.body)
    call.close()


@fault
async def http10_cut(call: Call) -> None:
    """HTTP/1.0, and the connection ends after the first content, or within the body."""
    body = b"".join(block for _, block in call.answer.blocks[: 2 if call.stream else 1])
    await call.send(head("HTTP/1.0 200 OK", kind(call)) + body)
    call.close()


@fault
async def status_999(call: Call) -> None:
    """A status that does not exist."""
    await call.send(head("HTTP/1.1 999 What", kind(call), "content-length: 0"))


@fault
async def no_content(call: Call) -> None:
    """A success that has no body."""
    await call.send(head("HTTP/1.1 204 No Content"))


@fault
async def not_modified(call: Call) -> None:
    """An answer to a question that was not asked."""
    await call.send(head("HTTP/1.1 304 Not Modified", 'etag: "x"'))


@fault
async def switching(call: Call) -> None:
    """Another protocol from now on, which nobody asked for."""
    await call.send(head("HTTP/1.1 101 Switching Protocols", "upgrade: h2c", "connection: upgrade"))
    await call.send(call.answer.plain())
    await call.silence()


@fault
async def continues(call: Call) -> None:
    """Many answers that are none yet, and then the answer."""
    await call.send(head("HTTP/1.1 100 Continue") * 50)
    await call.send(head("HTTP/1.1 103 Early Hints", "link: </style.css>; rel=preload") * 50)
    await call.rest()


@fault
async def continues_for_ever(call: Call) -> None:
    """Answers that are none yet, for ever."""
    while True:
        await call.send(head("HTTP/1.1 100 Continue"))
        await call.pause(0.01)


@fault
async def continues_in_a_flood(call: Call) -> None:
    """The same as fast as they are taken."""
    async for _ in call.for_long():
        await call.send(head("HTTP/1.1 100 Continue") * 1000)


def _redirects(status: int) -> Fault:
    async def redirect(call: Call) -> None:
        """Points elsewhere."""
        path = "v1/chat/completions"
        lines = (f"location: {call.elsewhere}/{path}", f"refresh: 0; url={call.elsewhere}/{path}")
        await call.send(head(f"HTTP/1.1 {status} There", *lines, "content-length: 0"))

    return redirect


for _status in (300, 301, 302, 303, 305, 307, 308):
    FAULTS[f"redirect-{_status}"] = _redirects(_status)


@fault
async def endless_error(call: Call) -> None:
    """An error whose body does not end."""
    await call.send(head("HTTP/1.1 500 Oops", "content-type: text/plain", answers.CHUNKED))
    while True:
        await call.block(b"no " * 20000)


@fault
async def silent_error(call: Call) -> None:
    """An error whose body does not come."""
    await call.send(head("HTTP/1.1 500 Oops", "content-type: text/plain", "content-length: 9"))
    await call.silence()


@fault
async def nul_in_header(call: Call) -> None:
    """A header with a NUL."""
    await call.send(call.answer.plain("x-y: a\0b"))


@fault
async def lines_in_lf(call: Call) -> None:
    """A head whose lines end in LF alone (RFC 9112, 2.2, lets it be read)."""
    before, _, body = call.answer.plain().partition(b"\r\n\r\n")
    await call.send(before.replace(b"\r\n", b"\n") + b"\n\n" + body)


@fault
async def bare_cr(call: Call) -> None:
    """A header with a CR that ends no line, and what would be a header after it."""
    await call.send(call.answer.plain("x-y: a\rset-cookie: evil=1"))


@fault
async def folded(call: Call) -> None:
    """A header over two lines, as RFC 2616 had it."""
    await call.send(call.answer.plain("x-y: a\r\n set-cookie: evil=1"))


@fault
async def blank_before_colon(call: Call) -> None:
    """A blank between a header's name and its colon."""
    await call.send(call.answer.plain("x-y : evil"))


@fault
async def head_ends_early(call: Call) -> None:
    """An empty line within the head, so that headers are the body."""
    await call.send(f"{OK}\r\n\r\n".encode() + call.answer.plain())
    call.close()


@fault
async def steering_headers(call: Call) -> None:
    """Headers that steer browsers, proxies and this service."""
    await call.send(
        call.answer.plain(
            "set-cookie: evil=1",
            "x-interference-provider: evil",
            "x-interference-attempts: evil",
            "x-interference-status: 418",
            "x-envoy-upstream-service-time: evil",
            "access-control-allow-origin: evil",
            "retry-after: evil",
            "grpc-status: 13",
            "strict-transport-security: evil",
        )
    )


@fault
async def pipelined(call: Call) -> None:
    """A second answer right after the first."""
    await call.send(call.answer.plain() + answers.whole(POISON).plain())


@fault
async def html_page(call: Call) -> None:
    """A web page: all of the answer at `before`, the rest of its body later."""
    if call.stage == "before":
        await call.send(head(OK, "content-type: text/html", f"content-length: {len(_HTML)}") + _HTML)
    else:
        await call.send(chunk(_HTML) + chunk(b""))


@fault
async def empty_body(call: Call) -> None:
    """Nothing in the body."""
    await call.send(head(OK, kind(call), "content-length: 0"))


@fault
async def wrong_type(call: Call) -> None:
    """What was asked for, under the name of something else."""
    body = call.answer.body
    await call.send(head(OK, "content-type: text/html", f"content-length: {len(body)}") + body)


@fault
async def no_type(call: Call) -> None:
    """What was asked for, under no name."""
    await call.send(head(OK, f"content-length: {len(call.answer.body)}") + call.answer.body)


@fault
async def other_kind(call: Call) -> None:
    """A whole answer for a stream, and a stream for a whole answer."""
    await call.send((answers.whole() if call.stream else answers.streamed()).plain())
