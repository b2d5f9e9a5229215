"""What REST callers can rely on that the descriptor does not say: limits, and what is always there.

The limits are those that the server itself checks; the ranges in the comments are the providers' to check.
Names are `Message.field`, with the message's simple name and the field's name in the contract.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_MODEL: Schema = {"maxLength": 256}
_PROVIDER: Schema = {"maxLength": 64}
# Ids of providers, in a list or in one string.
PROVIDERS: Schema = {
    "anyOf": [
        {"type": "string", "pattern": r"^\s*(\S{1,64}(\s+\S{1,64}){0,31})?\s*$"},
        {"type": "array", "items": {"type": "string", **_PROVIDER}, "maxItems": 32},
    ]
}
_TIME: Schema = {"minimum": 0.001, "maximum": 3600}
# Joined with the schema of the field's value.
LIMITS: dict[str, Schema] = {
    "CreateCompletionRequest.model": _MODEL,
    "CreateCompletionRequest.messages": {"minItems": 1, "maxItems": 20_000},
    "CreateCompletionRequest.tools": {"maxItems": 2_000},
    "CreateCompletionRequest.n": {"minimum": 1, "maximum": 128},
    "CreateCompletionRequest.timeout": _TIME,
    "CreateTextCompletionRequest.model": _MODEL,
    "CreateTextCompletionRequest.prompt": {"minItems": 1, "maxItems": 2_048},
    "CreateTextCompletionRequest.n": {"minimum": 1, "maximum": 128},
    "CreateTextCompletionRequest.timeout": _TIME,
    "GenerateImagesRequest.model": _MODEL,
    "GenerateImagesRequest.n": {"minimum": 1, "maximum": 10},
    "GenerateImagesRequest.size": {"pattern": "^([1-9][0-9]{0,4}x[1-9][0-9]{0,4}|auto)$"},
    "GenerateImagesRequest.width": {"minimum": 1, "maximum": 16_384},
    "GenerateImagesRequest.height": {"minimum": 1, "maximum": 16_384},
    "GenerateImagesRequest.response_format": {"enum": ["url", "b64_json", ""]},
    "GenerateImagesRequest.partial_images": {"const": 0},
    "GenerateImagesRequest.stream": {"const": False},
    "GenerateImagesRequest.timeout": _TIME,
    "CreateEmbeddingsRequest.model": _MODEL,
    "CreateEmbeddingsRequest.input": {"minItems": 1, "maxItems": 2_048},
    "CreateEmbeddingsRequest.encoding_format": {"enum": ["float", "base64", ""]},
    "CreateEmbeddingsRequest.dimensions": {"minimum": 1},
    "CreateEmbeddingsRequest.timeout": _TIME,
    "TimeLimits.connect": _TIME,
    "TimeLimits.first_content": _TIME,
    "TimeLimits.idle": _TIME,
    "TimeLimits.total": _TIME,
    "Hedge.delay": {"minimum": 0, "maximum": 3600},
    "GetModelRequest.model": _MODEL,
    "GetProviderRequest.provider": _PROVIDER,
}

# Messages whose unknown members nobody could be sent: they are refused.
CLOSED = frozenset({"TimeLimits", "Hedge"})

# Messages of whose cases (their `discriminator` option) the server wants exactly one.
EXCLUSIVE = frozenset({"ContentPart"})

_NO_SIDES: Schema = {"properties": {"width": {"type": "null"}, "height": {"type": "null"}}}
_SIDES: Schema = {
    "required": ["width", "height"],
    "properties": {
        "width": {"type": "integer"},
        "height": {"type": "integer"},
        "size": {"type": "null"},
    },
}
# What must hold of several fields of a message together.
_STREAMED: Schema = {"required": ["stream"], "properties": {"stream": {"const": True}}}
_NO_OPTIONS: Schema = {"properties": {"stream_options": {"type": "null"}}}
TOGETHER: dict[str, Schema] = {
    "GenerateImagesRequest": {"anyOf": [_NO_SIDES, _SIDES]},
    "CreateCompletionRequest": {"anyOf": [_NO_OPTIONS, _STREAMED]},
    "CreateTextCompletionRequest": {"anyOf": [_NO_OPTIONS, _STREAMED]},
}

# The fields that are there in every answer, whatever the provider said. A resource (GET) has all of its
# fields always.
ALWAYS: dict[str, tuple[str, ...]] = {
    "ChatCompletion": ("id", "object", "created", "model", "provider", "choices"),
    "Choice": ("index", "message"),
    "ChatCompletionChunk": ("id", "object", "created", "model", "provider", "choices"),
    "ChunkChoice": ("index",),
    "TextCompletion": ("id", "object", "created", "model", "provider", "choices"),
    "TextChoice": ("index",),
    "CreateEmbeddingsResponse": ("object", "data", "model", "provider"),
    "Embedding": ("object", "index", "embedding"),
    "GenerateImagesResponse": ("created", "data", "model", "provider"),
    "ErrorResponse": ("error",),
    "Error": ("message", "type", "param", "code"),
    "Attempt": ("provider",),  # the one that answered has no cause
}
# Fields of answers that are there, and null where there is nothing to say.
NULL = frozenset({"Error.param", "Error.code"})

# The frame of a body in a vendor's own dialect; the rest of it is the vendor's to describe.
_ONES_OWN: dict[str, Schema] = {
    "provider": {
        "description": "The ids of the providers to try, in this order; none means any. A list, or one "
        "string split on white space.",
        "anyOf": [*PROVIDERS["anyOf"], {"type": "null"}],
    },
    "stream": {"type": ["boolean", "null"], "description": "Whether to answer with events."},
}
_NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "description": "The model, by a name that the provider knows; `Groq/gpt-oss-120b` also names the "
    "provider.",
    **_MODEL,
}
_BLOCK: Schema = {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}}
_CONTENT: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": _BLOCK}]}
_MESSAGE: Schema = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {"role": {"enum": ["user", "assistant", "system", "developer"]}, "content": _CONTENT},
}
DIALECTS: dict[str, Schema] = {
    "Responses/CreateResponse": {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": _NAME,
            "input": {
                "description": "What to answer: a text, or the items of a conversation.",
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"anyOf": [_MESSAGE, _BLOCK]}, "minItems": 1},
                ],
            },
            **_ONES_OWN,
        },
        "additionalProperties": True,
    },
    "Messages/CreateMessage": {
        "type": "object",
        "required": ["model", "messages", "max_tokens"],
        "properties": {
            "model": _NAME,
            "messages": {
                "description": "The conversation so far, oldest message first.",
                "type": "array",
                "items": _MESSAGE,
                "minItems": 1,
            },
            "max_tokens": {
                "description": "The most tokens to write.",
                "type": "integer",
                "minimum": 1,
                "maximum": 2**31 - 1,
            },
            **_ONES_OWN,
        },
        "additionalProperties": True,
    },
}
# What these calls answer with, by content type, where it is not one object of the contract.
DIALECT_ANSWERS: dict[str, tuple[str, ...]] = {
    "Responses/CreateResponse": ("id", "object", "model", "output"),
    "Messages/CreateMessage": ("id", "type", "role", "model", "content", "usage"),
}
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "application/octet-stream")
# Calls that ask for no key: the names of images are secrets themselves.
OPEN_CALLS = frozenset({"Images/GetMedia"})
