"""Answers with the models of a folder, computed in this process."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast
from uuid import uuid4

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk, ChunkChoice
from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextChoice, TextCompletion
from interference.v1.embeddings_pb2 import (
    CreateEmbeddingsRequest,
    CreateEmbeddingsResponse,
    EmbeddingsUsage,
)
from interference.v1.input_pb2 import TextInput
from server.drivers import options
from server.drivers.base import Listed, Target
from server.drivers.llama import chat, folder, library, prompts, text, wishes
from server.drivers.llama.chat import ChatReader
from server.drivers.llama.engine import LlamaEngine, Progress, TooLongError, Writing
from server.drivers.llama.folder import Folder, ModelFile
from server.drivers.llama.machine import Halt, Machine
from server.drivers.llama.options import LlamaOptions
from server.drivers.llama.sampling import BadGrammarError
from server.drivers.llama.tally import Tally
from server.errors import AttemptFailed
from server.operations import Answer, Chunk, Request, StreamRequest, of

_FRESH = 5.0  # seconds that a look into the folder is good for
_TURN = 16  # texts that are embedded in one turn
_TEXT = 16  # tokens of a text completion, where nothing is said: as at OpenAI
_NO_IMAGES = "reads and writes text alone"

P = TypeVar("P")
Work = Callable[[LlamaEngine, Halt], Generator[P, None, None]]


@dataclass
class _Place:
    """What is held for a row: its machine, its folder, and what was in that at the last look."""

    machine: Machine[LlamaEngine]
    folder: Folder = field(default_factory=Folder)
    models: dict[str, ModelFile] = field(default_factory=dict)
    looked: float = float("-inf")


class LlamaDriver:
    """Has llama.cpp compute in threads. `environment` is where the variables of rows are."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._places: dict[str, _Place] = {}

    async def models(self, target: Target) -> list[Listed]:
        """The models in the folder. Raises `AttemptFailed` where there is none, or no library."""
        given = options.of(target.row, LlamaOptions)
        found = await self._look(target, 0)
        if not library.is_there():
            raise AttemptFailed("not_enabled", library.MISSING)
        return [model.listed(given) for model in found.values()]

    async def close(self) -> None:
        """Stops what is being computed, and unloads the models."""
        for place in self._places.values():
            await place.machine.close()

    async def answer(self, request: Request, target: Target) -> Answer:
        """Answers whole."""
        if isinstance(request, CreateEmbeddingsRequest):
            return await self._embedded(request, target)
        if isinstance(request, CreateCompletionRequest):
            return await self._chatted(request, target)
        if isinstance(request, CreateTextCompletionRequest):
            return await self._continued(request, target)
        raise AttemptFailed("no_such_model", _NO_IMAGES)

    async def stream(self, request: StreamRequest, target: Target) -> AsyncGenerator[Chunk, None]:
        """Answers token by token; of several choices one after the other."""
        file = await self._file(request, target)
        tally, head = Tally(), _head(request, target)
        async with aclosing(self._choices(request, target, file, tally)) as choices:
            async for choice in choices:
                made = _chunk(request, head)
                made.choices.append(cast("Any", choice))
                yield made
        if request.stream_options.include_usage:
            last = _chunk(request, head)
            last.usage.CopyFrom(tally.usage)
            yield last

    async def _chatted(self, request: CreateCompletionRequest, target: Target) -> ChatCompletion:
        file = await self._file(request, target)
        tally = Tally()
        pieces: dict[int, list[ChunkChoice]] = {}
        async with aclosing(self._choices(request, target, file, tally)) as choices:
            async for choice in choices:
                pieces.setdefault(choice.index, []).append(cast("ChunkChoice", choice))
        made = ChatCompletion(object="chat.completion", usage=tally.usage, **_head(request, target))
        made.choices.extend(chat.whole(pieces[index]) for index in sorted(pieces))
        return made

    async def _continued(self, request: CreateTextCompletionRequest, target: Target) -> TextCompletion:
        file = await self._file(request, target)
        tally = Tally()
        texts: dict[int, TextChoice] = {}
        async with aclosing(self._choices(request, target, file, tally)) as choices:
            async for choice in choices:
                made = texts.setdefault(choice.index, TextChoice(index=choice.index, text=""))
                made.text += cast("TextChoice", choice).text
                made.finish_reason = choice.finish_reason or made.finish_reason
        answer = TextCompletion(object="text_completion", usage=tally.usage, **_head(request, target))
        answer.choices.extend(texts[index] for index in sorted(texts))
        return answer

    async def _choices(
        self, request: StreamRequest, target: Target, file: ModelFile, tally: Tally
    ) -> AsyncGenerator[ChunkChoice | TextChoice, None]:
        """The pieces of all choices. Each is a turn of its own, so that nobody waits for all of them."""
        added = wishes.additions(request, target)
        if isinstance(request, CreateCompletionRequest):
            prompts.check(request, file.template, added, target)
        wishes.check(request, target)
        n = request.n or 1
        texts = len(request.prompt) if isinstance(request, CreateTextCompletionRequest) else 1
        for index in range(texts * n):
            tally.prompt(again=index % n > 0)
            reader = _reader(request, index)
            work = partial(_events, request, index // n, added, target)
            async with aclosing(self._turn(request, target, file, work)) as arriving:
                async for progress in _each(arriving):
                    tally.see(progress)
                    for choice in reader.feed(progress):
                        yield choice
                    if reader.done:
                        break

    async def _embedded(self, request: CreateEmbeddingsRequest, target: Target) -> CreateEmbeddingsResponse:
        file = await self._file(request, target)
        wishes.additions(request, target)
        answer = CreateEmbeddingsResponse(object="list", model=target.model, provider=target.row.id)
        read = 0
        for start in range(0, len(request.input), _TURN):
            work = partial(_vectors, request.input[start : start + _TURN], target)
            async with aclosing(self._turn(request, target, file, work)) as arriving:
                async for arrived in arriving:
                    for count, vector in arrived:
                        read += count
                        answer.data.add(object="embedding", index=len(answer.data), embedding=vector)
        answer.usage.CopyFrom(EmbeddingsUsage(prompt_tokens=read, total_tokens=read))
        return answer

    def _turn(
        self, request: Request, target: Target, file: ModelFile, work: Work[P]
    ) -> AsyncGenerator[Sequence[P], None]:
        queue = target.row.concurrency.queue
        return self._place(target).machine.stream(wishes.caller(request), file, queue, work)

    async def _file(self, request: Request, target: Target) -> ModelFile:
        """The model that is asked for. Raises `AttemptFailed` where it is not there, or cannot do it."""
        model = (await self._look(target, _FRESH)).get(target.model)
        if model is None:
            raise AttemptFailed("no_such_model", f"has no model {target.model}")
        does = model.listed(options.of(target.row, LlamaOptions)).capabilities or frozenset()
        if (operation := of(request)).name not in does:
            raise AttemptFailed("no_such_model", f"{target.model} is no {operation.noun}")
        return model

    async def _look(self, target: Target, fresh: float) -> dict[str, ModelFile]:
        place = self._place(target)
        now = asyncio.get_running_loop().time()
        if now - place.looked >= fresh:
            path = folder.place(options.of(target.row, LlamaOptions), self._environment)
            place.models = await asyncio.to_thread(place.folder.models, path)
            place.looked = now
        return place.models

    def _place(self, target: Target) -> _Place:
        if (place := self._places.get(target.row.id)) is None:
            given = options.of(target.row, LlamaOptions)

            def load(file: ModelFile) -> LlamaEngine:
                return LlamaEngine(library.load(), file, given)

            place = self._places[target.row.id] = _Place(Machine(given.loaded, load))
        return place


def _reader(request: StreamRequest, index: int) -> ChatReader | text.TextReader:
    if isinstance(request, CreateCompletionRequest):
        return ChatReader(request, index)
    return text.TextReader(index, request.prompt[index // (request.n or 1)].text if request.echo else "")


def _events(
    request: StreamRequest,
    place: int,
    added: wishes.Additions,
    target: Target,
    engine: LlamaEngine,
    halt: Halt,
) -> Generator[Progress, None, None]:
    """Writes one choice, or continues the text at a place of the request; in the model's thread."""
    how = wishes.sampling(request, target, added, engine.size)
    stops = tuple(request.stop)
    if isinstance(request, CreateCompletionRequest):
        made = prompts.prompt(engine, request, added, target)
        most = request.max_completion_tokens or request.max_tokens or None
        writing = Writing(made.tokens, how.bound(made.grammar), stops, most, made.thinking)
        yield from _checked(engine.write(writing, halt), target, "messages")
    else:
        tokens = text.tokens(engine, request.prompt[place], target, "prompt")
        writing = Writing(tokens, how, stops, request.max_tokens or _TEXT)
        yield from _checked(engine.write(writing, halt), target, "prompt")


def _vectors(
    inputs: Sequence[TextInput], target: Target, engine: LlamaEngine, halt: Halt
) -> Generator[tuple[int, list[float]], None, None]:
    """Embeds some inputs: the tokens of each, and its vector; in the model's thread."""
    for one in inputs:
        tokens = text.tokens(engine, one, target, "input")
        for vector in _checked(engine.embed(tokens, halt), target, "input"):
            yield len(tokens), vector


async def _each(arriving: AsyncGenerator[Sequence[P], None]) -> AsyncGenerator[P, None]:
    async for arrived in arriving:
        for one in arrived:
            yield one


def _checked(work: Generator[P, None, None], target: Target, param: str) -> Generator[P, None, None]:
    """The work, with its own errors in the words of the contract."""
    try:
        yield from work
    except TooLongError as error:
        told = f"has {error.tokens} tokens, and the context of {target.model} {error.most}"
        raise wishes.refused(target, param, told, "context_length_exceeded") from None
    except BadGrammarError:
        told = "cannot be made a grammar that llama.cpp takes"
        raise wishes.refused(target, "response_format", told) from None


def _head(request: StreamRequest, target: Target) -> dict[str, Any]:
    """What every piece of an answer says alike."""
    kind = "chatcmpl" if isinstance(request, CreateCompletionRequest) else "cmpl"
    made = {"id": f"{kind}-{uuid4().hex}", "created": int(time.time())}
    return made | {"model": target.model, "provider": target.row.id}


def _chunk(request: StreamRequest, head: dict[str, Any]) -> ChatCompletionChunk | TextCompletion:
    if isinstance(request, CreateCompletionRequest):
        return ChatCompletionChunk(object="chat.completion.chunk", **head)
    return TextCompletion(object="text_completion", **head)
