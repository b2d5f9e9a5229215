"""What a fault is, and how those of a module are told by name."""

from collections.abc import Awaitable, Callable

from tests.hostile.answers import JSON, STREAMED
from tests.hostile.call import Call

Fault = Callable[[Call], Awaitable[None]]
Faults = dict[str, Fault]


def into(faults: Faults) -> Callable[[Fault], Fault]:
    """Makes a function the fault of its name, with `-` for `_`."""

    def add(function: Fault) -> Fault:
        faults[function.__name__.removeprefix("_").replace("_", "-")] = function
        return function

    return add


def kind(call: Call) -> str:
    """The content type of what was asked for."""
    return STREAMED if call.stream else JSON
