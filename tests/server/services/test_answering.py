"""What leaves of a call over REST, and when: bodies that are ready together leave together."""

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from google.api.httpbody_pb2 import HttpBody

from server.services.answering import Sender

if TYPE_CHECKING:
    from server.services.call import Context


class Reader:
    """Takes what is written, one message at a time, as a reader that may be slow."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.gone = False

    async def write(self, body: HttpBody) -> None:
        await self.may_read.wait()
        if self.gone:
            raise ConnectionError
        assert body.content_type == "a"
        self.read.append(body.data.decode())


def body(text: str) -> HttpBody:
    return HttpBody(content_type="a", data=text.encode())


def sending(reader: Reader) -> Sender:
    return Sender(cast("Context", reader))


async def until_idle() -> None:
    """Waits until nothing that is ready is left to do."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_ready_together_leaves_together() -> None:
    sender = sending(reader := Reader())
    for text in ("1", "2", "3"):
        await sender.send(body(text))
    await sender.flush()
    assert reader.read == ["123"]


async def test_nothing_waits_for_what_is_not_there_yet() -> None:
    sender = sending(reader := Reader())
    for text in ("1", "2"):
        await sender.send(body(text))
        await until_idle()
        assert reader.read[-1] == text
    await sender.flush()
    assert reader.read == ["1", "2"]


async def test_what_comes_while_a_message_leaves_leaves_with_the_next() -> None:
    sender = sending(reader := Reader())
    reader.may_read.clear()
    await sender.send(body("1"))
    await until_idle()
    await sender.send(body("2"))
    await sender.send(body("3"))
    await until_idle()
    reader.may_read.set()
    await until_idle()
    assert reader.read == ["1", "23"]


async def test_a_slow_reader_is_waited_for() -> None:
    sender = sending(reader := Reader())
    reader.may_read.clear()
    await sender.send(body("1" * 60_000))
    sent = asyncio.create_task(sender.send(body("2" * 60_000)))
    await until_idle()
    assert not sent.done()
    reader.may_read.set()
    await sent
    assert sum(map(len, reader.read)) == 120_000


async def test_a_reader_that_has_gone_ends_the_call() -> None:
    sender = sending(reader := Reader())
    reader.gone = True
    await sender.send(body("1"))
    with pytest.raises(ConnectionError):
        await sender.flush()


async def test_a_call_learns_with_its_next_body_that_its_reader_has_gone() -> None:
    sender = sending(reader := Reader())
    reader.gone = True
    await sender.send(body("1"))
    await until_idle()
    with pytest.raises(ConnectionError):
        await sender.send(body("2"))


async def test_a_call_that_is_given_up_leaves_nothing_behind() -> None:
    sender = sending(reader := Reader())
    reader.may_read.clear()
    await sender.send(body("1"))
    await until_idle()
    await sender.send(body("2"))
    sender.close()
    reader.may_read.set()
    await until_idle()
    assert reader.read == []
