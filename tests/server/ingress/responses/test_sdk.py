"""OpenAI's SDK reads what the translator writes, over HTTP and with nothing else in between."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from openai import APIError, BadRequestError, OpenAI
from openai.types.responses import FunctionToolParam, ResponseInputParam
from pydantic import BaseModel

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
)
from interference.v1.error_pb2 import Error, ErrorResponse
from interference.v1.tool_pb2 import FunctionCall, ToolCall
from server.errors import InvalidRequest
from server.ingress.base import Answer
from server.ingress.responses import request as responses

TOOL: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    "strict": False,
}


class Weather(BaseModel):
    at: str


class _Handler(BaseHTTPRequestHandler):
    """Answers as a model of few words would: see `_said`. A stream of the model `cut` fails on its way."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            asked = responses.read(body)
        except InvalidRequest as error:
            told = {
                "message": error.message,
                "type": error.type,
                "param": error.param,
                "code": error.reason,
            }
            self._send(400, "application/json", json.dumps({"error": told}).encode())
            return
        message = _said(asked.request)
        if asked.stream:
            cut = asked.request.model == "cut"
            self._send(200, "text/event-stream", _events(asked.answer, message, cut=cut))
        else:
            completion = ChatCompletion(created=7, model="m-1", choices=[Choice(message=message)])
            self._send(200, "application/json", asked.answer.whole(completion))

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Says nothing."""


def _said(request: CreateCompletionRequest) -> AnswerMessage:
    """JSON where a format is asked for, two calls where there are tools, then their results in a row."""
    results = [message.content[0].text for message in request.messages if message.role == "tool"]
    if results:
        return AnswerMessage(content=" and ".join(results))
    if request.HasField("response_format"):
        return AnswerMessage(reasoning="Hm", content='{"at": "Rome"}')
    if request.tools:
        calls = [
            ToolCall(
                index=i, id=f"c{i}", function=FunctionCall(name="weather", arguments=f'{{"at": "{at}"}}')
            )
            for i, at in enumerate(("Rome", "Oslo"))
        ]
        return AnswerMessage(content="I look.", tool_calls=calls)
    return AnswerMessage(content="Hello")


def _events(answer: Answer, message: AnswerMessage, *, cut: bool) -> bytes:
    chunk = ChatCompletionChunk(created=7, model="m-1", choices=[ChunkChoice(index=0, delta=message)])
    if cut:
        failure = ErrorResponse(
            error=Error(message="Cut off.", type="api_error", code="all_providers_failed")
        )
        return answer.chunk(chunk) + answer.failed(failure)
    return answer.chunk(chunk) + answer.end()


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    base_url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        with OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=30) as opened:
            yield opened
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_it_gets_a_whole_answer_and_a_stream(client: OpenAI) -> None:
    assert client.responses.create(model="m", input="Hi").output_text == "Hello"
    with client.responses.create(model="m", input="Hi", stream=True) as events:
        texts = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert texts == ["Hello"]


def test_it_parses_structured_output_whole_and_streamed(client: OpenAI) -> None:
    whole = client.responses.parse(model="m", input="Where?", text_format=Weather)
    assert whole.output_parsed == Weather(at="Rome")
    with client.responses.stream(model="m", input="Where?", text_format=Weather) as events:
        assert events.get_final_response().output_parsed == Weather(at="Rome")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_its_output_is_the_next_input_with_the_results_of_tools(client: OpenAI, stream: bool) -> None:
    items: ResponseInputParam = [{"role": "user", "content": "Weather?"}]
    if stream:
        with client.responses.stream(model="m", input=items, tools=[TOOL]) as events:
            response = events.get_final_response()
    else:
        response = client.responses.parse(model="m", input=items, tools=[TOOL])
    calls = [item for item in response.output if item.type == "function_call"]
    given_back: list[object] = [*items, *response.output]
    given_back += [
        {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": json.loads(call.arguments)["at"],
        }
        for call in calls
    ]
    last = client.responses.create(model="m", input=given_back, tools=[TOOL])  # type: ignore[arg-type]
    assert last.output_text == "Rome and Oslo"


def test_it_raises_where_a_stream_fails_on_its_way(client: OpenAI) -> None:
    with client.responses.create(model="cut", input="Hi", stream=True) as events:
        assert [next(events).type for _ in range(5)][-1] == "response.output_text.delta"
        with pytest.raises(APIError, match="Cut off") as caught:
            list(events)
    assert caught.value.code == "all_providers_failed"
    with (
        client.responses.stream(model="cut", input="Hi") as helper,
        pytest.raises(APIError, match="Cut off"),
    ):
        helper.get_final_response()


def test_it_raises_with_the_field_where_a_request_is_wrong(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="send the whole conversation") as caught:
        client.responses.create(model="m", input="Hi", previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"
