"""What the Lua in Envoy takes: instructions of its machine, bytes of strings and tables that it makes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tests.envoy.lua_edge import CHAT, LuaEdge

INSTRUCTIONS, TAKEN = "instructions", "bytes taken"
SMALL, LARGE = 100, 8 * 2**20  # bytes of a text
# Compiled traces are no instructions, and take memory of their own.
_COUNT = b"""function(called, ...)
  jit.off()
  jit.flush()
  called(...)
  collectgarbage()
  collectgarbage("stop")
  local before = collectgarbage("count")
  called(...)
  local taken = (collectgarbage("count") - before) * 1024
  collectgarbage("restart")
  local instructions = 0
  debug.sethook(function() instructions = instructions + 1 end, "", 1)
  called(...)
  debug.sethook()
  jit.on()
  return instructions, taken
end"""


@dataclass(frozen=True)
class Job:
    """A function of the edge, and what makes its arguments."""

    name: str
    function: str
    arguments: Callable[[], tuple[bytes | int, ...]]


def jobs() -> Iterator[Job]:
    """All that a call of chat meets."""
    for name, size in (("small", SMALL), ("8 MB", LARGE)):
        yield Job(f"lift, {name}, as it is", "lift", partial(_body, "", size))
        yield Job(f"lift, {name}, rewritten", "lift", partial(_body, '"provider":"A B",', size))
        yield Job(f"lift, {name}, image", "lift", partial(_image, size))
    yield Job("an error", "shape_error_as", lambda: (b"", b'{"code":3,"message":"No.","details":[]}', 400))


def counted(job: Job) -> dict[str, int]:
    """What it takes when it has been done before."""
    runtime = LuaEdge().runtime  # one of its own: what others left behind counts, too
    function = runtime.globals()[job.function.encode()]
    instructions, taken = runtime.eval(_COUNT)(function, *job.arguments())
    return {INSTRUCTIONS: int(instructions), TAKEN: int(taken)}


def _body(more: str, size: int) -> tuple[bytes, bytes]:
    part = b'{"type":"text","text":"%s"}' % (b"~" * size)
    return _chat(more, part)


def _image(size: int) -> tuple[bytes, bytes]:
    part = b'{"type":"image_url","image_url":{"url":"data:image/png;base64,%s"}}' % (b"A" * size)
    return _chat("", part)


def _chat(more: str, part: bytes) -> tuple[bytes, bytes]:
    turns = b'[{"role":"user","content":[%s]}]' % part
    return b'{"model":"m",%s"messages":%s}' % (more.encode(), turns), CHAT.encode()
