"""What the soak's upstream answers with: the good answer cut into blocks, and the faults made of it.

Nothing here does I/O: an answer is the bytes to send, how to pause between them, and what becomes of the
connection.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from tests.soak import says

# keep: as HTTP has it; reset: RST; close: FIN; silence: nothing, until the caller leaves; refuse: RST, and
# for a while nobody listens on the port.
Ending = Literal["keep", "reset", "close", "silence", "refuse"]
STAGES = ("nothing", "half the head", "the head", "the role", "some content", "the finish reason")
_JSON, _EVENTS, _HTML = "application/json", "text/event-stream", "text/html"
_LAST = b"0\r\n\r\n"
_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it reached a provider."""

    provider: str
    prompt: says.Prompt
    stream: bool
    text: bool  # a text completion, not a chat


@dataclass(frozen=True, slots=True)
class Answer:
    """Blocks of bytes, each sent by itself where there is a pause (in seconds), and the ending."""

    blocks: tuple[bytes, ...]
    ending: Ending = "keep"
    pause: float = 0.0


Make = Callable[[Asked, Random], Answer]


def good(asked: Asked, pieces: Sequence[str] | None = None) -> Answer:
    """The whole answer; with other pieces where they are given."""
    stages = _stages(asked, pieces or says.pieces(asked.provider, asked.prompt))
    return Answer((*stages["the finish reason"], *_end(asked, _DONE)))


