"""Counts what a worker does, whatever its modules are. Python imports this at its start where the folder is
on PYTHONPATH.

What the thread of the event loop calls is counted by function, and what the loop is asked for by method.
To whoever connects to the socket in $INTERFERENCE_COUNTS it answers one question a line, in JSON: `events`,
how many have been counted; `counts` since the last such question; `blocks`, those of memory that are held;
`trace` notes from then on what memory is taken, and `peak` ends that: the most bytes that were held since,
beyond what is held now. This file's own calls do not count.
"""

import asyncio
import gc
import json
import os
import socket
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable
from functools import wraps
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_ITERABLE_COROUTINE
from types import CodeType, FrameType
from typing import Any

_RESUMED = CO_COROUTINE | CO_ASYNC_GENERATOR | CO_ITERABLE_COROUTINE
_LOOP = ("call_soon", "call_soon_threadsafe", "call_later", "call_at", "create_task")

_python: Counter[CodeType] = Counter()
_builtin: Counter[str] = Counter()
_loop: Counter[str] = Counter()
_ALL: tuple[Counter[Any], ...] = (_python, _builtin, _loop)


def _count(frame: FrameType, event: str, arg: Any) -> None:
    if frame.f_code.co_filename == __file__:
        return
    if event == "call":
        _python[frame.f_code] += 1
    elif event == "c_call":
        _builtin[getattr(arg, "__qualname__", None) or type(arg).__qualname__] += 1


def _counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def asked(*args: Any, **named: Any) -> Any:
        _loop[name] += 1
        return method(*args, **named)

    return asked


# The loop's thread goes on counting meanwhile: what is iterated over is copied at once.
def _events() -> int:
    return sum(sum(tuple(counted.values())) for counted in _ALL)


def _forget() -> None:
    for counted in _ALL:
        counted.clear()


def _profiled(run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def running(*args: Any) -> Any:
        sys.setprofile(_count)  # which is for the thread that runs the loop, and not before: it is slow
        return run(*args)

    return running


def _counts() -> dict[str, dict[str, int]]:
    """By kind and name. A coroutine and an asynchronous generator count each time they go on."""
    called: Counter[str] = Counter()
    resumed: Counter[str] = Counter()
    for code, count in tuple(_python.items()):
        kind = resumed if code.co_flags & _RESUMED else called
        kind[f"{_short(code.co_filename)}:{code.co_qualname}"] += count
    told = {"called": called, "resumed": resumed, "builtin": dict(_builtin), "loop": dict(_loop)}
    _forget()
    return told


def _short(path: str) -> str:
    return "/".join(path.replace(os.sep, "/").split("/")[-2:])


def _blocks() -> int:
    _forget()  # which is memory, too
    gc.collect()  # what is only waiting to be collected is not held
    return sys.getallocatedblocks()


def _trace() -> None:
    _forget()
    tracemalloc.start()


def _peak() -> int:
    now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most - now


def _answer(listener: socket.socket) -> None:
    questions: dict[str, Callable[[], Any]] = {
        "events": _events,
        "counts": _counts,
        "blocks": _blocks,
        "trace": _trace,
        "peak": _peak,
    }
    asker, _ = listener.accept()
    with asker, asker.makefile("rw", encoding="utf-8") as lines:
        for question in lines:
            lines.write(json.dumps(questions[question.strip()]()) + "\n")
            lines.flush()


def _install(path: str) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    threading.Thread(target=_answer, args=(listener,), daemon=True).start()
    import uvloop  # in no other process that this folder is given to

    for kind in (uvloop.Loop, asyncio.SelectorEventLoop):
        for name in _LOOP:
            setattr(kind, name, _counted(name, getattr(kind, name)))
        setattr(kind, "run_until_complete", _profiled(kind.run_until_complete))  # noqa: B010


if "INTERFERENCE_COUNTS" in os.environ and "server.worker" in sys.orig_argv:
    _install(os.environ["INTERFERENCE_COUNTS"])
