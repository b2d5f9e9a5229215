"""The body of a request for a chat completion: the conversation, the tools and the `generationConfig`.

https://ai.google.dev/api/generate-content#generationconfig
"""

from typing import Any

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.options_pb2 import AudioOptions, ResponseFormat
from server.drivers.base import Target
from server.drivers.gemini import contents, generations, tools, wire
from server.rows import TWINS

Json = dict[str, Any]
_NAMES = {
    "temperature": "temperature",
    "top_p": "topP",
    "n": "candidateCount",
    "max_tokens": "maxOutputTokens",
    "max_completion_tokens": "maxOutputTokens",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
    "seed": "seed",
}
_TIERS = {"default": "standard", "flex": "flex", "priority": "priority"}
# What is translated; `n` is left out where it is 1.
PARAMS = (
    *_NAMES,
    *("stop", "tools", "tool_choice", "response_format", "reasoning_effort", "modalities", "audio"),
    *("store", "service_tier"),
)


def of(request: CreateCompletionRequest, target: Target) -> Json:
    """The members of the body. A parameter that the row does not list is left out: where that is not
    for the row to drop, routing has passed it over.

    Raises `RequestRefused` or `AttemptFailed` for what cannot be said to Gemini.
    """
    asked = _taken(request, target)
    body = contents.of(asked.messages, target) | tools.of(asked)
    if asked.HasField("store"):
        body["store"] = asked.store
    if asked.service_tier not in ("", "auto"):
        body["serviceTier"] = _tier(asked.service_tier)
    if config := _config(asked, target):
        body["generationConfig"] = config
    wire.merge(body, asked.extra_json)
    return body


def _taken(request: CreateCompletionRequest, target: Target) -> CreateCompletionRequest:
    """The request without the parameters that the row does not list."""
    listed = target.row.params
    taken = {*listed, *(TWINS[name] for name in listed if name in TWINS)}
    given = [field.name for field, _ in request.ListFields()]
    dropped = [name for name in given if name in PARAMS and name not in taken]
    if not dropped:
        return request
    asked = CreateCompletionRequest()
    asked.CopyFrom(request)
    for name in dropped:
        asked.ClearField(name)  # type: ignore[arg-type]  # a name of a field, from its descriptor
    return asked


def _config(request: CreateCompletionRequest, target: Target) -> Json:
    given = {field.name: value for field, value in request.ListFields()}
    config: Json = {theirs: _number(given[ours]) for ours, theirs in _NAMES.items() if ours in given}
    if request.n == 1:
        config.pop("candidateCount", None)
    if request.stop:
        config["stopSequences"] = list(request.stop)
    if request.HasField("response_format"):
        config |= _format(request.response_format)
    if request.modalities:
        config["responseModalities"] = [modality.upper() for modality in request.modalities]
    if request.HasField("audio"):
        config["speechConfig"] = _speech(request.audio)
    if thinking := generations.thinking(target.model, request.reasoning_effort):
        config["thinkingConfig"] = thinking
    return config


def _format(wanted: ResponseFormat) -> Json:
    """The type of the answer and its JSON Schema, which goes byte for byte. Its name says nothing here."""
    made: Json = {}
    if wanted.HasField("json_schema") or wanted.type in ("json_schema", "json_object"):
        made["responseMimeType"] = "application/json"
    if wanted.json_schema.HasField("schema"):
        made["responseJsonSchema"] = msgspec.Raw(wanted.json_schema.schema.encode())
    wire.merge(made, wanted.json_schema.extra_json)
    wire.merge(made, wanted.extra_json)
    return made


def _speech(audio: AudioOptions) -> Json:
    """The voice. Sound comes as samples of 16 bits: https://ai.google.dev/gemini-api/docs/speech-generation"""
    if audio.format != "pcm16":
        raise wire.lacking("audio", "Gemini answers with sound in pcm16 alone")
    made: Json = {}
    if voice := audio.voice.name or audio.voice.id:
        made["voiceConfig"] = {"prebuiltVoiceConfig": {"voiceName": voice}}
    wire.merge(made, audio.extra_json)
    return made


def _tier(tier: str) -> str:
    if tier not in _TIERS:
        raise wire.lacking("service_tier", f"Gemini has the service tiers auto, {', '.join(_TIERS)}")
    return _TIERS[tier]


def _number(value: Any) -> Any:
    """A double that is whole is written without a fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