def _stages(asked: Asked, pieces: Sequence[str]) -> dict[str, tuple[bytes, ...]]:
    """The blocks that have been sent at each stage, in the order of `STAGES`."""
    if asked.stream:
        head = _head(_EVENTS, "transfer-encoding: chunked")
        role = _event(asked, "", role="assistant")
        content = [_event(asked, piece) for piece in pieces]
        finish = _event(asked, "", finish_reason="stop")
    else:
        body = _whole(asked, "".join(pieces))
        head = _head(_JSON, f"content-length: {len(body)}")
        role, content = body[:1], [body[1 : len(body) // 2], body[len(body) // 2 : -1]]
        finish = body[-1:]
    some = content[: max(1, len(content) // 2)]
    sent = ((), (head[:40],), (head,), (head, role), (head, role, *some), (head, role, *content, finish))
    return dict(zip(STAGES, sent, strict=True))


def _end(asked: Asked, last: bytes) -> tuple[bytes, ...]:
    """What follows the finish reason: of a whole answer nothing."""
    if not asked.stream:
        return ()
    return (*([_chunk(last)] if last else []), _LAST)


def _head(content_type: str, *headers: str, status: int = 200) -> bytes:
    lines = (f"HTTP/1.1 {status} Soak", f"content-type: {content_type}", *headers, "", "")
    return "\r\n".join(lines).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(asked: Asked, content: str, role: str = "", finish_reason: str | None = None) -> bytes:
    delta = ({"role": role} if role else {}) | ({} if finish_reason else {"content": content})
    choice: dict[str, Any] = {"text": content} if asked.text else {"delta": delta}
    choice |= {"index": 0, "finish_reason": finish_reason}
    return _chunk(b"data: %s\n\n" % _envelope(asked, choice, ".chunk"))


def _whole(asked: Asked, content: str) -> bytes:
    said = {"text": content} if asked.text else {"message": {"role": "assistant", "content": content}}
    return _envelope(asked, {"index": 0, **said, "finish_reason": "stop"}, "")


def _envelope(asked: Asked, choice: dict[str, Any], suffix: str) -> bytes:
    kind = "text_completion" if asked.text else f"chat.completion{suffix}"
    model = says.TEXT_MODEL if asked.text else says.CHAT_MODEL
    envelope = {"id": f"up-{asked.prompt.request}", "object": kind, "created": 5, "model": model}
    return json.dumps(envelope | {"choices": [choice]}).encode()


def _answered(body: bytes, *headers: str, status: int = 200, content_type: str = _JSON) -> Answer:
    length = f"content-length: {len(body)}"
    return Answer((_head(content_type, length, *headers, status=status), body))


# --- Faults ----------------------------------------------------------------------------------------


def _stopped(stage: str, ending: Ending) -> Make:
    """The connection goes, or falls silent, when the answer has come to a stage."""

    def make(asked: Asked, _: Random) -> Answer:
        return Answer(_stages(asked, says.pieces(asked.provider, asked.prompt))[stage], ending)

    return make


def _status(status: int, *headers: str) -> Make:
    """An error in OpenAI's shape."""
    body = json.dumps({"error": {"message": f"the soak says {status}", "type": "soak", "code": "soak"}})
    answer = _answered(body.encode(), *headers, status=status)
    return lambda _, __: answer


def _instead(body: bytes, *headers: str, status: int = 200, content_type: str = _JSON) -> Make:
    """A whole body that is no answer; also where a stream was asked for."""
    answer = _answered(body, *headers, status=status, content_type=content_type)
    return lambda _, __: answer


def _raw(data: bytes) -> Make:
    """Bytes in place of HTTP, and the connection's end."""
    return lambda _, __: Answer((data,), "close")


def _event_after(stage: str, data: bytes, ending: Ending = "keep") -> Make:
    """A stream that goes wrong within an event after a stage; for a whole answer, that event's data."""

    def make(asked: Asked, _: Random) -> Answer:
        if not asked.stream:
            return _answered(data)
        sent = _stages(asked, says.pieces(asked.provider, asked.prompt))[stage]
        rest = (_chunk(b"data: %s\n\n" % data), *_end(asked, _DONE))
        return Answer((*sent, *(rest[:1] if ending != "keep" else rest)), ending)

    return make


def _unfinished(last: bytes) -> Make:
    """A stream that ends as HTTP has it, without a finish reason; for a whole answer, no choices."""

    def make(asked: Asked, _: Random) -> Answer:
        if not asked.stream:
            return _answered(b'{"id": "up", "choices": []}')
        sent = _stages(asked, says.pieces(asked.provider, asked.prompt))["some content"]
        return Answer((*sent, *_end(asked, last)))

    return make


def _broken_chunk(asked: Asked, _: Random) -> Answer:
    """A chunk whose length is none; of a whole answer, less than the length that was announced."""
    sent = _stages(asked, says.pieces(asked.provider, asked.prompt))["some content"]
    return Answer((*sent, *([b"xyz\r\ndata"] if asked.stream else [])), "close")


# --- Oddities that must do no harm -----------------------------------------------------------------


def _slow(asked: Asked, random: Random) -> Answer:
    return replace(good(asked), pause=random.uniform(0.002, 0.03))


def _dribble(asked: Asked, _: Random) -> Answer:
    """A few bytes at a time, so that events, characters and lengths are cut anywhere."""
    data = b"".join(good(asked).blocks)
    size = max(1, len(data) // 40)
    blocks = tuple(data[at : at + size] for at in range(0, len(data), size))
    return Answer(blocks, pause=0.001)


def _huge(asked: Asked, random: Random) -> Answer:
    said = says.pieces(asked.provider, asked.prompt)
    place = random.randrange(len(said))
    said[place] = said[place].replace(";", f"{says.PADDING};")
    return good(asked, said)


def _ended_with(*last: bytes) -> Make:
    """A whole answer, and other words than one `[DONE]` at its end."""

    def make(asked: Asked, _: Random) -> Answer:
        sent = _stages(asked, says.pieces(asked.provider, asked.prompt))["the finish reason"]
        return Answer((*sent, *_end(asked, b"".join(last))))

    return make


def _after(*data: bytes) -> Make:
    """A whole answer after other words."""
    return lambda asked, _: Answer((*data, *good(asked).blocks))


# What is drawn, with its weight: what costs no more than a moment is drawn more often.
_STOPS: tuple[Ending, ...] = ("reset", "close", "silence")
_WEIGHTS = {"reset": 4, "close": 4, "silence": 1}
FAULTS: dict[str, tuple[int, Make]] = {
    f"{ending} after {stage}": (_WEIGHTS[ending], _stopped(stage, ending))
    for ending in _STOPS
    for stage in STAGES
}
FAULTS |= {
    "refused connections": (4, _stopped("nothing", "refuse")),
    "400": (2, _status(400)),
    "429": (4, _status(429)),
    "429, retry at once": (3, _status(429, "retry-after: 0")),
    "429, retry in 1 s": (1, _status(429, "retry-after: 1")),
    "500": (6, _status(500)),
    "502 in HTML": (4, _instead(b"<html>Bad gateway</html>", status=502, content_type=_HTML)),
    "503, retry at once": (3, _status(503, "retry-after: 0")),
    "503, retry in 1 s": (1, _status(503, "retry-after: 1")),
    "redirect": (2, _instead(b"", "location: http://127.0.0.1:1/v1/elsewhere", status=302)),
    "HTML": (4, _instead(b"<html>Please log in</html>", content_type=_HTML)),
    "HTML said to be events": (2, _instead(b"<html>Please log in</html>", content_type=_EVENTS)),
    "empty": (4, _instead(b"")),
    "packed": (2, _instead(gzip.compress(bytes(2**20)), "content-encoding: gzip")),
    "not HTTP": (2, _raw(b"220 mail.example ESMTP\r\n\r\n")),
    "endless head": (1, _raw(b"HTTP/1.1 200 OK\r\n" + b"x-more: and more\r\n" * 6000)),
    "broken chunk": (3, _broken_chunk),
    "error first": (4, _event_after("the role", b'{"error": {"message": "soak", "code": 503}}')),
    "error after content": (4, _event_after("some content", b'{"error": {"message": "soak"}}')),
    "broken JSON first": (4, _event_after("the role", b'{"choices": [{]')),
    "broken JSON after content": (4, _event_after("some content", b'{"choices": [{]')),
    "half a character": (3, _event_after("some content", b'{"choices": [{"delta": "\xc3', "close")),
    "no finish reason": (4, _unfinished(_DONE)),
    "no finish reason, no [DONE]": (4, _unfinished(b"")),
    "slow": (4, _slow),
    "dribble": (4, _dribble),
    "huge piece": (2, _huge),
    "no [DONE]": (4, _ended_with()),
    "[DONE] twice": (4, _ended_with(_DONE, _DONE)),
    "100 and 103 first": (
        4,
        _after(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nlink: </>\r\n\r\n"),
    ),
}
GOOD = "none"


def draw(asked: Asked, random: Random, share: float) -> tuple[str, Answer]:
    """The name of a fault and the answer with it; in all but `share` of the draws, none."""
    if random.random() >= share:
        return GOOD, good(asked)
    names = list(FAULTS)
    name = random.choices(names, [weight for weight, _ in FAULTS.values()])[0]
    return name, FAULTS[name][1](asked, random)
