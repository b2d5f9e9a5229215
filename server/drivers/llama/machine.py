"""Has models compute, each in a thread of its own, and sees to who is next and which are loaded.

The event loop never waits for a computation: it hands work over, and is handed what comes of it.
"""

import asyncio
import ctypes
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from server.drivers.llama.folder import ModelFile
from server.drivers.llama.turns import Turns
from server.errors import AttemptFailed

P = TypeVar("P")


class Engine(Protocol):
    """A loaded model; it is used by one thread at a time."""

    def close(self) -> None:
        """Lets go of the model."""
        ...


E = TypeVar("E", bound=Engine)
Load = Callable[[ModelFile], E]


class Halt:
    """Tells a computation to stop.

    `flag` is a C string that is empty until then, for code that must look without Python: see
    `server.drivers.llama.engine`.
    """

    def __init__(self) -> None:
        self.flag = ctypes.create_string_buffer(2)

    @property
    def told(self) -> bool:
        """Whether it is to stop."""
        return bool(self.flag.value)

    def tell(self) -> None:
        """Has it stop."""
        self.flag.value = b"x"


class _Slot(Generic[E]):
    """Room for one model, and the thread that it computes in.

    `file` is the model that is there or on its way, as the event loop knows it; `engine` is the thread's.
    """

    def __init__(self, number: int) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=f"llama-{number}")
        self.file: ModelFile | None = None
        self.halt: Halt | None = None  # of the work that is being done
        self.used = 0  # when, by the machine's own count
        self.engine: E | None = None
        self._loaded: ModelFile | None = None

    def holds(self, file: ModelFile) -> bool:
        return self.file is not None and _same(self.file, file)

    def ready(self, file: ModelFile, load: "Load[E]") -> E:
        """The model, loaded first where it is another; in the slot's thread."""
        if self.engine is None or self._loaded is None or not _same(self._loaded, file):
            self.empty()
            self.engine, self._loaded = load(file), file
        return self.engine

    def empty(self) -> None:
        """Unloads the model; in the slot's thread."""
        engine, self.engine, self._loaded = self.engine, None, None
        if engine is not None:
            engine.close()


@dataclass(frozen=True, eq=False)
class _Waiting(Generic[E]):
    """A request that waits for a slot."""

    file: ModelFile
    came: "asyncio.Future[tuple[_Slot[E], Halt]]"


class Machine(Generic[E]):
    """So many models at a time, of which the one that was not used for the longest time makes room.

    A model is never loaded twice: who wants one that is at work waits for it.
    """

    def __init__(self, loaded: int, load: "Load[E]") -> None:
        self._load = load
        self._slots: list[_Slot[E]] = [_Slot(number) for number in range(loaded)]
        self._turns: Turns[_Waiting[E]] = Turns()
        self._clock = 0

    async def stream(
        self, caller: str, file: ModelFile, queue: int, work: Callable[[E, Halt], Generator[P, None, None]]
    ) -> AsyncGenerator[Sequence[P], None]:
        """What the work gives, as it comes, in pieces that came together.

        `queue` is how many may wait. Closing it stops the work, and gives the model to the next. Raises
        `AttemptFailed` where too many wait, and what the work raises.
        """
        slot, halt = await self._entered(caller, file, queue)
        loop = asyncio.get_running_loop()
        pipe: _Pipe[P] = _Pipe(loop)

        def compute() -> None:
            if halt.told:
                return
            with closing(work(slot.ready(file, self._load), halt)) as pieces:
                for piece in pieces:
                    pipe.put(piece)
                    if halt.told:
                        return

        done = loop.run_in_executor(slot.thread, compute)
        done.add_done_callback(lambda _: self._free(slot))
        done.add_done_callback(pipe.end)
        try:
            while pieces := await pipe.get():
                yield pieces
            await done
        finally:
            halt.tell()
            done.add_done_callback(_seen)

    async def close(self) -> None:
        """Stops all work and unloads all models."""
        for slot in self._slots:
            if slot.halt is not None:
                slot.halt.tell()
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(slot.thread, slot.empty) for slot in self._slots))
        for slot in self._slots:
            slot.thread.shutdown(wait=False, cancel_futures=True)

    async def _entered(self, caller: str, file: ModelFile, queue: int) -> "tuple[_Slot[E], Halt]":
        if len(self._turns) >= queue and self._slot(file) is None:
            raise AttemptFailed("overloaded", f"has {queue} requests waiting already", retry_after=1.0)
        came: asyncio.Future[tuple[_Slot[E], Halt]] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(file, came)
        self._turns.add(caller, waiting)
        self._serve()
        try:
            return await came
        except asyncio.CancelledError:
            self._turns.remove(caller, waiting)
            if came.done() and not came.cancelled():  # its turn came at the same moment
                self._free(came.result()[0])
            raise

    def _serve(self) -> None:
        """Gives what is free to those whose turn it is."""
        while (waiting := self._turns.next(lambda one: self._slot(one.file) is not None)) is not None:
            slot = self._slot(waiting.file)
            if slot is None or waiting.came.done():  # it has left
                continue
            self._clock += 1
            slot.file, slot.used, slot.halt = waiting.file, self._clock, Halt()
            waiting.came.set_result((slot, slot.halt))

    def _slot(self, file: ModelFile) -> "_Slot[E] | None":
        """The slot that a model can be had from now: its own, an empty one, or the one used longest ago."""
        for slot in self._slots:
            if slot.holds(file):
                return slot if slot.halt is None else None
        idle = [slot for slot in self._slots if slot.halt is None]
        return min(idle, key=lambda slot: (slot.file is not None, slot.used), default=None)

    def _free(self, slot: "_Slot[E]") -> None:
        slot.halt = None
        if slot.engine is None:  # it could not be loaded, or was not begun with
            slot.file = None
        self._serve()


class _Pipe(Generic[P]):
    """What a thread gives to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._there = asyncio.Event()
        self._pieces: deque[P] = deque()
        self._called = False  # whether the loop has been told, and has not looked yet
        self._ended = False

    def put(self, piece: P) -> None:
        """Gives a piece; from the thread."""
        self._pieces.append(piece)
        if not self._called:
            self._called = True
            with suppress(RuntimeError):  # the loop has ended, and with it the halt was told
                self._loop.call_soon_threadsafe(self._there.set)

    def end(self, _: object) -> None:
        """Says that no more will come; from the event loop."""
        self._ended = True
        self._there.set()

    async def get(self) -> list[P]:
        """What has come since; nothing at the end."""
        while True:
            self._there.clear()
            self._called = False
            if self._pieces or self._ended:
                return [self._pieces.popleft() for _ in range(len(self._pieces))]
            await self._there.wait()


def _same(one: ModelFile, other: ModelFile) -> bool:
    return one.path == other.path and one.stamp == other.stamp


def _seen(done: "asyncio.Future[None]") -> None:
    """A failure of work that nobody waits for any more is nobody's."""
    if not done.cancelled():
        done.exception()
