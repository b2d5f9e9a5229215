"""Several answers as one: images and vectors that were asked for in pieces, with the sum of their cost."""

import math
from collections.abc import Sequence
from typing import Any

from interference.v1.embeddings_pb2 import CreateEmbeddingsResponse
from interference.v1.images_pb2 import GenerateImagesResponse
from server import forms
from server.drivers.answers import lift
from server.rows import MOST_TOKENS

Json = dict[str, Any]


def album(answers: Sequence[GenerateImagesResponse]) -> GenerateImagesResponse:
    """All images in one answer. Their format is told where it is the same.

    What an answer has beside its images says at which of all the images it stands.
    """
    whole = GenerateImagesResponse()
    whole.CopyFrom(answers[0])
    extras = _extras(answers[:1])
    for answer in answers[1:]:
        extras += [_moved(extra, len(whole.data)) for extra in _extras([answer])]
        whole.data.extend(answer.data)
        if answer.output_format != whole.output_format:
            whole.ClearField("output_format")
    _tell_extra(whole, extras, counts=False)
    _add_usage(whole, answers)
    return whole


def vectors(answers: Sequence[CreateEmbeddingsResponse]) -> CreateEmbeddingsResponse:
    """All vectors in one answer, in the order of the inputs."""
    whole = CreateEmbeddingsResponse()
    whole.CopyFrom(answers[0])
    for answer in answers[1:]:
        whole.data.extend(answer.data)
    for index, item in enumerate(whole.data):
        item.index = index
    _tell_extra(whole, _extras(answers), counts=False)
    _add_usage(whole, answers)
    return whole


def _extras(parts: Sequence[Any]) -> list[Json]:
    return [forms.plain(part.extra) for part in parts if part.HasField("extra")]


def _moved(extra: Json, places: int) -> Json:
    """The extra with its choices so many places on."""
    choices = extra.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and type(choice.get("index")) is int:
            choice["index"] += places
    return extra


def _add_usage(whole: Any, answers: Sequence[Any]) -> None:
    told = [answer.usage for answer in answers if answer.HasField("usage")]
    if not told:
        return
    whole.ClearField("usage")
    for name in {field.name for usage in told for field, _ in usage.ListFields()} - {"extra"}:
        setattr(whole.usage, name, min(sum(getattr(usage, name) for usage in told), MOST_TOKENS))
    _tell_extra(whole.usage, _extras(told), counts=True)


def _tell_extra(whole: Any, extras: list[Json], *, counts: bool) -> None:
    if extras:
        whole.extra.CopyFrom(lift(type(whole), {"extra": _together(extras, counts=counts)}).extra)


def _together(values: list[Any], *, counts: bool) -> Any:
    """One value for several: objects member by member, lists one after the other, counts as their sum;
    others are one where they are equal, and otherwise a list of them.
    """
    if all(isinstance(value, dict) for value in values):
        names = dict.fromkeys(name for value in values for name in value)
        return {
            name: _together([value[name] for value in values if name in value], counts=counts)
            for name in names
        }
    if all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    if counts and all(type(value) in (int, float) for value in values):
        total = sum(map(float, values))
        return total if math.isfinite(total) else values
    return values[0] if all(value == values[0] for value in values) else values
