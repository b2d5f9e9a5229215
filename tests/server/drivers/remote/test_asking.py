"""A provider of our own contract is asked what the caller asked, without what is meant for us."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completions_pb2 import CreateTextCompletionRequest
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from server.drivers.base import Target
from server.drivers.remote import asking
from server.rows import Row
from tests.messages import messages

USAGE: Any = {"include_usage": True}
REQUESTS = [
    CreateCompletionRequest,
    CreateTextCompletionRequest,
    CreateEmbeddingsRequest,
    GenerateImagesRequest,
]
OURS = ("providers", "stream", "timeout", "time_limits", "hedge")


def target(model: str = "own", **fields: Any) -> Target:
    return Target(Row(**{"id": "Plug", "driver": "grpc", **fields}), model)


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_any_request_passes_as_it_is(kind: Any, data: st.DataObject) -> None:
    given_ = data.draw(messages(kind))
    before = kind()
    before.CopyFrom(given_)
    asked = asking.request(given_, target(), stream=True)
    assert given_.SerializeToString(deterministic=True) == before.SerializeToString(deterministic=True)
    for name in set(OURS) & set(kind.DESCRIPTOR.fields_by_name):
        before.ClearField(name)
    before.model = "own"
    if kind is GenerateImagesRequest:
        before.response_format = "b64_json"
    assert asked.SerializeToString(deterministic=True) == before.SerializeToString(deterministic=True)


def test_a_row_may_say_whom_the_other_server_is_to_ask() -> None:
    asked = asking.request(
        CreateCompletionRequest(providers=["Plug"]),
        target(options={"providers": ["Groq", "OpenAI"]}),
        stream=True,
    )
    assert list(asked.providers) == ["Groq", "OpenAI"]


def test_an_image_model_that_was_not_named_is_not_named() -> None:
    assert not asking.request(GenerateImagesRequest(prompt="a"), target(""), stream=False).HasField("model")


@pytest.mark.parametrize(
    ("given_", "row", "expected"),
    [
        pytest.param(
            CreateCompletionRequest(max_tokens=5),
            {"params": ("max_completion_tokens",)},
            {"max_completion_tokens": 5},
            id="the other name of the most tokens",
        ),
        pytest.param(
            CreateCompletionRequest(n=1, prompt_cache_key="a", stream_options=USAGE),
            {"params": ("seed",)},
            {},
            id="what goes without saying, hints, and what is ours",
        ),
        pytest.param(
            CreateCompletionRequest(seed=1, temperature=1, stop=["a"]),
            {"params": ("seed",), "unsupported": "drop"},
            {"seed": 1},
            id="what is dropped",
        ),
        pytest.param(
            GenerateImagesRequest(width=5, height=6),
            {"image_params": ("size",)},
            {"size": "5x6"},
            id="sides as a size",
        ),
        pytest.param(
            GenerateImagesRequest(size="5x6"),
            {"image_params": ("width", "height", "response_format")},
            {"width": 5, "height": 6, "response_format": "b64_json"},
            id="a size as sides",
        ),
    ],
)
def test_a_row_may_take_less(given_: Any, row: dict[str, Any], expected: dict[str, Any]) -> None:
    assert asking.request(given_, target(**row), stream=True) == type(given_)(model="own", **expected)


def test_a_whole_answer_is_asked_for_without_how_to_stream() -> None:
    asked = asking.request(CreateCompletionRequest(stream_options=USAGE), target(), stream=False)
    assert not asked.HasField("stream_options")
