"""The `llm` command, as a person types it."""

from collections.abc import Callable

from tests.service import Service
from tests.upstreams.client import Client


def test_it_prints_the_answer(client: Callable[[str], Client], interference: Service) -> None:
    where = {"base_url": interference.base_url, "key": "none"}
    printed = client("llm/chat.py").does("command", **where, model="wired", prompt="#count")
    assert printed == "one, two three four five done\n"
