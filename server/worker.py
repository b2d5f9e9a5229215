"""A worker process: one gRPC server, told what to serve by the supervisor over a socket.

`python -m server.worker FD`, where FD is the worker's end of the socket; `server.control` says what is said
over it. The socket's end means that the supervisor is gone; then the worker goes too.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys

import msgspec
import uvloop

from server import app, listening
from server.config import Secrets, Settings
from server.control import MAX_ORDER, Order, Ready
from server.errors import SettingsError
from server.peers import Link


def run(control_fd: int) -> int:
    """Serves until told to stop. The exit code is 2 where the order cannot be carried out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
    # A caller that leaves while it is being written to is no error; grpc logs a traceback for it.
    logging.getLogger("grpc._cython.cygrpc").addFilter(lambda record: not _is_farewell(record))
    return uvloop.run(_run(socket.socket(fileno=control_fd)))


def _is_farewell(record: logging.LogRecord) -> bool:
    kind = record.exc_info[0] if record.exc_info else None
    return kind is not None and kind.__name__ == "ExecuteBatchError"


async def _run(control: socket.socket) -> int:
    reader, writer = await asyncio.open_connection(sock=control, limit=MAX_ORDER)
    order = msgspec.json.decode(await reader.readline(), type=Order)
    if order.settings.batch_scheduling:
        _interrupt_nobody()
    link = Link(reader, writer)
    stop, leave = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    try:
        async with app.worker(order, Secrets(os.environ), link) as serving:
            # What is there now stays: a full collection would look through it for nothing, for some 13 ms.
            gc.collect()
            gc.freeze()
            listening.hand_over(serving.port)
            link.say(Ready(port=serving.port))
            talking = asyncio.create_task(link.run(serving.board.learn, leave.set))
            await _serve(serving, order.settings, talking, stop, leave)
    except (SettingsError, RuntimeError, OSError) as error:
        link.say(Ready(error=" ".join(str(error).split())))
        await writer.drain()
        return 2
    finally:
        writer.close()
    return 0


def _interrupt_nobody() -> None:
    """Has this thread, and those that it starts, wait for the end of another's turn where no core is free.

    Otherwise a worker stops who sends it something, a caller or Envoy, in the middle of sending: there are
    more switches, and each finds less to do. Where other programs take all cores it costs milliseconds.
    https://man7.org/linux/man-pages/man7/sched.7.html (SCHED_BATCH)
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # where a sandbox forbids it, all works as well
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


async def _serve(
    serving: app.Worker,
    settings: Settings,
    talking: asyncio.Task[None],
    stop: asyncio.Event,
    leave: asyncio.Event,
) -> None:
    """Serves until it is to stop or to leave, and has done so; until the supervisor is gone at most."""
    stopped, left = asyncio.create_task(stop.wait()), asyncio.create_task(leave.wait())
    leaving: asyncio.Task[None] | None = None
    try:
        await asyncio.wait((talking, stopped, left), return_when=asyncio.FIRST_COMPLETED)
        if left.done() and not stopped.done():
            leaving = asyncio.create_task(serving.leave(settings.grace))
            await asyncio.wait((talking, stopped, leaving), return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():
            await serving.drain(settings.grace)
    finally:
        for task in filter(None, (talking, stopped, left, leaving)):
            task.cancel()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    sys.exit(run(int(sys.argv[1])))
