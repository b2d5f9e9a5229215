"""A real model server behind the service: whichever way it is asked, the answer is its own."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import requests
from google.protobuf.json_format import ParseDict

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.error_pb2 import ErrorResponse
from tests.calls import detail, plain
from tests.programs import wait_until
from tests.service import Service
from tests.upstreams.llama import Llama

TEXTS = [
    pytest.param("Hi", "Hello from a tiny model.", id="greeting"),
    pytest.param("#count", "one, two three four five done", id="count"),
    pytest.param("#weather", "It is sunny in Lisbon today!", id="weather"),
    pytest.param("#think", "<think>Let me ponder</think>Forty deux", id="think"),
    pytest.param("#json", '{"sentiment": "positive", "ok": true, "kind": "review"}', id="json"),
]


@dataclass(frozen=True)
class Answer:
    """What must be the same however it was asked for."""

    text: str
    finish_reason: str
    tokens: tuple[int, int, int]  # of the prompt, of the completion, both


def whole(completion: dict[str, Any]) -> Answer:
    choice = completion["choices"][0]
    text = choice["message"]["content"]
    return Answer(text, choice["finish_reason"], tokens(completion["usage"]))


def joined(chunks: list[dict[str, Any]]) -> Answer:
    """The answer in a stream: one finish reason at its end, and the usage after it."""
    *pieces, last = chunks
    assert not last.get("choices")
    choices = [choice for chunk in pieces for choice in chunk["choices"]]
    reasons = [choice.get("finish_reason") for choice in choices]
    assert not any(reasons[:-1])
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return Answer(text, reasons[-1], tokens(last["usage"]))


def tokens(usage: dict[str, Any]) -> tuple[int, int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]


def rest_whole(service: Service, body: dict[str, Any]) -> Answer:
    return whole(post(service.base_url, body).json())


def rest_streamed(service: Service, body: dict[str, Any]) -> Answer:
    return joined(streamed(service.base_url, body))


def grpc_whole(service: Service, body: dict[str, Any]) -> Answer:
    return whole(called(service.envoy, body))


def grpc_streamed(service: Service, body: dict[str, Any]) -> Answer:
    return joined(received(service.envoy, body))


def worker_whole(service: Service, body: dict[str, Any]) -> Answer:
    return whole(called(service.worker, body))


def worker_streamed(service: Service, body: dict[str, Any]) -> Answer:
    return joined(received(service.worker, body))


@pytest.mark.parametrize(("prompt", "text"), TEXTS)
@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(rest_whole, id="REST"),
        pytest.param(rest_streamed, id="REST stream"),
        pytest.param(grpc_whole, id="gRPC"),
        pytest.param(grpc_streamed, id="gRPC stream"),
        pytest.param(worker_whole, id="gRPC without Envoy"),
        pytest.param(worker_streamed, id="gRPC stream without Envoy"),
    ],
)
def test_the_answer_is_the_one_that_the_model_server_gives_itself(
    interference: Service,
    llama: Llama,
    ask: Callable[[Service, dict[str, Any]], Answer],
    prompt: str,
    text: str,
) -> None:
    direct = whole(post(llama.base_url, chat(prompt, model="wired"), llama.key).json())
    answer = ask(interference, chat(prompt, provider="AnotherProvider"))
    assert answer == direct
    assert answer.text == text
    assert answer.finish_reason == "stop"


def test_a_stream_has_no_usage_where_none_was_asked_for(interference: Service) -> None:
    body = chat("#count", provider="AnotherProvider", stream=True)
    chunks = events(post(interference.base_url, body, stream=True))
    assert all("usage" not in chunk for chunk in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_stream_is_put_together_and_has_the_providers_id(interference: Service) -> None:
    chunks = streamed(interference.base_url, chat("#count", provider="AnotherProvider"))
    pieces = [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]
    # A piece a token, but for those that arrived together.
    assert "".join(filter(None, pieces)) == "one, two three four five done"
    assert {chunk["provider"] for chunk in chunks} == {"AnotherProvider"}
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_a_tool_is_called_with_the_arguments_that_the_model_wrote(
    interference: Service,
) -> None:
    body = chat("#lookup", provider="AnotherProvider", tools=[WEATHER])
    choice = post(interference.base_url, body).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"unit": "c", "exact": True}


def test_a_streamed_tool_call_is_the_whole_one_in_pieces(interference: Service) -> None:
    body = chat("#lookup", provider="AnotherProvider", tools=[WEATHER])
    choices = [c for chunk in streamed(interference.base_url, body) for c in chunk["choices"]]
    pieces = [call for choice in choices for call in choice["delta"].get("tool_calls", [])]
    assert {piece["index"] for piece in pieces} == {0}
    assert [piece["function"]["name"] for piece in pieces if "name" in piece["function"]] == ["get_weather"]
    arguments = "".join(piece["function"].get("arguments", "") for piece in pieces)
    assert json.loads(arguments) == {"unit": "c", "exact": True}
    assert choices[-1]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "ask", [pytest.param(rest_whole, id="whole"), pytest.param(rest_streamed, id="stream")]
)
def test_an_answer_follows_the_json_schema_with_its_keys_in_order(
    interference: Service, ask: Callable[[Service, dict[str, Any]], Answer]
) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "review", "schema": SCHEMA}}
    body = chat("Hi", provider="AnotherProvider", response_format=form)
    review = json.loads(ask(interference, body).text)
    assert list(review) == ["zeal", "kind", "age"]
    assert (review["kind"], review["age"]) == ("review", 7)


def test_callers_at_once_each_get_their_own_answer(interference: Service) -> None:
    prompts = [(param.values[0], param.values[1]) for param in TEXTS] * 32
    with ThreadPoolExecutor(max_workers=8) as callers:
        answers = callers.map(
            lambda asked: rest_streamed(interference, chat(asked[0], provider="AnotherProvider")),
            prompts,
        )
        assert [answer.text for answer in answers] == [text for _, text in prompts]


def test_a_key_that_the_model_server_refuses_is_told_as_the_reason_over_rest(
    interference: Service,
) -> None:
    response = post(interference.base_url, chat("Hi", model="locked"), expected=503)
    (attempt,) = response.json()["attempts"]
    assert attempt["provider"] == "LockedOut"
    assert attempt["cause"] == "key_refused"
    assert attempt["status"] == 401
    assert "WRONG_KEY" in attempt["message"]


def test_a_key_that_the_model_server_refuses_is_told_as_the_reason_over_grpc(
    interference: Service,
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        called(interference.envoy, chat("Hi", model="locked"))
    assert isinstance(raised.value, grpc.Call)
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    (attempt,) = detail(raised.value, ErrorResponse).attempts
    assert (attempt.provider, attempt.cause, attempt.status) == ("LockedOut", "key_refused", 401)


def test_a_provider_whose_key_is_refused_is_passed_over_for_the_next(
    interference: Service,
) -> None:
    body = chat("Hi", model="wired", provider="LockedOut AnotherProvider")
    assert post(interference.base_url, body).json()["provider"] == "AnotherProvider"


def test_the_model_server_stops_when_a_rest_caller_goes_away(interference: Service, llama: Llama) -> None:
    body = chat("Hi", provider="AnotherProvider", stream=True, **ENDLESS)
    with abandoned(llama), post(interference.base_url, body, stream=True) as response:
        pieces = data(response)
        assert next(pieces)
        assert llama.busy_slots() == 1


def test_the_model_server_stops_when_a_rest_caller_of_a_whole_answer_goes_away(
    interference: Service, llama: Llama
) -> None:
    body = chat("Hi", provider="AnotherProvider", **ENDLESS)
    with abandoned(llama), pytest.raises(requests.ReadTimeout):
        requests.post(f"{interference.base_url}/chat/completions", json=body, timeout=0.5)


def test_the_model_server_stops_when_a_grpc_caller_goes_away(interference: Service, llama: Llama) -> None:
    request = message(chat("Hi", provider="AnotherProvider"))
    request.extra_json = json.dumps(ENDLESS)
    with abandoned(llama), grpc.insecure_channel(interference.envoy) as channel:
        stream = ChatStub(channel).StreamCompletion(request, timeout=30)
        assert next(iter(stream))
        assert llama.busy_slots() == 1
        stream.cancel()


def test_the_model_server_stops_when_a_callers_deadline_passes(interference: Service, llama: Llama) -> None:
    request = message(chat("Hi", provider="AnotherProvider"))
    request.extra_json = json.dumps(ENDLESS)
    with abandoned(llama), grpc.insecure_channel(interference.envoy) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            ChatStub(channel).CreateCompletion(request, timeout=0.5)
        assert isinstance(raised.value, grpc.Call)
        assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


@contextmanager
def abandoned(llama: Llama) -> Iterator[None]:
    """What happens inside leaves the model server with one answer to give up."""
    before = llama.abandoned()
    yield
    wait_until(lambda: llama.abandoned() > before, lambda: "the model server still writes")
    assert llama.abandoned() == before + 1
    wait_until(lambda: llama.busy_slots() == 0, lambda: "the model server still writes")


ENDLESS = {"ignore_eos": True}
SCHEMA = {
    "type": "object",
    "properties": {
        "zeal": {"enum": ["low", "high"]},
        "kind": {"const": "review"},
        "age": {"const": 7},
    },
    "required": ["zeal", "kind", "age"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"unit": {"type": "string"}, "exact": {"type": "boolean"}},
        },
    },
}


def chat(prompt: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}]
    return {"model": "gpt-4o-mini", "messages": messages, **fields}


def post(
    base_url: str, body: dict[str, Any], key: str = "", *, stream: bool = False, expected: int = 200
) -> requests.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    response = requests.post(
        f"{base_url}/chat/completions", json=body, headers=headers, stream=stream, timeout=30
    )
    assert response.status_code == expected, response.text
    return response


def streamed(base_url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    return events(post(base_url, asked, stream=True))


def events(response: requests.Response) -> list[dict[str, Any]]:
    """The chunks of a stream that ends as it must."""
    assert response.headers["content-type"].split(";")[0] == "text/event-stream"
    *chunks, done = data(response)
    assert done == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]


def data(response: requests.Response) -> Iterator[str]:
    for line in response.iter_lines():
        if line.startswith(b"data: "):
            yield line.removeprefix(b"data: ").decode()


def called(address: str, body: dict[str, Any]) -> dict[str, Any]:
    with grpc.insecure_channel(address) as channel:
        completion = ChatStub(channel).CreateCompletion(message(body), timeout=30)
    return plain(completion)


def received(address: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    request = message(body)
    request.stream_options.include_usage = True
    with grpc.insecure_channel(address) as channel:
        chunks = list(ChatStub(channel).StreamCompletion(request, timeout=30))
    return [plain(chunk) for chunk in chunks]


def message(body: dict[str, Any]) -> CreateCompletionRequest:
    """The typed request that a REST body stands for."""
    fields = {**body, "provider": body.get("provider", "").split()}
    fields["messages"] = [{**said, "content": [{"text": said["content"]}]} for said in body["messages"]]
    return ParseDict(fields, CreateCompletionRequest())
