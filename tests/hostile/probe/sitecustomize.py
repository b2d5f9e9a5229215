"""Lets a test see what a worker holds. Python imports this at its start where the folder is on PYTHONPATH.

To whoever connects to the socket of the process's id in $INTERFERENCE_PROBE it writes, as JSON, the names
of the unfinished asyncio tasks (`tasks`) and of the asynchronous generators that are not at their end
(`generators`).
"""

import asyncio
import gc
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from types import AsyncGeneratorType


def _tasks() -> Iterator[str]:
    for one in gc.get_objects():
        if issubclass(type(one), asyncio.Task) and not one.done():
            yield getattr(one.get_coro(), "__qualname__", "?")


def _generators() -> Iterator[str]:
    for one in gc.get_objects():
        if type(one) is AsyncGeneratorType and one.ag_frame is not None:
            yield one.__qualname__


def _tell(listener: socket.socket) -> None:
    while True:
        asker, _ = listener.accept()
        with asker:
            gc.collect()  # what is only waiting to be collected is not held
            asker.sendall(json.dumps({"tasks": [*_tasks()], "generators": [*_generators()]}).encode())


if "INTERFERENCE_PROBE" in os.environ and "server.worker" in sys.orig_argv:
    _listener = socket.socket(socket.AF_UNIX)
    _listener.bind(os.path.join(os.environ["INTERFERENCE_PROBE"], str(os.getpid())))  # noqa: PTH118
    _listener.listen()
    threading.Thread(target=_tell, args=(_listener,), daemon=True).start()
