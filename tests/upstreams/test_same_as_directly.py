"""Whatever a real model server is asked, through the service it answers as it does when asked directly."""

import base64
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests

from interference.v1.completions_pb2 import CreateTextCompletionRequest
from interference.v1.completions_pb2_grpc import CompletionsStub
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.embeddings_pb2_grpc import EmbeddingsStub
from interference.v1.input_pb2 import TextInput
from tests.service import Service, row, serving
from tests.upstreams.llama import Llama, llama_running
from tests.upstreams.llama_server import llama_server

WEATHER = {
    "type": "object",
    "properties": {"unit": {"type": "string"}, "exact": {"type": "boolean"}},
    "required": ["unit"],
}
SCHEMA = {
    "type": "object",
    "properties": {
        "zeal": {"enum": ["low", "high"]},
        "kind": {"const": "review"},
        "ok": {"type": "boolean"},
    },
    "required": ["zeal", "kind", "ok"],
    "additionalProperties": False,
}
CHAT_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
FORM = {"type": "json_schema", "json_schema": {"name": "review", "schema": SCHEMA, "strict": True}}


def said(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


@pytest.fixture(scope="module")
def embedding_llama(
    made: Callable[[Callable[[], Path]], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Llama]:
    """A real model server that embeds."""
    made(llama_server)
    folder = tmp_path_factory.mktemp("embeddings")
    with llama_running(folder, "--embeddings", "--pooling", "mean") as server:
        yield server


@pytest.fixture(scope="module")
def service(
    llama: Llama, embedding_llama: Llama, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service with both servers behind it."""
    rows = [
        row("Llama", llama.base_url, key_env="LLAMA_KEY", models=["wired"], text_models=["wired"]),
        row(
            "Vectors",
            embedding_llama.base_url,
            key_env="VECTORS_KEY",
            models=[],
            embedding_models=["wired"],
            embedding_params=["encoding_format"],
        ),
    ]
    keys = {"LLAMA_KEY": llama.key, "VECTORS_KEY": embedding_llama.key}
    with serving(tmp_path_factory.mktemp("same"), rows, keys) as running:
        yield running


def post(base_url: str, path: str, body: dict[str, Any], key: str = "") -> requests.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = requests.post(f"{base_url}/{path}", json=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


def events(answer: requests.Response) -> list[dict[str, Any]]:
    """The data of the events of a stream, but for `[DONE]`."""
    lines = answer.content.decode().split("\n")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(text) for text in data if text != "[DONE]"]


def both(service: Service, server: Llama, path: str, body: dict[str, Any]) -> list[requests.Response]:
    """The answer that the server gives itself, and the one through the service."""
    return [post(server.base_url, path, body, server.key), post(service.base_url, path, body)]


# --- Chat ------------------------------------------------------------------------------------------

ASKED = [
    pytest.param("Hi", {}, id="text"),
    pytest.param("#lookup", {"tools": [CHAT_TOOL]}, id="a tool"),
    pytest.param("#lookup", {"tools": [CHAT_TOOL], "tool_choice": "none"}, id="no tool"),
    pytest.param("Hi", {"response_format": FORM}, id="a JSON Schema"),
    pytest.param("Hi", {"response_format": {"type": "json_object"}, "max_tokens": 12}, id="JSON"),
    pytest.param("#count", {"stop": ["four"]}, id="a stop"),
    pytest.param("#count", {"max_tokens": 3}, id="a limit"),
    pytest.param("Hi", {"logprobs": True, "top_logprobs": 2, "max_tokens": 2}, id="logprobs"),
]


# Of likely tokens the likeliest, each time.
GREEDY = {"temperature": 0, "seed": 1}


def message_of(message: dict[str, Any]) -> tuple[Any, ...]:
    """What a message says: tool calls without their ids, which are new each time."""
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return message.get("content") or "", calls


def chat_of(whole: dict[str, Any]) -> tuple[Any, ...]:
    [choice] = whole["choices"]
    usage = whole["usage"]
    tokens = (choice.get("logprobs") or {}).get("content")
    counted = usage["prompt_tokens"], usage["completion_tokens"]
    return message_of(choice["message"]), choice["finish_reason"], counted, likely(tokens)


def likely(tokens: Any) -> list[Any]:
    """The tokens with their probabilities, and those that could have stood there."""
    return [
        (one["token"], one["logprob"], [(top["token"], top["logprob"]) for top in one["top_logprobs"]])
        for one in tokens or ()
    ]


@pytest.mark.parametrize(("prompt", "fields"), ASKED)
def test_a_chat_is_the_same(service: Service, llama: Llama, prompt: str, fields: dict[str, Any]) -> None:
    body = {"model": "wired", "messages": said("user", prompt), **GREEDY, **fields}
    direct, through = (chat_of(answer.json()) for answer in both(service, llama, "chat/completions", body))
    assert through == direct


def streamed_chat_of(chunks: list[dict[str, Any]]) -> tuple[Any, ...]:
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    deltas = [choice["delta"] for choice in choices]
    calls: dict[int, list[str]] = {}
    for call in (call for delta in deltas for call in delta.get("tool_calls") or ()):
        made = calls.setdefault(call["index"], ["", ""])
        made[0] += call["function"].get("name") or ""
        made[1] += call["function"].get("arguments") or ""
    text = "".join(delta.get("content") or "" for delta in deltas)
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    told = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    return text, calls, reasons, [(usage["prompt_tokens"], usage["completion_tokens"]) for usage in told]


@pytest.mark.parametrize(("prompt", "fields"), ASKED)
def test_a_streamed_chat_is_the_same(
    service: Service, llama: Llama, prompt: str, fields: dict[str, Any]
) -> None:
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    body = {"model": "wired", "messages": said("user", prompt), **GREEDY, **fields, **streamed}
    direct, through = (
        streamed_chat_of(events(answer)) for answer in both(service, llama, "chat/completions", body)
    )
    assert through == direct


# --- Text completions ------------------------------------------------------------------------------


PROMPT = "<|user|>Hi<|end|><|assistant|>"  # as the model's chat template writes it


def text_of(whole: dict[str, Any]) -> tuple[Any, ...]:
    usage = whole["usage"]
    choices = [(choice["text"], choice["finish_reason"]) for choice in whole["choices"]]
    return choices, usage["prompt_tokens"], usage["completion_tokens"]


@pytest.mark.parametrize("prompt", [PROMPT, [PROMPT], [1, 5, 9]], ids=["text", "a list", "tokens"])
def test_a_text_completion_is_the_same(service: Service, llama: Llama, prompt: Any) -> None:
    body = {"model": "wired", "prompt": prompt, "max_tokens": 4}
    direct, through = (text_of(answer.json()) for answer in both(service, llama, "completions", body))
    assert through == direct


def test_a_streamed_text_completion_is_the_same(service: Service, llama: Llama) -> None:
    body = {"model": "wired", "prompt": PROMPT, "max_tokens": 4, "stream": True}
    answers = []
    for answer in both(service, llama, "completions", body):
        choices = [choice for chunk in events(answer) for choice in chunk["choices"]]
        reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
        answers.append(("".join(choice["text"] for choice in choices), reasons))
    assert answers[0] == answers[1]


def test_a_text_completion_over_grpc_is_the_same(service: Service, llama: Llama) -> None:
    body = {"model": "wired", "prompt": PROMPT, "max_tokens": 4}
    direct = post(llama.base_url, "completions", body, llama.key).json()["choices"][0]["text"]
    request = CreateTextCompletionRequest(model="wired", prompt=[TextInput(text=PROMPT)], max_tokens=4)
    with grpc.insecure_channel(service.envoy) as channel:
        stub = CompletionsStub(channel)
        whole = stub.CreateTextCompletion(request, timeout=30)
        pieces = list(stub.StreamTextCompletion(request, timeout=30))
    assert whole.choices[0].text == direct
    assert "".join(choice.text for piece in pieces for choice in piece.choices) == direct


# --- Embeddings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inputs", ["Hi", ["Hi", "one two"], [1, 5], [[1, 5], [9]]], ids=["text", "texts", "tokens", "lists"]
)
@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings_are_the_same(service: Service, embedding_llama: Llama, inputs: Any, form: str) -> None:
    body = {"model": "wired", "input": inputs, "encoding_format": form}
    direct, through = (
        [item["embedding"] for item in answer.json()["data"]]
        for answer in both(service, embedding_llama, "embeddings", body)
    )
    assert through == direct


def test_embeddings_over_grpc_are_the_same(service: Service, embedding_llama: Llama) -> None:
    body = {"model": "wired", "input": "Hi"}
    answer = post(embedding_llama.base_url, "embeddings", body, embedding_llama.key).json()
    request = CreateEmbeddingsRequest(model="wired", input=[TextInput(text="Hi")])
    with grpc.insecure_channel(service.envoy) as channel:
        stub = EmbeddingsStub(channel)
        floats = stub.CreateEmbeddings(request, timeout=30).data[0]
        request.encoding_format = "base64"
        packed = base64.b64decode(stub.CreateEmbeddings(request, timeout=30).data[0].embedding_base64)
    assert list(floats.embedding) == answer["data"][0]["embedding"]
    assert struct.unpack(f"<{len(packed) // 4}f", packed) == pytest.approx(list(floats.embedding))


# --- The other chat dialects, which the model server speaks itself ---------------------------------


def response_of(response: dict[str, Any]) -> tuple[Any, ...]:
    texts = [
        part["text"]
        for item in response["output"]
        for part in item.get("content") or ()
        if part["type"] == "output_text"
    ]
    calls = [
        (item["name"], item["arguments"]) for item in response["output"] if item["type"] == "function_call"
    ]
    usage = response["usage"]
    return "".join(texts), calls, response["status"], usage["input_tokens"], usage["output_tokens"]


RESPONSES_TOOL = {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": False}


@pytest.mark.parametrize(
    ("prompt", "fields"),
    [
        pytest.param("Hi", {}, id="text"),
        pytest.param("#lookup", {"tools": [RESPONSES_TOOL]}, id="a tool"),
        pytest.param("Hi", {"instructions": "Be brief"}, id="instructions"),
    ],
)
def test_a_response_is_the_same(
    service: Service, llama: Llama, prompt: str, fields: dict[str, Any]
) -> None:
    body = {"model": "wired", "input": prompt, **fields}
    direct, through = (response_of(answer.json()) for answer in both(service, llama, "responses", body))
    assert through == direct


def anthropic_of(message: dict[str, Any]) -> tuple[Any, ...]:
    texts = [block["text"] for block in message["content"] if block["type"] == "text"]
    calls = [(block["name"], block["input"]) for block in message["content"] if block["type"] == "tool_use"]
    return "".join(texts), calls, message["stop_reason"], message["usage"]["output_tokens"]


MESSAGES_TOOL = {"name": "get_weather", "input_schema": WEATHER}


@pytest.mark.parametrize(
    ("prompt", "fields"),
    [
        pytest.param("Hi", {}, id="text"),
        pytest.param("#lookup", {"tools": [MESSAGES_TOOL]}, id="a tool"),
        pytest.param("#count", {"max_tokens": 3}, id="a limit"),
        pytest.param("Hi", {"system": "Be brief"}, id="a system prompt"),
    ],
)
def test_a_message_is_the_same(service: Service, llama: Llama, prompt: str, fields: dict[str, Any]) -> None:
    body = {"model": "wired", "max_tokens": 200, "messages": said("user", prompt), **fields}
    direct, through = (anthropic_of(answer.json()) for answer in both(service, llama, "messages", body))
    assert through == direct
