"""Who is asked for a request, and in what order: from the names in it to a list of candidates."""

from dataclasses import dataclass

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from server.errors import Attempt, Cause, InvalidRequest
from server.routing import outcome
from server.routing.roster import Provider, Roster
from server.rows import CHAT_PARAMS, IMAGE_PARAMS, TWINS

Request = CreateCompletionRequest | GenerateImagesRequest
# What the server and the dialects honour themselves, whatever the row says: they shape the answer's
# transport, or are said in another field that the provider has.
_OURS_IN_CHAT = {"stream_options"}
_OURS_IN_IMAGES = {"response_format", "size", "width", "height"}
_SIZES = {"size", "width", "height"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider to try, and the model to ask of it by its public name."""

    provider: Provider
    model: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to try in order, and who was passed over without being called, with the reason."""

    model: str
    candidates: tuple[Candidate, ...]
    passed_over: tuple[Attempt, ...]


def make(request: Request, roster: Roster) -> Plan:
    """Plans a request. Raises `NotFound` for unknown names, and what fits where nobody is left."""
    images = isinstance(request, GenerateImagesRequest)
    providers = [roster.named(name) for name in dict.fromkeys(request.providers) if name]
    model = request.model
    if not providers and (prefixed := _prefixed(model, roster)) is not None:
        provider, model = prefixed
        providers = [provider]
    if not model and not images:
        raise InvalidRequest("model is required.", reason="model_missing", param="model")
    candidates, passed_over = [], []
    for provider in providers or _anyone(model, roster, images=images):
        asked = _asked(model, provider) or next(iter(provider.image_models), "")
        fault = _fault(provider, asked, request)
        if fault is None:
            candidates.append(Candidate(provider, asked))
        else:
            passed_over.append(Attempt(provider.id, asked, *fault))
    if not candidates:
        hint = roster.suggest_image_model if images else roster.suggest_chat_model
        raise outcome.nobody(model, passed_over, hint)
    return Plan(model, tuple(candidates), tuple(passed_over))


def _prefixed(model: str, roster: Roster) -> tuple[Provider, str] | None:
    """`Groq/llama-3.3-70b` names a provider where the part before the slash is exactly its id."""
    head, slash, rest = model.partition("/")
    provider = roster.get(head) if slash and rest else None
    return None if provider is None else (provider, rest)


def _asked(model: str, provider: Provider) -> str:
    """The model without the id of the provider that is asked, where it begins with it."""
    return model if provider.has(model) else model.removeprefix(f"{provider.id}/")


def _anyone(model: str, roster: Roster, *, images: bool) -> list[Provider]:
    """Every enabled provider that is known to have the model, by priority."""
    return [
        provider
        for provider in roster.enabled
        if (not model and images and provider.image_models)
        or model in (provider.image_models if images else provider.chat_models)
    ]


def _fault(provider: Provider, model: str, request: Request) -> tuple[Cause, str] | None:
    """Why a provider cannot take the request: cause and message."""
    images = isinstance(request, GenerateImagesRequest)
    if provider.reason:
        return "not_enabled", f"not enabled ({provider.reason})"
    if not model or not provider.may_have(model, images=images):
        kind = "image model" if images else "chat model"
        return "no_such_model", f"no {kind} {model}".rstrip()
    if provider.row.unsupported == "drop":
        return None
    honoured = provider.row.image_params if images else provider.row.params
    refused = [name for name in _given(request) if not {name, TWINS.get(name)} & set(honoured)]
    if isinstance(request, GenerateImagesRequest) and not _SIZES & set(honoured):
        refused += ["size"] if request.width or request.size not in ("", "auto") else []
    return ("parameter_unsupported", f"does not take {', '.join(refused)}") if refused else None


def _given(request: Request) -> list[str]:
    """The parameters of a request that a provider must take to answer it as it was meant."""
    known = set(IMAGE_PARAMS) - _OURS_IN_IMAGES
    if isinstance(request, CreateCompletionRequest):
        known = set(CHAT_PARAMS) - _OURS_IN_CHAT
    if request.n == 1:  # the default, which some clients always send
        known.discard("n")
    return [field.name for field, _ in request.ListFields() if field.name in known]
