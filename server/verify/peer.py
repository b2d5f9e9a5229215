"""The plug-in as the cases ask it: raw gRPC, so that nothing of ours mends what it says."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from server.verify.case import Fault, NotHad, shown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from server.verify.services import Method

M = TypeVar("M", bound=Message)
Metadata = tuple[tuple[str, str | bytes], ...]

_MOST_MESSAGES = 20_000  # of a stream
_MOST_BYTES = 64 * 2**20  # of an answer
OPTIONS = (("grpc.max_receive_message_length", _MOST_BYTES), ("grpc.primary_user_agent", "verify-provider"))


class Refused(Exception):  # noqa: N818 - a status is what many cases want
    """The call ended with a status that is not OK."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {shown(details)}" if details else code.name)
        self.code = code


@dataclass
class Peer:
    """A plug-in that is connected.

    `wanted` are the services to look at, `had` the methods that it has; `models` says what is asked for, by
    the service, and `lacking` why there is nothing to ask of one; `named` is the model that the user named.
    `limit` is that of a call, in seconds.
    """

    channel: grpc.aio.Channel
    limit: float
    metadata: Metadata = ()
    wanted: frozenset[str] = frozenset()
    had: frozenset[Method[Any]] = frozenset()
    named: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)
    _kept: dict[str, list[Any] | None] = field(default_factory=dict)

    async def call(
        self,
        method: Method[M],
        request: Message | bytes,
        *,
        within: float | None = None,
        metadata: Metadata = (),
    ) -> list[M]:
        """All that the method answers with: one message, or those of the stream. Raises `Refused`, and
        `Fault` for what no such method answers with.
        """
        answers = []
        async with aclosing(self.begun(method, request, within=within, metadata=metadata)) as arriving:
            async for answer in arriving:
                answers.append(answer)
                if len(answers) > _MOST_MESSAGES:
                    raise Fault(f"a stream of more than {_MOST_MESSAGES} messages")
        return answers

    async def begun(
        self,
        method: Method[M],
        request: Message | bytes,
        *,
        within: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncGenerator[M, None]:
        """The same, as it arrives. Closed early, it cancels the call."""
        data = request if isinstance(request, bytes) else request.SerializeToString()
        start: Any = self.channel.unary_stream if method.streams else self.channel.unary_unary
        call = start(method.path)(data, timeout=within or self.limit, metadata=(*self.metadata, *metadata))
        size = 0
        try:
            if not method.streams:
                yield _read(method, await call)
                return
            async for block in call:
                size += len(block)
                if size > _MOST_BYTES:
                    raise Fault(f"a stream of more than {_MOST_BYTES} bytes")
                yield _read(method, block)
        except grpc.aio.AioRpcError as error:
            raise Refused(error.code(), error.details() or "") from None
        finally:
            call.cancel()

    async def answered(self, method: Method[M], request: Message | bytes, **options: Any) -> list[M]:
        """The same as `call`, where only an answer will do. Raises `Fault` for a status."""
        try:
            return await self.call(method, request, **options)
        except Refused as refused:
            raise Fault(str(refused)) from None

    async def may_refuse(self, method: Method[M], request: Message | bytes) -> list[M]:
        """The same, where INVALID_ARGUMENT will do, too: an empty list."""
        try:
            return await self.call(method, request)
        except Refused as refused:
            if refused.code is not grpc.StatusCode.INVALID_ARGUMENT:
                raise Fault(str(refused)) from None
        return []

    async def must_refuse(self, method: Method[Any], request: Message, code: grpc.StatusCode) -> str:
        """The status that a call has to end with. Raises `Fault` for any other, and for an answer."""
        try:
            answers = await self.call(method, request)
        except Refused as refused:
            if refused.code is code:
                return str(refused)
            raise Fault(str(refused)) from None
        raise Fault(f"an answer: {_line(answers[0])}" if answers else "an empty stream")

    async def once(self, name: str, method: Method[M], request: Message) -> list[M]:
        """An answer that several cases look at: asked for by the first, and kept. Where there was none the
        first has the fault, and the others have nothing to look at.
        """
        if name not in self._kept:
            self._kept[name] = None
            self._kept[name] = await self.answered(method, request)
        if (kept := self._kept[name]) is None:
            raise NotHad(f"there is no answer to look at: see {name}")
        return kept

    async def all_at_once(self, method: Method[M], requests: Sequence[Message]) -> list[list[M] | Refused]:
        """What came of each of several calls that ran side by side. Raises `Fault` as `call` does."""

        async def one(request: Message) -> list[M] | Refused | Fault:
            try:
                return await self.call(method, request)
            except (Refused, Fault) as error:
                return error

        outcomes = await asyncio.gather(*map(one, requests))
        for outcome in outcomes:
            if isinstance(outcome, Fault):
                raise outcome
        return [outcome for outcome in outcomes if not isinstance(outcome, Fault)]


def _read(method: Method[M], data: bytes) -> M:
    try:
        return method.answer.FromString(data)
    except DecodeError:
        kind = method.answer.DESCRIPTOR.name
        raise Fault(f"{len(data)} bytes that are no {kind} (strings must be UTF-8)") from None


def _line(message: Message) -> str:
    return shown(" ".join(str(message).split()))
