"""A model computed in the workers themselves, by the real library: what it says, and who waits for whom."""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
import requests

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from server import drivers
from server.config import Settings, load_catalog
from tests.calls import TIMEOUT, Outcome, ask, body
from tests.programs import wait_until
from tests.service import Service, serving
from tests.upstreams import llama_library, model_file
from tests.upstreams.llama import TEMPLATE
from tests.upstreams.model_file import write_model

CONTEXT = 65_536  # tokens, which take a minute to write: who waits for the end of that fails
TOKENS = model_file._vocabulary().ids
NO_END = {str(TOKENS[end]): -100.0 for end in ("</s>", model_file.END)}
WEATHER = {
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"unit": {"enum": ["c", "f"]}, "exact": {"type": "boolean"}},
        "required": ["unit", "exact"],
        "additionalProperties": False,
    },
}
REVIEW = {
    "type": "object",
    "properties": {"zeal": {"type": "boolean"}, "kind": {"const": "review"}},
    "required": ["zeal", "kind"],
    "additionalProperties": False,
}
WAYS = pytest.mark.parametrize("way", ["rest", "grpc"])
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models, which differ in their templates and in the length of their contexts."""
    folder = tmp_path_factory.mktemp("models")
    template = TEMPLATE.read_text(encoding="utf-8")
    write_model(folder / "wired.gguf", template)
    write_model(folder / "endless.gguf", template, CONTEXT)
    write_model(folder / "thinks.gguf", f"{template}<think>")
    write_model(folder / "refuses.gguf", "{{ raise_exception('Roles must alternate') }}")
    write_model(folder / "escapes.gguf", "{{ ''.__class__.__mro__[1].__subclasses__() }}")
    write_model(folder / "broken.gguf", "{% if %}")
    return folder


@pytest.fixture(scope="session")
def local(
    made: Callable[[Callable[[], Path]], Path], models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service with the shipped row, whose models may have a longer context."""
    made(llama_library.llama_library)
    rows = {row.id: row for row in load_catalog(Settings(), drivers.KINDS).providers}
    row: dict[str, Any] = msgspec.to_builtins(rows["Local"])
    row["options"] = {**row["options"], "context": CONTEXT}
    variables = {**llama_library.variables(), "INTERFERENCE_MODELS": str(models)}
    with serving(tmp_path_factory.mktemp("local"), [row], variables, workers=1) as service:
        yield service


def says(way: str, text: str, role: str = "user") -> dict[str, Any]:
    """A message, as the way has it."""
    return {"role": role, "content": text if way == "rest" else [{"text": text}]}


def told(local: Service, way: str, prompt: str, *, stream: bool = False, **fields: Any) -> Outcome:
    fields = {"model": "wired", "messages": [says(way, prompt)], **fields}
    return ask(local, way, "Local", stream=stream, **fields)


def member(outcome: Outcome, name: str) -> str:
    """A text of the first choice, put together."""
    choices = [choice for chunk in outcome.chunks for choice in chunk.get("choices", ())]
    return "".join(choice.get("message", choice.get("delta", {})).get(name) or "" for choice in choices)


def finish(outcome: Outcome) -> str:
    reasons = [
        choice.get("finish_reason") for chunk in outcome.chunks for choice in chunk.get("choices", ())
    ]
    (reason,) = filter(None, reasons)
    return str(reason)


def calls(outcome: Outcome) -> list[tuple[str, Any]]:
    choices = [choice for chunk in outcome.chunks for choice in chunk.get("choices", ())]
    found = [
        call for one in choices for call in one.get("message", one.get("delta", {})).get("tool_calls", ())
    ]
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in found]


def tool(way: str) -> dict[str, Any]:
    parameters: Any = WEATHER["parameters"] if way == "rest" else json.dumps(WEATHER["parameters"])
    return {"type": "function", "function": {**WEATHER, "parameters": parameters}}


