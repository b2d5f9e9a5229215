"""Runs the functions of a client's script, in the client's environment: `python serve.py SCRIPT`.

Reads calls from stdin, a line of JSON each: `{"task": name, "arguments": {...}, "first": bool}`. Writes a
line of JSON for each to stdout: `{"gave": ...}`, or `{"raised": {...}}` with what its user sees.
A generator gives the list of its pieces, or with `first` the first that is not empty, and is closed then.
"""

import asyncio
import contextlib
import importlib.util
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any


def main(path: str) -> None:
    # What a client prints must not be taken for an outcome.
    outcomes = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    script = _load(path)
    for line in sys.stdin:
        call = json.loads(line)
        outcome = _outcome(getattr(script, call["task"]), call["arguments"], first=call["first"])
        outcomes.write(json.dumps(outcome) + "\n")
        outcomes.flush()


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("client_script", path)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    # Libraries resolve the annotations of the script's classes and functions through this.
    sys.modules[spec.name] = script
    spec.loader.exec_module(script)
    return script


def _outcome(task: Callable[..., Any], arguments: dict[str, Any], *, first: bool) -> dict[str, Any]:
    try:
        given = task(**arguments)
        if inspect.isasyncgen(given) or inspect.iscoroutine(given):
            given = asyncio.run(_awaited(given, first=first))
        elif inspect.isgenerator(given):
            with contextlib.closing(given):
                given = next(filter(None, given)) if first else list(given)
    except Exception as error:
        return {"raised": _told(error)}
    return {"gave": given}


async def _awaited(given: Any, *, first: bool) -> Any:
    if inspect.iscoroutine(given):
        return await given
    async with contextlib.aclosing(given):
        if not first:
            return [piece async for piece in given]
        return await anext(piece async for piece in given if piece)


def _told(error: Exception) -> dict[str, Any]:
    """The exception's class; the rest is its own or that of the one it was raised from."""
    chain = list(_chain(error))
    responses = [found for found in (getattr(e, "response", None) for e in chain) if found is not None]
    return {
        "class": type(error).__name__,
        "status": next((e.status_code for e in chain if getattr(e, "status_code", None)), None),
        "message": str(error),
        "body": next((e.body for e in chain if getattr(e, "body", None)), None),
        "retry_after": next((r.headers.get("retry-after") for r in responses), None),
        "traceback": "".join(traceback.format_exception(error)),
    }


def _chain(error: BaseException | None) -> Iterator[Any]:
    while error:
        yield error
        error = error.__cause__


if __name__ == "__main__":
    main(sys.argv[1])
