"""The Vercel AI SDK: what it does beyond the work of every client."""

from collections.abc import Callable

import pytest

from tests.service import Service
from tests.upstreams.client import Client
from tests.upstreams.scripts import THOUGHTS, WORDS


@pytest.fixture
def sdk(client: Callable[[str], Client]) -> Client:
    return client("ai.mjs")


def at(service: Service) -> dict[str, str]:
    return {"base_url": service.base_url, "key": "none"}


@pytest.mark.parametrize("streamed", [pytest.param(False, id="whole"), pytest.param(True, id="stream")])
def test_it_tells_the_reasoning_from_the_text(sdk: Client, interference: Service, streamed: bool) -> None:
    given = sdk.does("reasoning", **at(interference), model="thinks", prompt="Hi", streamed=streamed)
    assert given == {"reasoning": "".join(THOUGHTS), "text": "".join(WORDS)}


def test_it_has_the_first_fields_while_the_rest_is_not_there(sdk: Client, interference: Service) -> None:
    first = sdk.begins("partial", **at(interference), model="half-json", prompt="Hi")
    assert first == {"zeal": "low"}


def test_it_puts_an_object_together(sdk: Client, interference: Service) -> None:
    *_, last = sdk.does("partial", **at(interference), model="wired", prompt="Hi")
    assert (last["kind"], last["age"]) == ("review", 7)