@WAYS
@STREAM
@pytest.mark.parametrize(
    ("prompt", "text", "thought"),
    [
        pytest.param("Hi", "Hello from a tiny model.", "", id="greeting"),
        pytest.param("#count", "one, two three four five done", "", id="count"),
        pytest.param("#think", "Forty deux", "Let me ponder", id="think"),
        pytest.param("#json", '{"sentiment": "positive", "ok": true, "kind": "review"}', "", id="json"),
    ],
)
def test_the_model_says_its_text(
    local: Service, way: str, stream: bool, prompt: str, text: str, thought: str
) -> None:
    outcome = told(local, way, prompt, stream=stream)
    assert (outcome.text, member(outcome, "reasoning")) == (text, thought)
    assert finish(outcome) == "stop"


@WAYS
@STREAM
@pytest.mark.parametrize(
    ("fields", "text", "reason"),
    [
        pytest.param({"stop": ["three f"]}, "one, two ", "stop", id="a stop within two tokens"),
        pytest.param({"max_tokens": 3}, "one, two", "length", id="max_tokens"),
        pytest.param({"max_completion_tokens": 1}, "one", "length", id="max_completion_tokens"),
    ],
)
def test_the_text_ends_where_the_caller_says(
    local: Service, way: str, stream: bool, fields: dict[str, Any], text: str, reason: str
) -> None:
    outcome = told(local, way, "#count", stream=stream, **fields)
    assert (outcome.text, finish(outcome)) == (text, reason)


@WAYS
@STREAM
def test_a_tool_is_called(local: Service, way: str, stream: bool) -> None:
    outcome = told(local, way, "#lookup", stream=stream, tools=[tool(way)])
    assert calls(outcome) == [("get_weather", {"unit": "c", "exact": True})]
    assert (outcome.text, finish(outcome)) == ("", "tool_calls")


@WAYS
@STREAM
def test_a_tool_that_must_be_called_is_called_by_its_schema(local: Service, way: str, stream: bool) -> None:
    fields = {"tools": [tool(way)], "parallel_tool_calls": False, "temperature": 0}
    choice: Any = "required" if way == "rest" else {"mode": "required"}
    outcome = told(local, way, "Hi", stream=stream, tool_choice=choice, **fields)
    ((name, arguments),) = calls(outcome)
    assert (name, set(arguments), finish(outcome)) == ("get_weather", {"unit", "exact"}, "tool_calls")


def test_the_result_of_a_tool_reaches_the_model(local: Service) -> None:
    call = calls(told(local, "rest", "#lookup", tools=[tool("rest")]))[0]
    function = {"name": call[0], "arguments": json.dumps(call[1])}
    messages = [
        says("rest", "#lookup"),
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c", "content": "#weather"},
    ]
    outcome = told(local, "rest", "", messages=messages, tools=[tool("rest")])
    assert outcome.text == "It is sunny in Lisbon today!"


@WAYS
@STREAM
def test_the_answer_follows_a_schema(local: Service, way: str, stream: bool) -> None:
    schema: Any = REVIEW if way == "rest" else json.dumps(REVIEW)
    form = {"type": "json_schema", "json_schema": {"name": "review", "schema": schema}}
    outcome = told(local, way, "Hi", stream=stream, response_format=form)
    review = json.loads(outcome.text)
    assert list(review) == ["zeal", "kind"]
    assert review["kind"] == "review"
    assert finish(outcome) == "stop"


@STREAM
def test_a_thought_that_the_prompt_begins_is_not_bound_by_the_schema(local: Service, stream: bool) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "review", "schema": REVIEW}}
    fields = {"response_format": form, "temperature": 0, "logit_bias": {str(TOKENS["</think>"]): 100}}
    outcome = told(local, "rest", "Hi", model="thinks", stream=stream, **fields)
    assert json.loads(outcome.text)["kind"] == "review"


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        pytest.param("refuses", 400, "Roles must alternate", id="refuses"),
        pytest.param("escapes", 503, "SecurityError", id="reaches out of the sandbox"),
        pytest.param("broken", 503, "TemplateSyntaxError", id="is no template"),
    ],
)
def test_a_template_can_do_no_more_than_refuse(local: Service, model: str, code: int, words: str) -> None:
    outcome = told(local, "rest", "Hi", model=model)
    assert outcome.code == code
    assert words in outcome.error["error"]["message"]


