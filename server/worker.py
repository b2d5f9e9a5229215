"""A worker process: one gRPC server, told what to serve by the supervisor over a socket.

`python -m server.worker FD`, where FD is the worker's end of the socket.

The supervisor sends one line of JSON (`Order`), the worker answers with one (`Ready`) when it serves.
The socket's end means that the supervisor is gone; then the worker goes too.
"""

import asyncio
import logging
import os
import signal
import socket
import sys

import msgspec
import uvloop

from server import app
from server.config import Secrets, Settings
from server.errors import SettingsError
from server.rows import Row

_MAX_LINE = 16 * 2**20


class Order(msgspec.Struct, frozen=True):
    """What to serve, and on which port (0: a free one)."""

    settings: Settings
    catalog: tuple[Row, ...]
    port: int


class Ready(msgspec.Struct, frozen=True):
    """The port served, or why it cannot be."""

    port: int = 0
    error: str = ""


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
    reader, writer = await asyncio.open_connection(sock=control, limit=_MAX_LINE)
    order = msgspec.json.decode(await reader.readline(), type=Order)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    try:
        async with app.worker(order.settings, order.catalog, Secrets(os.environ), order.port) as serving:
            writer.write(msgspec.json.encode(Ready(port=serving.port)) + b"\n")
            orphaned = asyncio.create_task(reader.read(1))
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait((orphaned, stopped), return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                await serving.drain(order.settings.grace)
            orphaned.cancel()
            stopped.cancel()
    except (SettingsError, RuntimeError, OSError) as error:
        writer.write(msgspec.json.encode(Ready(error=" ".join(str(error).split()))) + b"\n")
        await writer.drain()
        return 2
    finally:
        writer.close()
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    sys.exit(run(int(sys.argv[1])))
