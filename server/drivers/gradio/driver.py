"""Runs jobs on Gradio apps: joins the queue, follows its events, and fetches the files of the answer.

A job lives while its events come: nothing for `idle` seconds, and it is given up. Who leaves before its end
takes the job out of the queue.
"""

import asyncio
import base64
import re
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Any, Final, TypeVar

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse, Image
from server import operations
from server.drivers import answers
from server.drivers.base import Listed, Target
from server.drivers.gradio import app, chat, events, failure, inputs, outputs, pictures
from server.drivers.gradio.app import App
from server.drivers.gradio.events import Event, Failed, Output, Said
from server.drivers.gradio.outputs import File
from server.errors import AttemptFailed, RequestRefused
from server.operations import Chunk, Request, StreamRequest
from server.sse import EventReader
from server.transport import EVENT_BYTES, HttpAnswer, HttpRequest, Transport

_FAREWELL: Final = 5.0  # seconds for each of the requests that cancel a job that nobody waits for
_MOST_LEAVING: Final = 1000  # jobs that are being cancelled
_JOB: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")

T = TypeVar("T")


class GradioDriver:
    """Asks Spaces, or Gradio apps elsewhere, for images and for chats."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._leaving: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore()
        self._prefixes: dict[str, str] = {}  # of apps whose API begins elsewhere, by their addresses

    async def models(self, target: Target) -> list[Listed]:
        """The row's own list: a Space does not say what it is good for."""
        return [Listed(name) for name in (*target.row.models, *target.row.image_models)]

    async def close(self) -> None:
        """Ends what is still being cancelled."""
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def answer(self, request: Request, target: Target) -> operations.Answer:
        """Answers whole."""
        if isinstance(request, GenerateImagesRequest):
            return await self._images(request, target)
        if not isinstance(request, CreateCompletionRequest):
            raise _lacking(request)
        asked = self._app(target)
        output, notes = await self._outputs(asked, inputs.of_chat(request, asked.space, target), target)
        return chat.completion(output, notes, asked.space, target)

    async def stream(self, request: StreamRequest, target: Target) -> AsyncGenerator[Chunk, None]:
        """Answers in chunks."""
        if not isinstance(request, CreateCompletionRequest):
            raise _lacking(request)
        asked = self._app(target)
        reader = chat.ChunkReader(asked.space, target)
        data = inputs.of_chat(request, asked.space, target)
        async with aclosing(self._run(asked, data, target)) as told:
            async for event in told:
                for chunk in reader.read(event):
                    yield chunk

    async def _images(self, request: GenerateImagesRequest, target: Target) -> GenerateImagesResponse:
        """Asks as often as it takes for `n` images, one job after the other."""
        pictures.check(request.output_format)
        asked, wanted = self._app(target), request.n or 1
        made = GenerateImagesResponse(model=target.model)
        room = self._transport.limit * 3 // 4  # what it becomes in base64
        for index in range(wanted):
            data = inputs.of_images(request, asked.space, target, index)
            values, notes = await self._outputs(asked, data, target)
            for file in outputs.files(outputs.chosen(values, asked.space))[: wanted - len(made.data)]:
                image, made.output_format = await self._image(file, request.output_format, target)
                room -= len(image)
                if room < 0:
                    raise failure.broken(f"gave images of more than {self._transport.limit} bytes")
                drawn = answers.lift(Image, chat.beside(values, notes, asked.space))
                drawn.b64_json = base64.b64encode(image).decode()
                made.data.append(drawn)
            if len(made.data) == wanted:
                break
        answers.complete(made, target)
        return made

    async def _image(self, file: File, wanted: str, target: Target) -> tuple[bytes, str]:
        """Fetches a file. Redirects are not followed: they would lead to another host."""
        got = await self._fetch(app.file(self._app(target), file.path, file.url, target), target)
        if got.status != 200:
            raise _unfetched(got)
        async with self._turn:
            return await pictures.converted(got.body, wanted)

    async def _outputs(self, asked: App, data: list[Any], target: Target) -> tuple[list[Any], list[Said]]:
        """The outputs of a job in the end, and the notes on the way."""
        notes: list[Said] = []
        async with aclosing(self._run(asked, data, target)) as told:
            async for event in told:
                if isinstance(event, Said) and len(notes) < chat.MOST_NOTES:
                    notes.append(event)
                elif isinstance(event, Output) and event.whole:
                    return event.values, notes
        raise AssertionError("a job ends with its outputs or an error")

    async def _run(self, asked: App, data: list[Any], target: Target) -> AsyncGenerator[Event, None]:
        """The events of a job until its outputs are whole."""
        joining = asyncio.create_task(self._join(asked, data, target))
        over = False
        try:
            # Who leaves now may have a job there all the same: its id is waited for.
            asked, job = await asyncio.shield(joining)
            async with aclosing(self._events(asked, job, target)) as told:
                async for event in told:
                    over = isinstance(event, Failed) or (isinstance(event, Output) and event.whole)
                    if isinstance(event, Failed):
                        raise event.error
                    yield event
                    if over:
                        return
            raise AttemptFailed("connection_lost", "ended the events of the job before its outputs")
        finally:
            if not over:
                self._leave(joining, target)

    async def _join(self, asked: App, data: list[Any], target: Target) -> tuple[App, str]:
        """Puts a job into the queue: its id, and the app, whose API may be found to begin elsewhere."""
        answer = await self._fetch(app.join(asked, data, target), target)
        if answer.status in (404, 500):
            asked = await self._known(asked, answer, target)
            answer = await self._fetch(app.join(asked, data, target), target)
        if answer.status != 200:
            raise failure.of_answer(answer, target)
        told = answers.decode(answer.body)
        job = told.get("event_id") if isinstance(told, dict) else None
        if not isinstance(job, str) or not _JOB.fullmatch(job):
            raise failure.broken("took the job and gave no id for it")
        return asked, job

    async def _known(self, asked: App, answer: HttpAnswer, target: Target) -> App:
        """The app as it is to be asked once more, by what it tells of itself.

        Raises what the answer means where nothing is to be changed. That there is no such endpoint Gradio
        says with a 500.
        """
        config = app.told(await self._fetch(app.config(asked, target), target))
        if config is None:
            raise failure.of_answer(answer, target)
        if asked.space.endpoint not in config.functions:
            raise AttemptFailed("no_such_model", f"the Space has no endpoint {asked.space.endpoint}")
        if config.prefix == asked.prefix:
            raise failure.of_answer(answer, target)
        self._prefixes[asked.address] = config.prefix
        return asked._replace(prefix=config.prefix)

    async def _events(self, asked: App, job: str, target: Target) -> AsyncGenerator[Event, None]:
        request = app.watch(asked, job, target)
        async with self._transport.open(request, target.limits) as answer:
            if answer.status != 200 or answer.media_type != EventReader.media_type:
                raise failure.of_answer(await answer.read(), target)
            async with aclosing(answer.events(EventReader(EVENT_BYTES))) as told:
                while arrived := await _within(anext(told, None), target):
                    for one in arrived:
                        if (event := events.read(one, target)) is not None:
                            yield event

    async def _fetch(self, request: HttpRequest, target: Target) -> HttpAnswer:
        return await _within(self._whole(request, target), target)

    async def _whole(self, request: HttpRequest, target: Target) -> HttpAnswer:
        async with self._transport.open(request, target.limits) as answer:
            return await answer.read()

    def _leave(self, joining: asyncio.Task[tuple[App, str]], target: Target) -> None:
        """Cancels a job in the background: whoever waited for it is gone."""
        if len(self._leaving) < _MOST_LEAVING:
            task = asyncio.create_task(self._cancel(joining, target))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _cancel(self, joining: asyncio.Task[tuple[App, str]], target: Target) -> None:
        """A job that waits is taken out of the queue, one that runs is stopped where it can be stopped: a
        coroutine by the number of its function, a generator between two of its outputs.
        """
        try:
            async with asyncio.timeout(_FAREWELL):
                asked, job = await joining
        except (AttemptFailed, RequestRefused, TimeoutError):
            return  # there is no job
        told = await self._at_last(app.config(asked, target), target)
        config = None if told is None else app.told(told)
        # Without the number nothing but a coroutine goes on: the job's id belongs to no other.
        number = 0 if config is None else config.functions.get(asked.space.endpoint, 0)
        await self._at_last(app.cancel(asked, job, number, target), target)

    async def _at_last(self, request: HttpRequest, target: Target) -> HttpAnswer | None:
        """What is answered to one who does not wait for long; None where nothing is."""
        try:
            async with asyncio.timeout(_FAREWELL):
                return await self._whole(request, target)
        except (AttemptFailed, TimeoutError):
            return None

    def _app(self, target: Target) -> App:
        asked = app.of(target)
        prefix = self._prefixes.get(asked.address)
        return asked if prefix is None else asked._replace(prefix=prefix)


async def _within(waiting: Awaitable[T], target: Target) -> T:
    """What is waited for. Raises `AttemptFailed` where nothing comes within the limit."""
    idle = target.limits.idle
    try:
        async with asyncio.timeout(idle):
            return await waiting
    except TimeoutError:
        raise AttemptFailed("timed_out", f"sent nothing for {idle:g} s") from None


def _unfetched(answer: HttpAnswer) -> Exception:
    """Why a file that the app itself told of cannot be had."""
    told = "with a redirect, which is not followed" if 300 <= answer.status < 400 else "without it"
    return AttemptFailed(
        "broken_answer",
        f"its file of an image was answered with status {answer.status}, {told}",
        status=answer.status,
    )


def _lacking(request: Request) -> AttemptFailed:
    return AttemptFailed("no_such_model", f"has no {operations.of(request).noun}s")