def test_choices_are_asked_for_one_by_one_and_count_the_prompt_once(local: Service) -> None:
    (answer,) = told(local, "rest", "#count", n=3).chunks
    assert [choice["message"]["content"] for choice in answer["choices"]] == [
        "one, two three four five done"
    ] * 3
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (5, 24)


def test_the_likeliest_tokens_are_told(local: Service) -> None:
    (answer,) = told(local, "rest", "Hi", logprobs=True, top_logprobs=2).chunks
    first = answer["choices"][0]["logprobs"]["content"][0]
    assert (first["token"], first["bytes"]) == ("Hello", list(b"Hello"))
    assert first["top_logprobs"][0]["logprob"] == first["logprob"]
    assert -0.01 < first["logprob"] <= 0
    assert len(first["top_logprobs"]) == 2


@pytest.mark.parametrize(
    ("fields", "param", "told_of"),
    [
        pytest.param({"messages": [says("rest", "a " * 5000)]}, "messages", "5005 tokens", id="too long"),
        pytest.param(
            {"logit_bias": {str(len(TOKENS)): 1}}, "logit_bias", "not the id of a token", id="no token"
        ),
        pytest.param({"temperature": -1}, "temperature", "must be 0 to", id="below its range"),
        pytest.param({"typical_p": 1}, "typical_p", "does not take", id="unknown"),
        pytest.param({"top_k": "many"}, "top_k", "Expected `int`", id="of another type"),
        pytest.param(
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "s", "schema": {"type": 5}},
                }
            },
            "response_format",
            "cannot be made a grammar",
            id="a schema that is none",
        ),
    ],
)
def test_what_is_wrong_with_a_request_is_named(
    local: Service, fields: dict[str, Any], param: str, told_of: str
) -> None:
    outcome = told(local, "rest", "Hi", **fields)
    assert (outcome.code, outcome.error["error"]["param"]) == (400, param)
    assert told_of in outcome.error["error"]["message"]


def test_texts_are_embedded_in_their_order_with_length_one(local: Service) -> None:
    texts = ["Hi", "#count", "Hi"]
    asked = {"model": "wired", "provider": "Local", "input": texts}
    answer = requests.post(f"{local.base_url}/embeddings", json=asked, timeout=TIMEOUT).json()
    first, second, third = (item["embedding"] for item in answer["data"])
    assert first == third
    assert first != second
    assert [item["index"] for item in answer["data"]] == [0, 1, 2]
    assert math.isclose(sum(value * value for value in first), 1, rel_tol=1e-6)
    assert answer["usage"]["prompt_tokens"] == 8


@STREAM
def test_texts_are_continued(local: Service, stream: bool) -> None:
    asked = {"model": "wired", "provider": "Local", "prompt": "<|user|>#count<|end|><|assistant|>"}
    answer = requests.post(
        f"{local.base_url}/completions", json={**asked, "max_tokens": 3, "stream": stream}, timeout=TIMEOUT
    )
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    chunks = [json.loads(event) for event in events if event != "[DONE]"]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["text"] for choice in choices) == "one, two"
    assert choices[-1]["finish_reason"] == "length"


def test_a_model_makes_room_for_another(local: Service) -> None:
    for model in ("wired", "endless", "wired"):
        outcome = told(local, "rest", "Hi", model=model)
        assert (outcome.text, outcome.chunks[0]["model"]) == ("Hello from a tiny model.", model)


