"""What the translators take, without sockets. `python -m tests.counts.translators` prints it as JSON.

It is a process of its own, so that the order of sets is the same each time, and nothing else traces.
"""

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.message_pb2 import ChatMessage, ContentPart
from server import drivers, rows
from server.drivers.base import Target
from server.drivers.openai import OpenAIDialect
from server.ingress.base import Asked, Reader
from server.ingress.messages import request as messages
from server.ingress.responses import request as responses
from server.sse import EventReader
from server.transport import HttpAnswer
from tests.counts.upstream import events, whole
from tests.programs import environment

KILO, MEGA = 1000, 1_000_000
FEW, MANY = 64, 256  # events of a stream
CALLS, INSTRUCTIONS, HELD = "calls", "instructions", "most bytes held"
_ROW = "providers: [{id: Up, driver: openai, base_url: 'http://up/v1', models: [m]}]"
_READERS: dict[str, Reader] = {"Messages": messages.read, "Responses": responses.read}
_EVENT_LIMIT = 2**24
_ROOT = Path(__file__).parents[2]

Work = Callable[[], object]
Figures = Mapping[str, int]


@dataclass(frozen=True)
class Job:
    """Something that a translator does. `prepare` gives the work, with all that it needs made anew."""

    name: str
    prepare: Callable[[], Work]


def jobs() -> Iterator[Job]:
    """All of them."""
    for name, size in (("1 kB", KILO), ("1 MB", MEGA)):
        yield Job(f"OpenAI request, {name}", partial(_openai_request, size))
        yield Job(f"OpenAI answer, {name}", partial(_openai_answer, size))
        for dialect in _READERS:
            yield Job(f"{dialect} request, {name}", partial(_read, dialect, size))
            yield Job(f"{dialect} answer, {name}", partial(_written, dialect, size))
    for count in (FEW, MANY):
        yield Job(f"server-sent events, {count}", partial(_server_sent, count))
        yield Job(f"OpenAI stream, {count} at once", partial(_openai_stream, count, count))
        yield Job(f"OpenAI stream, {count} one by one", partial(_openai_stream, count, 1))
        for dialect in _READERS:
            yield Job(f"{dialect} stream, {count}", partial(_events_written, dialect, count))


def all_counted() -> Mapping[str, Figures]:
    """What they take, by name, counted in a process of its own."""
    command = [sys.executable, "-m", "tests.counts.translators"]
    variables = environment(PYTHONHASHSEED="0")
    done = subprocess.run(command, env=variables, cwd=_ROOT, stdout=subprocess.PIPE, check=True)
    figures: Mapping[str, Figures] = json.loads(done.stdout)
    return figures


def counted(job: Job) -> dict[str, int]:
    """What it takes when all that is kept for the next time is there. `calls` are those of Python and C."""
    for _ in range(2):
        job.prepare()()
    return {CALLS: _calls(job.prepare()), INSTRUCTIONS: _instructions(job.prepare()), HELD: _held(job)}


def _calls(work: Work) -> int:
    count = 0

    def profile(_: FrameType, event: str, __: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def _instructions(work: Work) -> int:
    """How many the interpreter carries out, in Python's own code."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


def _held(job: Job) -> int:
    """The most memory at a time, beyond what was there before, the result included."""
    work = job.prepare()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


# --- What they do ---------------------------------------------------------------------------------


def _target() -> Target:
    (row,) = rows.read(rows.parse(_ROW, "counts"), "counts", drivers.KINDS).values()
    return Target(row, "m")


def _request(size: int) -> CreateCompletionRequest:
    part = ContentPart(text="~" * size)
    return CreateCompletionRequest(model="m", messages=[ChatMessage(role="user", content=[part])])


def _openai_request(size: int) -> Work:
    translator, request = OpenAIDialect().translators[CreateCompletionRequest], _request(size)
    return partial(translator.request, request, _target(), stream=False)


def _openai_answer(size: int) -> Work:
    translator, request = OpenAIDialect().translators[CreateCompletionRequest], _request(KILO)
    answer = HttpAnswer(200, {"content-type": "application/json"}, whole("~" * size))
    return partial(translator.answer, answer, request, _target())


def _openai_stream(count: int, at_once: int) -> Work:
    decoder = OpenAIDialect().streams[CreateCompletionRequest].decoder(_request(KILO), _target())
    data = events(count)

    def read() -> None:
        for start in range(0, count, at_once):
            _exhaust(decoder.feed(data[start : start + at_once]))
        _exhaust(decoder.end())

    return read


def _server_sent(count: int) -> Work:
    reader, data = EventReader(_EVENT_LIMIT), b"".join(b"data: %s\n\n" % one for one in events(count))
    return lambda: list(reader.feed(data))


def _read(dialect: str, size: int) -> Work:
    return partial(_READERS[dialect], _body(dialect, size))


def _written(dialect: str, size: int) -> Work:
    answer = _asked(dialect).answer
    completion: Any = _openai_answer(size)()
    assert isinstance(completion, ChatCompletion)
    return partial(answer.whole, completion)


def _events_written(dialect: str, count: int) -> Work:
    answer, chunks = _asked(dialect).answer, _chunks(count)

    def write() -> None:
        for chunk in chunks:
            answer.chunk(chunk)
        answer.end()

    return write


def _chunks(count: int) -> Sequence[ChatCompletionChunk]:
    decoder = OpenAIDialect().streams[CreateCompletionRequest].decoder(_request(KILO), _target())
    read = [chunk for one in events(count) for chunk in decoder.feed([one])]
    return [chunk for chunk in read if isinstance(chunk, ChatCompletionChunk)]


def _asked(dialect: str) -> Asked:
    return _READERS[dialect](_body(dialect, KILO))


def _body(dialect: str, size: int) -> bytes:
    turns = [{"role": "user", "content": "~" * size}]
    own = {"messages": turns, "max_tokens": 100} if dialect == "Messages" else {"input": turns}
    return json.dumps({"model": "m", **own}).encode()


def _exhaust(them: Iterable[object]) -> None:
    for _ in them:
        pass


if __name__ == "__main__":
    sys.stdout.write(json.dumps({job.name: counted(job) for job in jobs()}))
