"""Cases of texts continued: the Completions service."""

from typing import Any

import grpc

from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextCompletion
from interference.v1.input_pb2 import TextInput
from server.verify.case import Case, expect, shown
from server.verify.cases.asking import NO_SUCH_MODEL, counted
from server.verify.peer import Peer
from server.verify.services import TEXT, TEXT_STREAM

_PROMPT = "Once upon a time there was a"


def _request(peer: Peer, **fields: Any) -> CreateTextCompletionRequest:
    given = {"model": peer.models.get("completions", ""), "prompt": [TextInput(text=_PROMPT)]} | fields
    return CreateTextCompletionRequest(**given)


async def _whole(peer: Peer) -> TextCompletion:
    [completion] = await peer.once("text/answer", TEXT, _request(peer))
    return completion


async def _answer(peer: Peer) -> str:
    completion = await _whole(peer)
    expect(len(completion.choices) == 1, f"{len(completion.choices)} choices")
    choice = completion.choices[0]
    expect(choice.HasField("index") and choice.index == 0, "a choice without the index 0")
    expect(choice.HasField("text"), "a choice without a text")
    expect(choice.finish_reason, "no finish reason")
    return f"{shown(choice.text, 60)}, finish reason {shown(choice.finish_reason)}"


async def _labels(peer: Peer) -> str:
    completion = await _whole(peer)
    expect(completion.id, "no id")
    expect(completion.object == "text_completion", f"the object {shown(completion.object)}")
    expect(completion.created, "no time in created")
    expect(completion.model, "no model")
    return f"{shown(completion.id)} of {shown(completion.model)}"


async def _usage(peer: Peer) -> str:
    completion = await _whole(peer)
    expect(completion.HasField("usage"), "no usage")
    return counted(completion.usage)


async def _stream(peer: Peer) -> str:
    chunks = await peer.answered(TEXT_STREAM, _request(peer))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    expect(choices, "a stream without choices")
    expect({choice.index for choice in choices} == {0}, "choices with another index than 0")
    reasons = [choice.finish_reason for choice in choices]
    expect(
        reasons[-1] and not any(reasons[:-1]),
        f"{sum(map(bool, reasons))} finish reasons, or not at the end",
    )
    expect(len({chunk.id for chunk in chunks}) == 1, "an `id` that changes")
    return f"{len(chunks)} chunks: {shown(''.join(choice.text for choice in choices), 60)}"


async def _no_prompt(peer: Peer) -> str:
    return await peer.must_refuse(TEXT, _request(peer, prompt=[]), grpc.StatusCode.INVALID_ARGUMENT)


async def _no_model(peer: Peer) -> str:
    return await peer.must_refuse(TEXT, _request(peer, model=NO_SUCH_MODEL), grpc.StatusCode.NOT_FOUND)


CASES = (
    Case(
        "text/answer",
        "completions",
        asks="CreateTextCompletion with the beginning of a tale",
        wants="OK with one choice, index 0, with a text (perhaps empty) and a finish reason",
        mend="add one to `choices`, and set `index`, `text` and `finish_reason` of it",
        check=_answer,
    ),
    Case(
        "text/labels",
        "completions",
        asks="the same",
        wants="an `id`, `object` `text_completion`, `created` and `model`",
        mend="set the four in each answer",
        check=_labels,
    ),
    Case(
        "text/usage",
        "completions",
        asks="the same",
        wants="`usage` with `prompt_tokens`, `completion_tokens` and `total_tokens`, the sum of both",
        mend="set the counts even where they are 0",
        check=_usage,
    ),
    Case(
        "text/stream",
        "completions",
        asks="StreamTextCompletion with the same",
        wants="pieces of one choice with one finish reason, in the last, and the same `id` in each chunk",
        mend="make the id once a stream, and set `finish_reason` in the choice's last piece alone",
        check=_stream,
    ),
    Case(
        "text/no-prompt",
        "completions",
        asks="CreateTextCompletion without a prompt",
        wants="INVALID_ARGUMENT",
        mend="end the call with INVALID_ARGUMENT where `prompt` is empty",
        check=_no_prompt,
    ),
    Case(
        "text/unknown-model",
        "completions",
        asks=f"CreateTextCompletion with the model {NO_SUCH_MODEL}",
        wants="NOT_FOUND, upon which the next provider is asked",
        mend="compare `model` with the names that you know, and end the call with NOT_FOUND",
        check=_no_model,
    ),
)
