"""Embeddings, images and the list of models."""

import base64
import struct
from typing import Any

import pytest

from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from server.drivers.base import Listed
from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.gemini.dialect import DIALECT, answer, body, candidate, read, sent, target

PNG = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0="}}


def embed(*texts: str, **fields: Any) -> CreateEmbeddingsRequest:
    inputs: Any = [{"text": text} for text in texts]
    return CreateEmbeddingsRequest(model="public", input=inputs, **fields)


def draw(**fields: Any) -> GenerateImagesRequest:
    return GenerateImagesRequest(**{"prompt": "A cat", **fields})


def test_each_input_is_a_request_of_a_batch() -> None:
    request = embed("a", "b", dimensions=3, extra_json='{"taskType": "RETRIEVAL_QUERY"}')
    assert sent(request, "e").url == "https://up/v1beta/models/e:batchEmbedContents"
    assert body(request, "e")["requests"] == [
        {
            "model": "models/e",
            "content": {"parts": [{"text": text}]},
            "outputDimensionality": 3,
            "taskType": "RETRIEVAL_QUERY",
        }
        for text in "ab"
    ]


def test_vectors_come_back_in_order_and_in_the_form_that_was_asked_for() -> None:
    told = {
        "embeddings": [{"values": [0.5, 1], "shape": [2]}, {"values": [2, 3.25]}],
        "usageMetadata": {"promptTokenCount": 4, "promptTokenDetails": []},
        "more": "x",
    }
    made = read(embed("a", "b"), told)
    assert [list(item.embedding) for item in made.data] == [[0.5, 1], [2, 3.25]]
    assert [item.index for item in made.data] == [0, 1]
    assert (made.usage.prompt_tokens, made.usage.total_tokens, made.provider) == (4, 4, "Up")
    assert made.extra["more"] == "x"
    packed = read(embed("a", "b", encoding_format="base64"), told).data[1].embedding_base64
    assert struct.unpack("<2f", base64.b64decode(packed)) == (2, 3.25)


@pytest.mark.parametrize(
    "told",
    [
        *({}, {"embeddings": {}}, {"embeddings": []}, {"embeddings": [{"values": [1]}] * 2}),
        *({"embeddings": [5]}, {"embeddings": [{}]}),
        *({"embeddings": [{"values": values}]} for values in (5, [], ["a"])),
        {"embeddings": [{"values": [None]}]},
    ],
)
def test_vectors_of_another_shape_are_a_broken_answer(told: Any) -> None:
    with pytest.raises(AttemptFailed) as caught:
        read(embed("a"), told)
    assert caught.value.cause == "broken_answer"


@pytest.mark.parametrize(
    ("fields", "config"),
    [
        ({}, {}),
        ({"size": "auto"}, {}),
        ({"size": "1024x1024"}, {"imageConfig": {"aspectRatio": "1:1"}}),
        ({"size": "1792x1024"}, {"imageConfig": {"aspectRatio": "16:9"}}),
        ({"width": 1024, "height": 1536}, {"imageConfig": {"aspectRatio": "2:3"}}),
        ({"size": "2048x2048"}, {"imageConfig": {"aspectRatio": "1:1", "imageSize": "2K"}}),
        ({"size": "4096x4096"}, {"imageConfig": {"aspectRatio": "1:1", "imageSize": "4K"}}),
        (
            {"aspect_ratio": "21:9", "resolution": "2k", "seed": 5},
            {"imageConfig": {"aspectRatio": "21:9", "imageSize": "2K"}, "seed": 5},
        ),
    ],
)
def test_an_image_is_asked_for_in_its_words(fields: Any, config: Any) -> None:
    assert body(draw(**fields), "i") == {
        "contents": [{"role": "user", "parts": [{"text": "A cat"}]}],
        "generationConfig": {"responseModalities": ["IMAGE"], **config},
    }


def test_a_size_that_it_cannot_draw_passes_it_over() -> None:
    with pytest.raises(AttemptFailed, match="none of Gemini's ratios") as caught:
        sent(draw(size="1000x100"))
    assert caught.value.param == "size"


def test_an_image_is_read() -> None:
    told = {
        "candidates": [candidate({"text": "Here."}, PNG | {"thoughtSignature": "c2ln"})],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1290, "totalTokenCount": 1293},
        "modelVersion": "v",
    }
    made = read(draw(), told)
    assert [image.b64_json for image in made.data] == ["iVBORw0="]
    assert (made.output_format, made.model, made.provider) == ("png", "v", "Up")
    usage = made.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (3, 1290, 1293)
    assert made.extra["choices"][0]["message"]["content"] == "Here."
    assert made.data[0].extra["extra_content"]["google"]["thought_signature"] == "c2ln"


@pytest.mark.parametrize(("kind", "told"), [("image/png", "png"), ("image/jpeg", "")])
def test_the_format_of_several_images_is_told_where_it_is_the_same(kind: str, told: str) -> None:
    other = {"inlineData": {"mimeType": kind, "data": "AAA="}}
    made = read(draw(), {"candidates": [candidate(PNG, other)]})
    assert ([image.b64_json for image in made.data], made.output_format) == (["iVBORw0=", "AAA="], told)


@pytest.mark.parametrize(
    "told",
    [
        {"candidates": [candidate(finishReason="IMAGE_SAFETY")]},
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}},
    ],
)
def test_an_image_that_was_blocked_refuses_the_request(told: Any) -> None:
    with pytest.raises(RequestRefused) as caught:
        read(draw(), told)
    assert (caught.value.reason, caught.value.param) == ("content_policy_violation", "prompt")


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"candidates": []},
        {"candidates": [candidate({"text": "I cannot."})]},
        {"candidates": [candidate(finishReason="NO_IMAGE")]},
        {"candidates": [candidate(PNG | {"thought": True})]},
    ],
)
def test_an_answer_without_an_image_is_a_broken_one(told: Any) -> None:
    with pytest.raises(AttemptFailed) as caught:
        read(draw(), told)
    assert caught.value.cause == "broken_answer"


# https://ai.google.dev/api/models#response-body_1
MODELS = {
    "models": [
        {
            "name": "models/gemini-3.8-flash",
            "inputTokenLimit": 1048576,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
            "thinking": True,
        },
        {
            "name": "models/gemini-2.0-flash",
            "inputTokenLimit": 32768,
            "supportedGenerationMethods": ["generateContent"],
        },
        {"name": "models/gemini-embedding-001", "supportedGenerationMethods": ["embedContent"]},
        {"name": "models/veo-4", "supportedGenerationMethods": ["predictLongRunning"]},
        {"name": "models/unknown", "inputTokenLimit": "many", "supportedGenerationMethods": 5},
        *({"name": "models/"}, {"name": 5}, {}, 5),
    ]
}


def test_models_are_listed_with_what_is_known_of_them() -> None:
    reasoning = frozenset({"reasoning"})
    assert DIALECT.models(answer(MODELS)) == [
        Listed("gemini-3.8-flash", capabilities=reasoning, context_length=1048576),
        Listed("gemini-2.0-flash", lacks=reasoning, context_length=32768),
        Listed("gemini-embedding-001", lacks=reasoning),
        Listed("unknown"),
    ]
    assert DIALECT.models_request(target()).url == "https://up/v1beta/models?pageSize=1000"


@pytest.mark.parametrize("told", [b"nope", [], {}, {"models": {}}])
def test_a_list_of_models_that_is_none_is_a_broken_answer(told: Any) -> None:
    with pytest.raises(AttemptFailed):
        DIALECT.models(answer(told))
