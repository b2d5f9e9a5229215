"""OpenAI's Python SDK over REST, and grpc in Python: what a caller of either gets."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import grpc
import openai
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from openai.types.chat import ChatCompletionUserMessageParam
from PIL import Image

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.error_pb2 import ErrorResponse
from interference.v1.images_pb2 import GenerateImagesRequest
from interference.v1.images_pb2_grpc import ImagesStub
from interference.v1.message_pb2 import ChatMessage, ContentPart
from interference.v1.models_pb2 import ListModelsRequest
from interference.v1.models_pb2_grpc import ModelsStub
from interference.v1.providers_pb2 import ListProvidersRequest
from interference.v1.providers_pb2_grpc import ProvidersStub
from tests.calls import detail
from tests.service import Service
from tests.upstream import RETRY_AFTER

ANSWER = "Hello from a tiny model."
HI: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Hi"}]


def hi(model: str, *providers: str) -> CreateCompletionRequest:
    said = ChatMessage(role="user", content=[ContentPart(text="Hi")])
    return CreateCompletionRequest(model=model, providers=providers, messages=[said])


@pytest.fixture
def client(interference: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=interference.base_url, api_key="none", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def channel(interference: Service) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(interference.envoy) as channel:
        yield channel


def test_openai_lists_the_models(client: openai.OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert {"gpt-4o-mini", "wired", "flux"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_openai_describes_a_model(client: openai.OpenAI) -> None:
    assert client.models.retrieve("wired").id == "wired"


def test_openai_chats(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="gpt-4o-mini", messages=HI)
    assert completion.choices[0].message.content == ANSWER
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage
    assert completion.usage.completion_tokens == 7


def test_openai_chats_with_a_provider_named(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model="gpt-4o-mini", messages=HI, extra_body={"provider": "AnotherProvider"}
    )
    assert completion.choices[0].message.content == ANSWER
    assert completion.to_dict()["provider"] == "AnotherProvider"


def test_openai_streams(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model="wired", messages=HI, stream=True, stream_options={"include_usage": True}
    ) as stream:
        *pieces, last = stream
    choices = [choice for piece in pieces for choice in piece.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == ANSWER
    assert choices[-1].finish_reason == "stop"
    assert last.choices == []
    assert last.usage
    assert last.usage.completion_tokens == 7


def test_openai_puts_a_stream_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="wired", messages=HI, stream_options={"include_usage": True}
    ) as stream:
        completion = stream.get_final_completion()
    assert completion.choices[0].message.content == ANSWER
    assert completion.usage
    assert completion.usage.completion_tokens == 7


def test_openai_makes_an_image(client: openai.OpenAI) -> None:
    made = client.images.generate(model="flux", prompt="a city", response_format="b64_json")
    assert made.data
    image = base64.b64decode(made.data[0].b64_json or "")
    with Image.open(io.BytesIO(image)) as opened:
        opened.verify()


@pytest.mark.parametrize(
    ("request_body", "kind", "error_type", "param"),
    [
        pytest.param(
            {"model": "wired", "messages": []},
            openai.BadRequestError,
            "invalid_request_error",
            "messages",
            id="400",
        ),
        pytest.param(
            {"model": "no-such-model", "messages": HI},
            openai.NotFoundError,
            "not_found_error",
            "model",
            id="404 model",
        ),
        pytest.param(
            {"model": "wired", "messages": HI, "extra_body": {"provider": "Hugging"}},
            openai.NotFoundError,
            "not_found_error",
            "provider",
            id="404 provider",
        ),
        pytest.param(
            {"model": "busy", "messages": HI, "extra_body": {"provider": "Crowded"}},
            openai.RateLimitError,
            "rate_limit_error",
            None,
            id="429",
        ),
        pytest.param(
            {"model": "busy", "messages": HI, "extra_body": {"provider": "Overloaded"}},
            openai.InternalServerError,
            "api_error",
            None,
            id="503",
        ),
    ],
)
@pytest.mark.parametrize("stream", [pytest.param(False, id="whole"), pytest.param(True, id="stream")])
def test_openai_raises_the_exception_of_the_status(
    client: openai.OpenAI,
    request_body: dict[str, Any],
    kind: type[openai.APIStatusError],
    error_type: str,
    param: str | None,
    stream: bool,
) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(**request_body, stream=stream)
    assert type(raised.value) is kind
    assert raised.value.type == error_type
    assert raised.value.param == param
    assert raised.value.code


def test_openai_is_told_when_to_come_back(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model="busy", messages=HI, extra_body={"provider": "Crowded"})
    assert 0 < int(raised.value.response.headers["retry-after"]) <= RETRY_AFTER


def test_openai_is_told_that_nobody_could_answer(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="busy", messages=HI)
    attempts = raised.value.response.json()["attempts"]
    assert {attempt["provider"] for attempt in attempts} == {"Crowded", "Overloaded"}


def test_openai_is_refused_without_the_right_key(guarded: Service) -> None:
    with (
        openai.OpenAI(base_url=guarded.base_url, api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as raised,
    ):
        client.models.list()
    assert raised.value.type == "authentication_error"
    assert raised.value.code == "invalid_api_key"


def test_openai_is_let_in_with_the_right_key(guarded: Service, guarded_key: str) -> None:
    with openai.OpenAI(base_url=guarded.base_url, api_key=guarded_key, max_retries=0) as client:
        assert "canvas" in [model.id for model in client.models.list()]


def test_grpc_lists_the_providers(channel: grpc.Channel) -> None:
    listed = list(ProvidersStub(channel).ListProviders(ListProvidersRequest(), timeout=10))
    assert {"HuggingChat", "AnotherProvider", "HuggingSpace"} <= {one.id for one in listed}


def test_grpc_lists_the_models(channel: grpc.Channel) -> None:
    answer = ModelsStub(channel).ListModels(ListModelsRequest(), timeout=10)
    (wired,) = (model for model in answer.data if model.id == "wired")
    assert set(wired.providers) >= {"HuggingChat", "AnotherProvider"}


def test_grpc_chats(channel: grpc.Channel) -> None:
    completion = ChatStub(channel).CreateCompletion(hi("wired", "AnotherProvider"), timeout=30)
    assert completion.choices[0].message.content == ANSWER
    assert completion.provider == "AnotherProvider"


def test_grpc_streams(channel: grpc.Channel) -> None:
    chunks = list(ChatStub(channel).StreamCompletion(hi("wired", "AnotherProvider"), timeout=30))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content for choice in choices) == ANSWER
    assert choices[-1].finish_reason == "stop"


def test_grpc_makes_an_image(channel: grpc.Channel) -> None:
    request = GenerateImagesRequest(prompt="a city", model="flux", response_format="b64_json")
    made = ImagesStub(channel).GenerateImages(request, timeout=30)
    assert made.provider == "HuggingSpace"
    with Image.open(io.BytesIO(base64.b64decode(made.data[0].b64_json))) as opened:
        opened.verify()


@pytest.mark.parametrize(
    ("asked", "code", "error_type", "param"),
    [
        pytest.param(
            CreateCompletionRequest(model="wired"),
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid_request_error",
            "messages",
            id="INVALID_ARGUMENT",
        ),
        pytest.param(
            hi("no-such-model"),
            grpc.StatusCode.NOT_FOUND,
            "not_found_error",
            "model",
            id="NOT_FOUND model",
        ),
        pytest.param(
            hi("wired", "Hugging"),
            grpc.StatusCode.NOT_FOUND,
            "not_found_error",
            "provider",
            id="NOT_FOUND provider",
        ),
        pytest.param(
            hi("busy", "Crowded"),
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "rate_limit_error",
            "",
            id="RESOURCE_EXHAUSTED",
        ),
        pytest.param(
            hi("busy", "Overloaded"),
            grpc.StatusCode.UNAVAILABLE,
            "api_error",
            "",
            id="UNAVAILABLE",
        ),
    ],
)
def test_grpc_fails_with_the_status_and_its_details(
    channel: grpc.Channel,
    asked: CreateCompletionRequest,
    code: grpc.StatusCode,
    error_type: str,
    param: str,
) -> None:
    error = failure(channel, asked)
    assert isinstance(error, grpc.Call)
    assert error.code() == code
    told = detail(error, ErrorResponse).error
    assert (told.type, told.param) == (error_type, param)
    assert detail(error, ErrorInfo).reason == told.code.upper()


def test_grpc_is_told_which_field_is_wrong(channel: grpc.Channel) -> None:
    error = failure(channel, CreateCompletionRequest(model="wired"))
    assert detail(error, BadRequest).field_violations[0].field == "messages"


def test_grpc_is_told_when_to_come_back(channel: grpc.Channel) -> None:
    error = failure(channel, hi("busy", "Crowded"))
    assert 0 < detail(error, RetryInfo).retry_delay.seconds <= RETRY_AFTER


def test_grpc_is_refused_without_the_right_key(guarded: Service) -> None:
    with grpc.insecure_channel(guarded.envoy) as channel, pytest.raises(grpc.RpcError) as raised:
        list(ProvidersStub(channel).ListProviders(ListProvidersRequest(), timeout=10))
    assert isinstance(raised.value, grpc.Call)
    assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_grpc_is_let_in_with_the_right_key(guarded: Service, guarded_key: str) -> None:
    key = (("authorization", f"Bearer {guarded_key}"),)
    with grpc.insecure_channel(guarded.envoy) as channel:
        listed = ProvidersStub(channel).ListProviders(ListProvidersRequest(), timeout=10, metadata=key)
        assert "Easel" in {provider.id for provider in listed}


def failure(channel: grpc.Channel, asked: CreateCompletionRequest) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        ChatStub(channel).CreateCompletion(asked, timeout=30)
    return raised.value
