"""The models of a region: those that are there on demand, and the inference profiles for the others.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListInferenceProfiles.html
"""

from collections.abc import Iterator
from typing import Any, Final

from server import capabilities
from server.drivers import answers
from server.drivers.base import Listed, Target
from server.drivers.bedrock import address
from server.drivers.bedrock.converse import headers
from server.errors import AttemptFailed
from server.operations import CHAT
from server.transport import HttpAnswer, HttpRequest

_MODELS: Final = "foundation-models?byOutputModality=TEXT"
_PROFILES: Final = "inference-profiles?maxResults=1000"  # the most at once, which nobody has

Json = dict[str, Any]


def request(target: Target) -> HttpRequest:
    """GET /foundation-models."""
    return HttpRequest("GET", address.of_control(target, _MODELS), headers(target))


def profiles_request(target: Target) -> HttpRequest:
    """GET /inference-profiles."""
    return HttpRequest("GET", address.of_control(target, _PROFILES), headers(target))


def read(answer: HttpAnswer) -> list[Listed]:
    """The models that can be asked by their own ids."""
    known = _by_id(answer)
    return [_one(name, model) for name, model in known.items() if _is_on_demand(model)]


def read_all(answer: HttpAnswer, profiles: HttpAnswer) -> list[Listed]:
    """The same, and the profiles of all: each can do what its model can."""
    known = _by_id(answer)
    return [
        *read(answer),
        *(_one(name, known[model]) for name, model in _profiles(profiles) if model in known),
    ]


def _by_id(answer: HttpAnswer) -> dict[str, Json]:
    return {model["modelId"]: model for model in _items(answer, "modelSummaries", "modelId")}


def _profiles(answer: HttpAnswer) -> Iterator[tuple[str, str]]:
    """The id of each, and that of its model: it has the same one in several regions."""
    for profile in _items(answer, "inferenceProfileSummaries", "inferenceProfileId"):
        models = profile.get("models")
        first = models[0] if isinstance(models, list) and models else None
        arn = first.get("modelArn") if isinstance(first, dict) else None
        if isinstance(arn, str):
            yield profile["inferenceProfileId"], arn.rpartition("/")[2]


def _items(answer: HttpAnswer, name: str, id_name: str) -> Iterator[Json]:
    """The objects of a list that have an id. Raises `AttemptFailed` where there is no list."""
    decoded = answers.decode(answer.body)
    listed = decoded.get(name) if isinstance(decoded, dict) else None
    if not isinstance(listed, list):
        raise AttemptFailed(answers.BROKEN, "answered with no list of models")
    for item in listed:
        if isinstance(item, dict) and isinstance(item.get(id_name), str) and item[id_name]:
            yield item


def _is_on_demand(model: Json) -> bool:
    kinds = model.get("inferenceTypesSupported")
    return not isinstance(kinds, list) or "ON_DEMAND" in kinds


def _one(name: str, model: Json) -> Listed:
    takes = model.get("inputModalities")
    told = {
        capabilities.VISION: "IMAGE" in takes if isinstance(takes, list) else None,
        capabilities.STREAM: model.get("responseStreamingSupported"),
    }
    return Listed(
        name,
        capabilities=frozenset({CHAT.name, *(word for word, has in told.items() if has is True)}),
        lacks=frozenset(word for word, has in told.items() if has is False),
    )
