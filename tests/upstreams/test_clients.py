"""Real clients, unchanged: the same work through each, and the same failures.

A client is a script in `clients/` (Python, in an environment of its own) or `node/`, in which `chat`,
`stream`, `tools` and `structured` are what its users would write. What only some clients have is tested in
files of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.service import Service
from tests.upstream import CONTENT, TEXT
from tests.upstreams.client import Client

ANSWER = "Hello from a tiny model."
CALL = {"unit": "c", "exact": True}  # how the model calls a tool at `#lookup`
RESULT = {"result": "#weather", "text": "It is sunny in Lisbon today!"}  # what it says to a result

# What the clients raise for a status. Those that stand on one of the SDKs raise its exceptions.
OPENAI = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "RateLimitError",
    503: "InternalServerError",
}
SERVICE_UNAVAILABLE = {**OPENAI, 503: "ServiceUnavailableError"}
LANGCHAIN = {
    400: "OpenAIInvalidRequestError",
    401: "OpenAIAuthenticationError",
    404: "OpenAIModelNotFoundError",
    429: "OpenAIRateLimitError",
    503: "OpenAIAPIError",
}
PYDANTIC_AI = {
    400: "ModelRequestRejectedError",
    401: "ModelAuthenticationError",
    404: "ModelNotFoundError",
    429: "ModelRateLimitError",
    503: "ModelOverloadedError",
}
# How each status comes about, and what the message must say.
MODELS = {400: "wrong", 404: "no-such-model", 429: "Crowded/busy", 503: "Overloaded/busy"}
SAYS = {400: "the script says 400", 404: "no-such-model", 429: "Crowded", 503: "Overloaded"}


@dataclass(frozen=True)
class Row:
    """A client: its script, where its users point it, and what it makes of failures."""

    script: str
    base: str = "/v1"  # after the address of the service, or of a provider in it
    raises: dict[int, str] = field(default_factory=lambda: OPENAI)
    breaks: str = "APIError"  # for a stream that breaks after it has begun


ROWS = [
    Row("openai/chat.py"),
    Row("openai/responses.py"),
    Row("anthropic/messages.py", "", SERVICE_UNAVAILABLE, "APIStatusError"),
    Row("langchain_openai/chat.py", raises=LANGCHAIN),
    # Not 429: its retries cannot be turned off, and wait as long as they are told to, twice.
    Row("llm/chat.py", raises={status: name for status, name in OPENAI.items() if status != 429}),
    Row("pydantic_ai/chat.py", raises=PYDANTIC_AI, breaks="ModelAPIError"),
    Row("openai_agents/responses.py"),
    Row("litellm/chat.py", raises=SERVICE_UNAVAILABLE, breaks="MidStreamFallbackError"),
    Row("openai_chat.mjs"),
    Row("openai_responses.mjs"),
    Row("anthropic.mjs", "", SERVICE_UNAVAILABLE),
    # In a stream an error is a part like others, and this one what the server sent.
    Row("ai.mjs", raises=dict.fromkeys(OPENAI, "APICallError"), breaks="Object"),
]
each_client = pytest.mark.parametrize("row", [pytest.param(row, id=row.script) for row in ROWS])

Clients = Callable[[str], Client]


def at(row: Row, service: Service, key: str = "none", provider: str = "") -> dict[str, Any]:
    """What the client's users configure."""
    path = f"/api/{provider}" if provider else ""
    return {"base_url": f"{service.url}{path}{row.base}", "key": key}


@each_client
def test_it_chats(client: Clients, interference: Service, row: Row) -> None:
    text = client(row.script).does("chat", **at(row, interference), model="wired", prompt="Hi")
    assert text == ANSWER


@each_client
def test_it_streams(client: Clients, interference: Service, row: Row) -> None:
    pieces = client(row.script).does("stream", **at(row, interference), model="wired", prompt="#count")
    assert "".join(pieces) == "one, two three four five done"


@each_client
def test_it_has_the_first_words_while_the_rest_is_not_there(
    client: Clients, interference: Service, row: Row
) -> None:
    where = at(row, interference)
    assert client(row.script).begins("stream", **where, model="half", prompt="Hi") == CONTENT[0]


@each_client
@pytest.mark.parametrize("streamed", [pytest.param(False, id="whole"), pytest.param(True, id="stream")])
def test_it_calls_a_tool_and_answers_with_the_result(
    client: Clients, interference: Service, row: Row, streamed: bool
) -> None:
    where = at(row, interference)
    asked = {"model": "wired", "prompt": "#lookup", "result": RESULT["result"], "streamed": streamed}
    done = client(row.script).does("tools", **where, **asked)
    assert done == {"called": [CALL], "text": RESULT["text"]}


@each_client
def test_it_gets_what_its_schema_says(client: Clients, interference: Service, row: Row) -> None:
    review = client(row.script).does("structured", **at(row, interference), model="wired", prompt="Hi")
    assert review in [{"zeal": zeal, "kind": "review", "age": 7} for zeal in ("low", "high")]


@each_client
def test_it_chooses_a_provider_by_its_base_url(client: Clients, interference: Service, row: Row) -> None:
    where = at(row, interference, provider="Scripted")
    assert client(row.script).does("chat", **where, model="wired", prompt="Hi") == TEXT


@pytest.mark.parametrize("task", ["chat", "stream"])
@pytest.mark.parametrize(
    ("row", "status"),
    [
        pytest.param(row, status, id=f"{row.script} {status}")
        for row in ROWS
        for status in row.raises
        if status in MODELS
    ],
)
def test_it_raises_the_exception_of_the_status(
    client: Clients, interference: Service, row: Row, status: int, task: str
) -> None:
    where = at(row, interference)
    error = client(row.script).raises(task, **where, model=MODELS[status], prompt="Hi")
    assert (error.name, error.status) == (row.raises[status], status)
    assert SAYS[status] in error.message


@each_client
def test_it_is_refused_without_the_right_key(client: Clients, guarded: Service, row: Row) -> None:
    error = client(row.script).raises("chat", **at(row, guarded, "wrong"), model="m", prompt="Hi")
    assert (error.name, error.status) == (row.raises[401], 401)


@each_client
def test_it_is_let_in_with_the_right_key(
    client: Clients, guarded: Service, guarded_key: str, row: Row
) -> None:
    where = at(row, guarded, guarded_key)
    assert client(row.script).does("chat", **where, model="echo", prompt="Hello there") == "Hello there"


@each_client
@pytest.mark.parametrize("model", ["cut-later", "error-later"])
def test_it_raises_where_a_stream_breaks_after_its_first_words(
    client: Clients, interference: Service, row: Row, model: str
) -> None:
    error = client(row.script).raises("stream", **at(row, interference), model=model, prompt="Hi")
    assert error.name == row.breaks
    assert "failed after its answer had begun" in error.message
