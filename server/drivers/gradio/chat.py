"""A chat with a Space: the text of its output as it grows, in the messages and chunks of the contract."""

import time
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

from interference.v1.completion_pb2 import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
)
from server.drivers import answers
from server.drivers.base import Target
from server.drivers.gradio import outputs
from server.drivers.gradio.events import Event, Output, Queued, Said
from server.drivers.gradio.failure import broken
from server.drivers.gradio.options import Space

MOST_NOTES: Final = 20  # of the app for its user, in an answer
_MOST_QUEUED: Final = 100  # chunks that tell of the queue


def completion(values: list[Any], notes: list[Said], space: Space, target: Target) -> ChatCompletion:
    """The whole answer. Raises `AttemptFailed` where the output is no text."""
    answer = ChatCompletion(id=_id(), object="chat.completion", model=target.model)
    choice = answers.lift(Choice, beside(values, notes, space))
    choice.index, choice.finish_reason = 0, "stop"
    text = outputs.text(outputs.chosen(values, space))
    choice.message.CopyFrom(AnswerMessage(role="assistant", content=text))
    answer.choices.append(choice)
    answers.complete(answer, target)
    return answer


def beside(values: list[Any], notes: list[Said], space: Space) -> dict[str, Any]:
    """What is told beside an answer, for `extra`: outputs by their names in the row, notes of the app."""
    told = outputs.extras(values, space)
    if notes:
        told.setdefault("notes", [{"level": note.level, "text": note.text} for note in notes])
    return told


class ChunkReader:
    """Turns the events of a job into chunks. A place in the queue is told in a chunk without text.

    Gradio sends all of the text each time; what is new goes out. What has gone out cannot be taken back: an
    app that rewrites it (`appends: false` in its row) is told as a whole when it is done.
    """

    def __init__(self, space: Space, target: Target) -> None:
        self._space = space
        self._target = target
        self._id = _id()
        self._created = int(time.time())
        self._sent = ""
        self._begun = False
        self._queued = 0
        self._place: int | None = None
        self._notes: list[Said] = []

    def read(self, event: Event) -> Iterator[ChatCompletionChunk]:
        """Reads an event. Raises `AttemptFailed` where text that has gone out is another now."""
        if isinstance(event, Queued):
            yield from self._queue(event)
        elif isinstance(event, Said) and len(self._notes) < MOST_NOTES:
            self._notes.append(event)
        elif isinstance(event, Output) and (event.whole or self._space.appends):
            yield from self._output(event)

    def _queue(self, event: Queued) -> Iterator[ChatCompletionChunk]:
        if event.position == self._place or self._queued == _MOST_QUEUED:
            return
        self._place, self._queued = event.position, self._queued + 1
        chunk = answers.lift(ChatCompletionChunk, {"queue": event.told()})
        chunk.MergeFrom(self._chunk(ChunkChoice(index=0, delta=self._delta(""))))
        yield chunk

    def _output(self, event: Output) -> Iterator[ChatCompletionChunk]:
        text = outputs.text(outputs.chosen(event.values, self._space))
        if not text.startswith(self._sent):
            raise broken("rewrote text that it had sent: `appends: false` in its row tells it as a whole")
        new, self._sent = text[len(self._sent) :], text
        if new or event.whole:
            yield self._chunk(ChunkChoice(index=0, delta=self._delta(new)))
        if event.whole:
            last = answers.lift(ChunkChoice, beside(event.values, self._notes, self._space))
            last.index, last.finish_reason = 0, "stop"
            last.delta.SetInParent()
            yield self._chunk(last)

    def _delta(self, text: str) -> AnswerMessage:
        """The next piece of the text; the first says the role."""
        role = None if self._begun else "assistant"
        self._begun = True
        return AnswerMessage(role=role, content=text)

    def _chunk(self, *choices: ChunkChoice) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._id,
            object="chat.completion.chunk",
            created=self._created,
            model=self._target.model,
            provider=self._target.row.id,
            choices=choices,
        )


def _id() -> str:
    return f"chatcmpl-{uuid4().hex}"
