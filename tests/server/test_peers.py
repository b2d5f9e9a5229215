"""The hub and its links over real sockets, and what either may be given."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.control import MAX_LINE, Changed, Leave, Outbox, line
from server.peers import Hub, Link, Member
from server.routing.circuit import MOST, Change, State
from server.routing.health import Board
from server.rows import Breaker

LATE = 5.0  # seconds after which a test fails


@dataclass
class Clock:
    """A clock that the test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Worker:
    """A worker's side of a link, and what it has learnt."""

    link: Link
    writer: asyncio.StreamWriter
    known: dict[tuple[str, str], Change] = field(default_factory=dict)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def learn(self, change: Change) -> None:
        self.known[change.provider, change.model] = change
        self.heard.set()

    async def knows(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(LATE):
            while not holds():
                self.heard.clear()
                await self.heard.wait()


@asynccontextmanager
async def joined(hub: Hub, name: str = "worker") -> AsyncIterator[Worker]:
    """A worker that has joined, until the block ends or it closes its writer."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE)
    serving = asyncio.create_task(hub.serve(hub.join(name), reader, writer))
    far_reader, far_writer = await asyncio.open_connection(sock=theirs)
    worker = Worker(Link(far_reader, far_writer), far_writer)
    running = asyncio.create_task(worker.link.run(worker.learn, worker.left.set))
    try:
        yield worker
    finally:
        far_writer.close()
        await asyncio.wait_for(serving, LATE)
        writer.close()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def change(state: State, until: float = 0.0, *, model: str = "m", times: int = 1) -> Change:
    """A change of provider A's."""
    return Change("A", model, state, "why", until, times)


async def test_a_change_reaches_all_others_and_not_who_made_it() -> None:
    hub = Hub()
    async with joined(hub) as one, joined(hub) as two, joined(hub) as three:
        one.link.publish(told := change("open", 5.0))
        await two.knows(lambda: two.known == {("A", "m"): told})
        await three.knows(lambda: three.known == {("A", "m"): told})
        three.link.publish(done := change("closed"))
        await one.knows(lambda: one.known == {("A", "m"): done})


async def test_one_who_joins_is_told_what_is_known() -> None:
    hub = Hub()
    async with joined(hub) as one, joined(hub) as two:
        one.link.publish(change("open", 5.0))
        one.link.publish(change("closed", model="well", times=0))
        one.link.publish(last := change("limited", 9.0, model=""))
        await two.knows(lambda: len(two.known) == 3)
        async with joined(hub) as late:
            await late.knows(lambda: ("A", "") in late.known)
            assert late.known == {("A", "m"): change("open", 5.0), ("A", ""): last}


async def test_two_who_speak_at_once_end_up_with_the_same() -> None:
    hub = Hub()
    async with joined(hub) as one, joined(hub) as two, joined(hub) as three:
        for worker, until in ((one, 1.0), (two, 2.0)):
            worker.learn(change("open", until))  # each holds what it has found out itself
            worker.link.publish(change("open", until))
        await three.knows(lambda: len(three.known) == 1)
        three.link.publish(change("open", 3.0, model="end"))
        for worker in (one, two):
            await worker.knows(lambda worker=worker: ("A", "end") in worker.known)  # type: ignore[misc]
        assert one.known["A", "m"] == two.known["A", "m"] == three.known["A", "m"]


@dataclass
class Far:
    """A worker without a socket: what it says and hears waits until the test lets it through."""

    hub: Hub
    member: Member
    state: float = 0.0
    heard: int = 0
    saying: Outbox = field(default_factory=Outbox)

    def finds_out(self, until: float) -> None:
        self.state = until
        self.saying.put("A", Changed(change("open", until), self.heard))

    def speaks(self) -> None:
        if len(self.saying):
            said = self.saying.pop()
            assert isinstance(said, Changed)
            self.hub.take(self.member, said)

    def hears(self) -> None:
        if len(self.member.outbox):
            told = self.member.outbox.pop()
            assert isinstance(told, Changed)
            self.heard, self.state = told.count, told.change.until


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["finds out", "speaks", "hears"]))))
def test_however_it_comes_about_all_agree_in_the_end(steps: list[tuple[int, str]]) -> None:
    hub = Hub()
    workers = [Far(hub, hub.join(str(index))) for index in range(3)]
    for number, (index, step) in enumerate(steps):
        worker = workers[index]
        if step == "finds out":
            worker.finds_out(float(number + 1))
        elif step == "speaks":
            worker.speaks()
        else:
            worker.hears()
    for worker in workers:
        worker.speaks()
    for worker in workers:
        worker.hears()
    assert len({worker.state for worker in workers}) == 1


async def test_boards_that_are_linked_agree() -> None:
    hub, row = Hub(), Breaker(failures=1)
    async with joined(hub) as one, joined(hub) as two:
        boards = []
        for worker in (one, two):
            boards.append(board := Board(worker.link))
            board.add("A", row)
        boards[0].limit("A", 30.0)
        await two.knows(lambda: bool(two.known))
        boards[1].learn(two.known["A", ""])
        assert boards[1].circuit("A").change() == boards[0].circuit("A").change()