def test_a_new_file_is_a_new_model(local: Service, models: Path) -> None:
    assert told(local, "rest", "Hi", model="fresh").code == 404
    shutil.copy(models / "wired.gguf", models / "fresh.gguf")
    wait_until(lambda: told(local, "rest", "Hi", model="fresh").code == 200, lambda: local.program.said)


def test_what_is_known_of_the_models_is_told(local: Service) -> None:
    details = requests.get(f"{local.base_url}/providers/Local", timeout=TIMEOUT).json()
    assert {"wired", "endless"} <= set(details["models"]) & set(details["embedding_models"])
    known = details["capabilities"]["wired"]
    assert known["context_length"] == 4096
    assert "tools" in known["words"]
    assert "vision" not in known["words"]
    assert "reasoning" not in known["words"]


@contextmanager
def begun(local: Service, way: str) -> Iterator[None]:
    """A caller of a stream without an end, of which the first piece is there."""
    fields: dict[str, Any] = {"model": "endless", "logit_bias": NO_END, "user": "holder"}
    if way == "rest":
        asked = body("Local", **fields, messages=[says(way, "Hi")], stream=True)
        with requests.post(
            f"{local.base_url}/chat/completions", json=asked, stream=True, timeout=TIMEOUT
        ) as answer:
            lines = answer.iter_lines()  # the connection is closed with it
            assert next(lines).startswith(b"data: ")
            yield
    else:
        messages: Any = [says(way, "Hi")]
        request = CreateCompletionRequest(**fields, providers=["Local"], messages=messages)
        with grpc.insecure_channel(local.envoy) as channel:
            stream: Any = ChatStub(channel).StreamCompletion(request, timeout=TIMEOUT)
            next(stream)
            yield
            stream.cancel()


def outstanding(local: Service) -> int:
    """How many requests for the endless model have not been answered."""
    details = requests.get(f"{local.base_url}/providers/Local", timeout=TIMEOUT).json()
    counts = {health["model"]: health.get("outstanding", 0) for health in details["health"]}
    count: int = counts.get("endless", 0)
    return count


def waited(local: Service, prompt: str, **fields: Any) -> float:
    started = time.monotonic()
    outcome = told(local, "rest", prompt, **{"model": "endless", **fields})
    assert outcome.code == 200
    return time.monotonic() - started


@WAYS
def test_a_caller_who_leaves_gives_the_model_to_the_next(local: Service, way: str) -> None:
    with begun(local, way):
        pass
    assert waited(local, "Hi") < 5


def test_a_deadline_gives_the_model_to_the_next(local: Service) -> None:
    outcome = told(local, "rest", "Hi", model="endless", logit_bias=NO_END, timeout=0.5)
    assert outcome.code == 504
    assert waited(local, "Hi") < 5


def test_other_providers_answer_while_a_model_computes(local: Service) -> None:
    with begun(local, "rest"):
        times = []
        for _ in range(50):
            started = time.monotonic()
            assert ask(local, "rest", "Echo", model="echo").text == "Hi"
            times.append(time.monotonic() - started)
        assert outstanding(local) == 1  # it computes still
        assert sorted(times)[25] < 0.1
        assert max(times) < 1


def test_callers_take_turns_however_much_one_asks_for(local: Service) -> None:
    ended: list[str] = []

    def asks(user: str) -> None:
        waited(local, "Hi", user=user, logit_bias=NO_END, max_tokens=200)
        ended.append(user)

    def come(users: list[str], running: int) -> None:
        for user in users:
            threads.submit(asks, user)
        wait_until(lambda: outstanding(local) == running, lambda: f"{outstanding(local)} are running")

    with ThreadPoolExecutor(8) as threads, ExitStack() as held:
        held.enter_context(begun(local, "grpc"))
        come(["greedy"] * 5, 6)
        come(["modest"], 7)
    assert sorted(ended) == ["greedy"] * 5 + ["modest"]
    assert ended.index("modest") <= 1
