"""A good answer of an OpenAI-compatible server in pieces, so that a fault fits between any two.

The stages of a stream are `connect`, `before`, `within` and `headers` (of the answer's head: nothing, half
or all is sent), `role`, `content` (the first piece of the text is sent) and `finish` (all but the end of
the body); those of a whole answer `connect`, `before`, `within`, `headers` and `body` (half of it is sent).
"""

import json
from dataclasses import dataclass
from typing import Any

FIRST = "Bitter"
TEXT = FIRST + " älmonds, mostly."  # of a faulty provider
GOOD = "Sweet figs."  # of the good one
POISON = "poison"  # of an answer that nobody asked for
STREAMED = "content-type: text/event-stream"
JSON = "content-type: application/json"
CHUNKED = "transfer-encoding: chunked"
OK = "HTTP/1.1 200 OK"


@dataclass(frozen=True)
class Answer:
    """Its head's lines, its body in blocks, each of which leads to a stage, and the rest of its body."""

    lines: tuple[str, ...]
    blocks: tuple[tuple[str, bytes], ...]
    tail: bytes

    @property
    def head(self) -> bytes:
        """The head, with a body in chunks."""
        return head(*self.lines, CHUNKED)

    @property
    def body(self) -> bytes:
        """The body, not framed."""
        return b"".join(block for _, block in self.blocks) + self.tail

    def plain(self, *more: str) -> bytes:
        """All of it, its length announced."""
        return head(*self.lines, f"content-length: {len(self.body)}", *more) + self.body

    def before(self, stage: str) -> bytes:
        """What is sent until a stage is reached."""
        return b"".join(piece for _, piece in self._pieces()[: self._index(stage)])

    def after(self, stage: str) -> bytes:
        """What is sent from a stage on."""
        return b"".join(piece for _, piece in self._pieces()[self._index(stage) :])

    def _pieces(self) -> list[tuple[str, bytes]]:
        half = len(self.head) // 2
        ahead = [("within", self.head[:half]), ("headers", self.head[half:])]
        blocks = [(stage, chunk(block)) for stage, block in self.blocks]
        return [*ahead, *blocks, ("", chunk(self.tail) + chunk(b""))]

    def _index(self, stage: str) -> int:
        stages = [stage for stage, _ in self._pieces()]
        return 0 if stage == "before" else stages.index(stage) + 1


def streamed(text: str = TEXT, model: str = "m") -> Answer:
    """A stream."""
    first, rest = text[: len(FIRST)], text[len(FIRST) :]
    return Answer(
        (OK, STREAMED),
        (
            ("role", event(model=model, delta={"role": "assistant", "content": ""})),
            ("content", event(model=model, delta={"content": first})),
            (
                "finish",
                b"".join(event(model=model, delta={"content": piece}) for piece in (rest[:3], rest[3:]))
                + event(model=model, finish_reason="stop"),
            ),
        ),
        b"data: [DONE]\n\n",
    )


def whole(text: str = TEXT, model: str = "m") -> Answer:
    """A whole answer. The first half of its body ends within a character."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    completion = {"id": "up-1", "object": "chat.completion", "created": 5, "model": model}
    body = json.dumps({**completion, "choices": [choice], "usage": usage}, ensure_ascii=False).encode()
    half = body.find("ä".encode()) + 1 or len(body) // 2
    return Answer((OK, JSON), (("body", body[:half]),), body[half:])


def head(*lines: str) -> bytes:
    """The head of an answer."""
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """A block of a body in chunks; an empty one ends it."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(
    *,
    model: str = "m",
    delta: dict[str, Any] | None = None,
    finish_reason: str | None = None,
    index: Any = 0,
    **more: Any,
) -> bytes:
    """A chunk of a completion as a server-sent event."""
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish_reason}
    members = {"id": "up-1", "object": "chat.completion.chunk", "created": 5, "model": model}
    return data(json.dumps({**members, "choices": [choice], **more}).encode())


def data(payload: bytes) -> bytes:
    """A server-sent event."""
    return b"data: " + payload + b"\n\n"