async def test_one_at_a_time_may_probe() -> None:
    clock = Clock()
    hub = Hub(clock)
    asked = change("half_open", clock.now + 30)
    async with joined(hub) as one, joined(hub) as two:
        assert await one.link.may_probe(asked)
        assert not await two.link.may_probe(asked)
        assert await two.link.may_probe(change("half_open", clock.now + 30, model="another"))
        assert await one.link.may_probe(asked)  # its own board sees to it that it does so once


@pytest.mark.parametrize("state", ["closed", "open"])
async def test_a_probe_ends_with_what_it_found_out(state: State) -> None:
    clock = Clock()
    hub = Hub(clock)
    asked = change("half_open", clock.now + 30)
    async with joined(hub) as one, joined(hub) as two:
        assert await one.link.may_probe(asked)
        one.link.publish(asked)
        await two.knows(lambda: two.known == {("A", "m"): asked})
        assert not await two.link.may_probe(asked)
        one.link.publish(change(state, clock.now + 10))
        await two.knows(lambda: two.known["A", "m"].state == state)
        assert not await two.link.may_probe(asked)  # it is closed, or its cool-down is not over
        clock.now += 11
        one.link.publish(change("open", clock.now))
        await two.knows(lambda: two.known["A", "m"].until == clock.now)
        assert await two.link.may_probe(asked)


async def test_a_probe_of_one_who_is_gone_is_anothers() -> None:
    clock = Clock()
    hub = Hub(clock)
    asked = change("half_open", clock.now + 30)
    async with joined(hub) as two:
        async with joined(hub) as one:
            assert await one.link.may_probe(asked)
            one.link.publish(asked)
            await two.knows(lambda: two.known == {("A", "m"): asked})
        await two.knows(lambda: two.known == {("A", "m"): change("open", clock.now)})
        assert await two.link.may_probe(asked)


async def test_a_grant_without_a_word_ends_after_its_time() -> None:
    clock = Clock()
    hub = Hub(clock)
    async with joined(hub) as one, joined(hub) as two:
        assert await one.link.may_probe(change("half_open", clock.now + 10_000))
        clock.now += 59
        assert not await two.link.may_probe(change("half_open", clock.now + 30))
        clock.now += 2
        assert await two.link.may_probe(change("half_open", clock.now + 30))


async def test_without_an_answer_a_worker_probes() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        reader, writer = await asyncio.open_connection(sock=theirs)
        began = asyncio.get_running_loop().time()
        assert await Link(reader, writer).may_probe(change("half_open"))
        assert 0.15 < asyncio.get_running_loop().time() - began < LATE
        writer.close()


async def test_a_worker_that_does_not_read_holds_nobody_up_and_costs_little() -> None:
    hub = Hub()
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    member = hub.join("deaf")
    serving = asyncio.create_task(hub.serve(member, reader, writer))
    try:
        async with joined(hub) as one, joined(hub) as two:
            for number in range(3 * MOST):
                one.link.publish(Change("A", f"m{number}", "open", "x" * 1000, 1.0))
                await asyncio.sleep(0)
            one.link.publish(last := change("open"))
            await two.knows(lambda: ("A", "m") in two.known)
            assert two.known["A", "m"] == last
            assert len(member.outbox) <= MOST
            assert writer.transport.get_write_buffer_size() < 2**20
    finally:
        theirs.close()
        await asyncio.wait_for(serving, LATE)
        writer.close()


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"\n", id="empty"),
        pytest.param(b"{\n", id="no JSON"),
        pytest.param(b"[" * 100_000 + b"\n", id="deep"),
        pytest.param(b'"\xff"\n', id="no UTF-8"),
        pytest.param(b"null\n", id="another type"),
        pytest.param(b'{"type":"leave"}\n', id="a word of the other side"),
        pytest.param(b'{"type":"changed","change":{"provider":1}}\n', id="a wrong member"),
        pytest.param(b"a" * (3 * MAX_LINE) + b"\n", id="a long line"),
    ],
)
async def test_what_is_not_understood_is_passed_over(said: bytes) -> None:
    hub = Hub()
    async with joined(hub) as one, joined(hub) as two:
        one.writer.write(said)
        await one.writer.drain()
        one.link.publish(told := change("open"))
        await two.knows(lambda: two.known == {("A", "m"): told})


async def test_the_end_in_the_middle_of_a_line_is_an_end() -> None:
    hub = Hub()
    async with joined(hub) as one, joined(hub) as two:
        async with joined(hub) as gone:
            gone.writer.write(line(Changed(change("open")))[:-1])
            await gone.writer.drain()
        one.link.publish(told := change("closed"))
        await two.knows(lambda: two.known == {("A", "m"): told})


async def test_a_worker_is_told_to_leave() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs)
    left = asyncio.Event()
    running = asyncio.create_task(Link(reader, writer).run(lambda _: None, left.set))
    ours.sendall(line(Leave()))
    await asyncio.wait_for(left.wait(), LATE)
    ours.close()
    await asyncio.wait_for(running, LATE)  # the supervisor is gone
    writer.close()


def test_a_line_is_one_line() -> None:
    said = line(Changed(msgspec.structs.replace(change("open"), reason="two\nlines \u2028 and more")))
    assert said.count(b"\n") == 1
