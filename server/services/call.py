"""What every servicer needs to know of a call: who calls, from where, and until when."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc.aio

from server.errors import InvalidRequest, Unavailable
from server.operations import Request
from server.routing.attempt import Deadline

Context = grpc.aio.ServicerContext[Any, Any]


_MARGIN = 0.02  # seconds

# What a call's task is cancelled with when the server ends, and not because its caller left.
ENDING = "the server is ending"


@contextmanager
def ending() -> Iterator[None]:
    """Makes an error for the caller of the server's end, which comes as a cancellation."""
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or error.args != (ENDING,):
            raise
        task.uncancel()
        raise Unavailable("The server is being stopped. Try again.", reason="stopping") from None


def metadata(context: Context) -> Mapping[str, str]:
    """The call's headers, names in lower case; of a repeated one the last."""
    return {key: str(value) for key, value in context.invocation_metadata() or ()}


def chosen(context: Context) -> list[str]:
    """The providers that the path of a REST call names (`/api/{provider}/v1/...`)."""
    given = metadata(context).get("x-interference-provider")
    names = list(dict.fromkeys((given or "").split()))
    if given is not None and not names:
        raise InvalidRequest("The path names no provider: /api/{provider}/v1/...", param="provider")
    return names


def choose(request: Request, context: Context) -> None:
    """Makes the path's providers those of the request. Raises `InvalidRequest` where that names others."""
    if not (names := chosen(context)):
        return
    if request.providers and list(dict.fromkeys(request.providers)) != names:
        raise InvalidRequest(
            f"provider is {' '.join(request.providers)} in the body and {' '.join(names)} in the path; "
            "name it in one place.",
            param="provider",
        )
    request.providers[:] = names


def is_rest(headers: Mapping[str, str]) -> bool:
    """Whether Envoy transcoded the call from REST."""
    return "x-envoy-original-path" in headers


def deadline(context: Context) -> Deadline:
    """Until when to answer, on the event loop's clock; None where the caller waits for ever.

    A moment before the caller's own deadline: at that, gRPC ends the call itself, and says nothing of the
    attempts.
    """
    remaining = context.time_remaining()
    return None if remaining is None else asyncio.get_running_loop().time() + remaining - _MARGIN
