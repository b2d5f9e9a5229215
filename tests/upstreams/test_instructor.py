"""instructor: typed answers, by JSON Schema and by a tool call, whole and as they grow."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.service import Service
from tests.upstream import TEXT
from tests.upstreams.client import Client


@pytest.fixture
def instructor(client: Callable[[str], Client]) -> Client:
    return client("instructor/chat.py")


def at(service: Service, path: str = "", key: str = "none") -> dict[str, str]:
    return {"base_url": f"{service.url}{path}/v1", "key": key}


def test_it_chats(instructor: Client, interference: Service) -> None:
    text = instructor.does("chat", **at(interference), model="wired", prompt="Hi")
    assert text == "Hello from a tiny model."


def test_it_chooses_a_provider_by_its_base_url(instructor: Client, interference: Service) -> None:
    where = at(interference, "/api/Scripted")
    assert instructor.does("chat", **where, model="wired", prompt="Hi") == TEXT


def test_it_gets_what_its_schema_says(instructor: Client, interference: Service) -> None:
    review = instructor.does("structured", **at(interference), model="wired", prompt="Hi")
    assert complete(review)


def test_it_puts_a_typed_answer_together(instructor: Client, interference: Service) -> None:
    *_, last = instructor.does("partial", **at(interference), model="wired", prompt="Hi")
    assert complete(last)


def test_it_gets_a_typed_answer_by_a_tool_call(instructor: Client, interference: Service) -> None:
    given = instructor.does("tool", **at(interference), model="wired", prompt="#lookup")
    assert given == {"unit": "c", "exact": True}


@pytest.mark.parametrize(
    ("status", "model"),
    [
        pytest.param(400, "wrong", id="400"),
        pytest.param(404, "no-such-model", id="404"),
        pytest.param(429, "Crowded/busy", id="429"),
        pytest.param(503, "Overloaded/busy", id="503"),
    ],
)
def test_it_raises_with_the_status(
    instructor: Client, interference: Service, status: int, model: str
) -> None:
    error = instructor.raises("structured", **at(interference), model=model, prompt="Hi")
    assert (error.name, error.status) == ("InstructorRetryException", status)


def test_it_is_refused_without_the_right_key(instructor: Client, guarded: Service) -> None:
    error = instructor.raises("structured", **at(guarded, key="wrong"), model="m", prompt="Hi")
    assert (error.name, error.status) == ("InstructorRetryException", 401)


def test_it_raises_where_a_stream_breaks_within_the_answer(
    instructor: Client, interference: Service
) -> None:
    error = instructor.raises("partial", **at(interference), model="cut-json", prompt="Hi")
    assert "CutJson failed after its answer had begun" in error.message
    assert error.name == "InstructorRetryException"


def complete(review: dict[str, Any]) -> bool:
    return review in [{"zeal": zeal, "kind": "review", "age": 7} for zeal in ("low", "high")]
