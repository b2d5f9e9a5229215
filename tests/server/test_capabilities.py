"""What is known of a model, and what a request needs of one."""

from typing import Any

import pytest

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from server import capabilities
from server.capabilities import CHAT_WORDS, Known, Needs
from server.drivers.base import Listed
from server.operations import CHAT, IMAGES
from server.profile import Profile
from server.rows import Row

IMAGE = {"role": "user", "content": [{"image_url": {"url": "https://x/a.png"}}]}
TEXT = {"role": "user", "content": [{"text": "Hi"}]}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": "{}"}}
ALL_BUT_VISION = frozenset(CHAT_WORDS) - {"vision"}


def row(**fields: Any) -> Row:
    return Row(**{"id": "A", "driver": "openai", "models": ("m",)} | fields)


@pytest.mark.parametrize(
    ("fields", "told", "able", "lacks"),
    [
        pytest.param({}, None, ALL_BUT_VISION, set(), id="nothing is said: all that the fields allow"),
        pytest.param({"params": ("tools",)}, None, {"stream", "tools"}, set(), id="fields not taken"),
        pytest.param(
            {"profile": Profile(refuses={"response_format": ("json_schema",)})},
            None,
            ALL_BUT_VISION - {"json_schema"},
            set(),
            id="a value refused",
        ),
        pytest.param({"vision_models": ("m*",)}, None, CHAT_WORDS, set(), id="it reads images"),
        pytest.param(
            {"vision_models": ("see-*",)}, None, ALL_BUT_VISION, {"vision"}, id="one of the row's does not"
        ),
        pytest.param(
            {"vision_models": ("see-*",), "models": ()},
            Listed("m"),
            ALL_BUT_VISION,
            set(),
            id="one found by its list may",
        ),
        pytest.param(
            {"capabilities": {"tools": ("big-*",)}},
            None,
            ALL_BUT_VISION - {"tools"},
            {"tools"},
            id="the row says who has tools",
        ),
        pytest.param(
            {},
            Listed("m", capabilities=frozenset({"vision"}), lacks=frozenset({"tools"})),
            frozenset(CHAT_WORDS) - {"tools"},
            {"tools"},
            id="the list says",
        ),
        pytest.param(
            {"capabilities": {"tools": ("m",)}},
            Listed("m", lacks=frozenset({"tools"})),
            ALL_BUT_VISION,
            set(),
            id="the row goes before the list",
        ),
    ],
)
def test_a_row_and_a_list_say_what_a_model_can_do(
    fields: dict[str, Any], told: Listed | None, able: Any, lacks: Any
) -> None:
    known = capabilities.known(row(**fields), "m", told)
    assert (known.able, known.lacks) == (frozenset(able), frozenset(lacks))


@pytest.mark.parametrize(
    ("fields", "told", "length"),
    [
        pytest.param({}, None, None, id="nobody says"),
        pytest.param({}, 4096, 4096, id="the list says"),
        pytest.param({"context_lengths": {"x": 1, "m*": 8192}}, 4096, 8192, id="the row goes before it"),
        pytest.param({}, 2**31, None, id="more than a number of the contract holds"),
        pytest.param({}, -1, None, id="nonsense"),
    ],
)
def test_a_context_length_is_known(fields: dict[str, Any], told: int | None, length: int | None) -> None:
    listed = Listed("m", context_length=told)
    assert capabilities.known(row(**fields), "m", listed).context_length == length


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        pytest.param({}, set(), id="text"),
        pytest.param({"tools": [{"function": {"name": "f"}}]}, {"tools"}, id="tools"),
        pytest.param({"functions": [{"name": "f"}]}, {"tools"}, id="functions"),
        pytest.param({"messages": [TEXT, IMAGE]}, {"vision"}, id="an image"),
        pytest.param({"response_format": SCHEMA}, {"json_schema"}, id="a schema"),
        pytest.param({"response_format": {"type": "json_object"}}, set(), id="any JSON"),
        pytest.param({"reasoning_effort": "low"}, {"reasoning"}, id="effort"),
        pytest.param({"reasoning_effort": "none"}, set(), id="no effort"),
        pytest.param({"logprobs": True}, {"logprobs"}, id="logprobs"),
        pytest.param({"logprobs": False}, set(), id="no logprobs"),
    ],
)
def test_a_request_needs_what_it_asks_for(fields: dict[str, Any], needed: set[str]) -> None:
    request = CreateCompletionRequest(**{"model": "m", "messages": [TEXT]} | fields)
    assert Needs(request, stream=False).words == needed
    assert Needs(request, stream=True).words == needed | {"stream"}


def test_only_a_chat_needs_anything() -> None:
    needs = Needs(GenerateImagesRequest(prompt="a"), stream=False)
    assert (needs.words, needs.tokens) == (frozenset(), 0)


def test_a_long_talk_does_not_fit_into_a_short_context() -> None:
    long: Any = {"role": "user", "content": [{"text": "word " * 1000}]}
    needs = Needs(CreateCompletionRequest(model="m", messages=[long]), stream=False)
    assert needs.fits(Known(context_length=4096))
    assert needs.fits(Known())
    assert not needs.fits(Known(context_length=1000))


def test_words_are_told_in_one_order() -> None:
    known = Known(able=frozenset({"tools", "stream"}))
    assert capabilities.words([CHAT, IMAGES], known) == ["chat", "images", "stream", "tools"]
    assert capabilities.words([IMAGES], known) == ["images"]
