"""The soak's callers: each sends a request over one way and tells what came, in terms that are the same for
all."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc.aio
import msgspec
from google.protobuf.json_format import MessageToDict
from google.rpc.status_pb2 import Status

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.completions_pb2 import CreateTextCompletionRequest
from interference.v1.completions_pb2_grpc import CompletionsStub
from interference.v1.error_pb2 import ErrorResponse
from tests.service import Service
from tests.soak import servicelog
from tests.soak.asks import Ask
from tests.soak.judge import Came

_OURS, _TOLD = "x-interference-", ("provider", "model", "attempts")
_EVENT, _DONE = b"data: ", b"[DONE]"


class _Left(Exception):  # noqa: N818
    """The caller leaves."""


class _Odd(Exception):  # noqa: N818
    """Something came that no caller may ever see."""


@dataclass(frozen=True)
class Callers:
    """The open ways into a service."""

    rest: aiohttp.ClientSession
    base_url: str
    envoy: grpc.aio.Channel
    workers: Sequence[grpc.aio.Channel]

    async def send(self, ask: Ask) -> Came:
        """Sends a request, and leaves where it says so. Never raises for what came."""
        came = Came()
        leaving = ask.leaving.seconds if ask.leaving and not ask.leaving.after_content else None
        began = time.perf_counter()
        try:
            async with asyncio.timeout(ask.patience):
                try:
                    async with asyncio.timeout(leaving):
                        await (self._rest(ask, came) if ask.way == "REST" else self._grpc(ask, came))
                except TimeoutError:
                    if leaving is None:
                        raise
                    came.left = True
        except TimeoutError:
            came.fault = "hangs"
        except _Left:
            came.left = True
        except _Odd as error:
            came.fault = str(error)
        except (aiohttp.ClientError, OSError, ValueError, msgspec.DecodeError) as error:
            came.fault = f"{type(error).__name__}: {error}"
        came.seconds = time.perf_counter() - began
        return came

    async def _rest(self, ask: Ask, came: Came) -> None:
        url = f"{self.base_url}/{'completions' if ask.text else 'chat/completions'}"
        headers = {"content-type": "application/json", **_headers(ask)}
        async with self.rest.post(url, data=msgspec.json.encode(_body(ask)), headers=headers) as answer:
            try:
                came.code = answer.status
                came.headers = {
                    name: answer.headers[_OURS + name] for name in _TOLD if _OURS + name in answer.headers
                }
                if answer.status != 200:
                    came.error = _object(await answer.read())
                elif ask.stream:
                    await _read_events(ask, came, answer)
                else:
                    _see(came, _object(await answer.read()))
                    came.done = True
            except BaseException:
                answer.close()  # rather than read to the end
                raise

    async def _grpc(self, ask: Ask, came: Came) -> None:
        channel = self.envoy
        if ask.way == "worker":
            channel = self.workers[ask.prompt.request % len(self.workers)]
        stub: Any = CompletionsStub(channel) if ask.text else ChatStub(channel)
        noun = "TextCompletion" if ask.text else "Completion"
        send = getattr(stub, f"{'Stream' if ask.stream else 'Create'}{noun}")
        deadline = ask.timeout if ask.saying == "call" else None
        call = send(_message(ask), timeout=deadline, metadata=tuple(_headers(ask).items()))
        try:
            if ask.stream:
                async for chunk in call:
                    _see(came, _plain(chunk))
                    _leave_after_content(ask, came)
            else:
                _see(came, _plain(await call))
            came.code, came.done = "OK", True
        except grpc.aio.AioRpcError as error:
            _see_status(came, error)
        finally:
            call.cancel()


@asynccontextmanager
async def connected(service: Service) -> AsyncIterator[Callers]:
    """Callers of a service, whose connections are closed at the end."""
    async with AsyncExitStack() as stack:
        rest = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
            )
        )
        addresses = [service.envoy, *(f"127.0.0.1:{port}" for port in service.worker_ports)]
        envoy, *workers = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address)) for address in addresses
        ]
        yield Callers(rest, service.base_url, envoy, workers)


# --- Requests --------------------------------------------------------------------------------------


def _members(ask: Ask) -> dict[str, Any]:
    """What the request says in JSON and in a message alike."""
    members: dict[str, Any] = {"model": ask.model}
    if ask.cache_key:
        members["user" if ask.text else "prompt_cache_key"] = ask.cache_key
    if ask.timeout is not None and ask.saying == "body":
        members["timeout"] = ask.timeout
    if ask.hedge is not None:
        members["hedge"] = {"delay": ask.hedge} if ask.hedge else {}
    return members


def _body(ask: Ask) -> dict[str, Any]:
    said: dict[str, Any] = {"prompt": str(ask.prompt)}
    if not ask.text:
        said = {"messages": [{"role": "user", "content": str(ask.prompt)}]}
    body = _members(ask) | said | {"stream": ask.stream}
    return body | ({"provider": " ".join(ask.providers)} if ask.providers else {})


def _message(ask: Ask) -> CreateCompletionRequest | CreateTextCompletionRequest:
    parts: Any = [{"text": str(ask.prompt)}]
    members = _members(ask) | {"providers": ask.providers}
    if ask.text:
        return CreateTextCompletionRequest(prompt=parts, **members)
    messages: Any = [{"role": "user", "content": parts}]
    return CreateCompletionRequest(messages=messages, **members)


def _headers(ask: Ask) -> dict[str, str]:
    headers = {"x-request-id": servicelog.request_id(ask.prompt.request)}
    if ask.timeout is not None and ask.saying == "header":
        headers["x-request-timeout"] = f"{ask.timeout:g}"
    if ask.timeout is not None and ask.saying == "call" and ask.way == "REST":
        headers["grpc-timeout"] = f"{ask.timeout * 1000:.0f}m"
    return headers


# --- Answers ---------------------------------------------------------------------------------------


def _object(data: bytes) -> dict[str, Any]:
    decoded = msgspec.json.decode(data)
    if not isinstance(decoded, dict):
        raise _Odd(f"not an object: {data[:200]!r}")
    return decoded


def _plain(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)


def _see(came: Came, answer: Mapping[str, Any]) -> None:
    """Takes a whole answer, or the next chunk of one."""
    came.providers.add(answer.get("provider", ""))
    came.routing |= answer.get("routing", {})
    for choice in answer.get("choices", ()):
        said = choice.get("message") or choice.get("delta") or {}
        came.content += choice.get("text") or said.get("content") or ""
        if choice.get("finish_reason"):
            came.finished = True


def _leave_after_content(ask: Ask, came: Came) -> None:
    if came.content and ask.leaving and ask.leaving.after_content:
        raise _Left


async def _read_events(ask: Ask, came: Came, answer: aiohttp.ClientResponse) -> None:
    """Reads server-sent events to their end. Nothing may follow `[DONE]` or an error."""
    buffer = b""
    async for block in answer.content.iter_any():
        *events, buffer = (buffer + block).split(b"\n\n")
        for event in events:
            if came.done or came.error:
                raise _Odd(f"an event after the end: {event[:200]!r}")
            _see_event(came, event)
        _leave_after_content(ask, came)
    if buffer:
        raise _Odd(f"half an event at the end: {buffer[:200]!r}")


def _see_event(came: Came, event: bytes) -> None:
    if not event.startswith(_EVENT):
        raise _Odd(f"not an event: {event[:200]!r}")
    data = event.removeprefix(_EVENT)
    if data == _DONE:
        came.done = True
        return
    chunk = _object(data)
    if "error" in chunk:
        came.error = chunk
    else:
        _see(came, chunk)


def _see_status(came: Came, error: grpc.aio.AioRpcError) -> None:
    """Takes a failed call's status, with the `ErrorResponse` among its details."""
    came.code, came.words = error.code().name, error.details() or ""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin" and isinstance(value, bytes):
            found = ErrorResponse()
            if any(packed.Unpack(found) for packed in Status.FromString(value).details):
                came.error = _plain(found)
