"""What goes into an endpoint for a request."""

import json
from typing import Any

import msgspec
import pytest

from interference.v1.chat_pb2 import CreateCompletionRequest
from server.drivers.gradio import inputs
from server.errors import AttemptFailed
from tests.server.drivers.gradio.spaces import FLUX, chat, images, space, target

SIZED = {"endpoint": "infer", "inputs": ["prompt", "width", {"field": "height", "value": 64}]}
TALK = [("user", "Hi"), ("assistant", "Yes?"), ("user", "Why?")]


def drawn(said: dict[str, Any], index: int = 0, row: dict[str, Any] | None = None, **fields: Any) -> Any:
    data = inputs.of_images(images(**fields), space(said), target(said, **row or {}), index)
    return json.loads(msgspec.json.encode(data))


def talked(takes: list[Any], request: CreateCompletionRequest, **row: Any) -> Any:
    said = {"endpoint": "chat", "inputs": takes}
    return json.loads(msgspec.json.encode(inputs.of_chat(request, space(said), target(said, **row))))


def test_fields_stand_in_the_order_of_the_row() -> None:
    assert drawn(FLUX, seed=7) == ["a cat", 7, False]


def test_what_is_absent_has_the_value_of_the_row() -> None:
    assert drawn(FLUX) == ["a cat", 0, True]


def test_each_further_image_has_the_next_seed() -> None:
    assert [drawn(FLUX, index, seed=7)[1] for index in range(3)] == [7, 8, 9]


def test_constants_go_in_as_they_are() -> None:
    said = {"endpoint": "x", "inputs": [{"value": [1, {"a": None}]}, "prompt", {"value": None}]}
    assert drawn(said) == [[1, {"a": None}], "a cat", None]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"size": "512x256"}, [512, 256], id="size"),
        pytest.param({"width": 512, "height": 256}, [512, 256], id="sides"),
        pytest.param({"size": "auto"}, [None, 64], id="auto"),
        pytest.param({}, [None, 64], id="none"),
    ],
)
def test_a_size_goes_in_whichever_way_it_is_said(fields: dict[str, Any], expected: list[Any]) -> None:
    assert drawn(SIZED, **fields) == ["a cat", *expected]
    as_one = {"endpoint": "x", "inputs": [{"field": "size", "value": "auto"}]}
    whole = f"{expected[0]}x{expected[1]}" if expected[0] else "auto"
    assert drawn(as_one | {"inputs": ["prompt", *as_one["inputs"]]}, **fields)[1] == whole


def test_members_that_the_contract_does_not_know_have_inputs_of_their_names() -> None:
    said = {"endpoint": "x", "inputs": ["prompt", {"field": "scheduler", "value": "euler"}]}
    assert drawn(said, extra_json='{"scheduler": "ddim"}') == ["a cat", "ddim"]
    assert drawn(said) == ["a cat", "euler"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"guidance_scale": 2.5}, "guidance_scale", id="a field"),
        pytest.param({"size": "512x512"}, "size", id="a size"),
        pytest.param({"extra_json": '{"scheduler": "ddim"}'}, "scheduler", id="an unknown member"),
    ],
)
def test_what_has_no_input_passes_the_provider_over(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(AttemptFailed) as failure:
        drawn(FLUX, **fields)
    assert (failure.value.cause, failure.value.param) == ("parameter_unsupported", param)
    assert not failure.value.blame


def test_a_row_may_have_fields_dropped_but_not_what_is_unknown() -> None:
    dropping = {"unsupported": "drop"}
    assert drawn(FLUX, row=dropping, guidance_scale=2.5, size="512x512", seed=1) == ["a cat", 1, False]
    with pytest.raises(AttemptFailed, match="scheduler"):
        drawn(FLUX, row=dropping, extra_json='{"scheduler": 1}')


@pytest.mark.parametrize(
    ("takes", "turns", "expected"),
    [
        pytest.param(["message"], TALK[:1], ["Hi"], id="one message"),
        pytest.param(
            ["message", "history"],
            TALK,
            ["Why?", [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]],
            id="messages",
        ),
        pytest.param([{"field": "history", "form": "pairs"}], TALK, [[["Hi", "Yes?"]]], id="pairs"),
        pytest.param(
            [{"field": "history", "form": "pairs"}],
            [("assistant", "A"), ("user", "B"), ("user", "C"), ("user", "D")],
            [[[None, "A"], ["B", None], ["C", None]]],
            id="uneven pairs",
        ),
        pytest.param(["message", "history"], TALK[:1], ["Hi", []], id="no history"),
        pytest.param(
            [{"field": "message", "form": "multimodal"}],
            TALK[:1],
            [{"text": "Hi", "files": []}],
            id="files",
        ),
        pytest.param(["transcript"], TALK[:1], ["Hi"], id="transcript of one"),
        pytest.param(
            ["transcript"],
            [("system", "Be kind."), *TALK],
            ["Be kind.\n\nUser: Hi\n\nAssistant: Yes?\n\nUser: Why?\n\nAssistant:"],
            id="transcript",
        ),
        pytest.param(
            ["transcript", "system"],
            [("developer", "Be kind."), ("user", "Hi")],
            ["Hi", "Be kind."],
            id="system apart",
        ),
        pytest.param([{"field": "system", "value": "None."}], TALK[:1], ["None."], id="no system"),
    ],
)
def test_a_conversation_goes_in_as_the_row_says(
    takes: list[Any], turns: list[tuple[str, str]], expected: list[Any]
) -> None:
    assert talked(takes, chat(*turns)) == expected


def test_either_name_of_the_most_tokens_does() -> None:
    assert talked(["message", "max_tokens"], chat(("user", "Hi"), max_completion_tokens=5)) == ["Hi", 5]


def test_hints_and_what_goes_without_saying_are_left_out() -> None:
    assert talked(["message"], chat(("user", "Hi"), n=1, prompt_cache_key="k")) == ["Hi"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        pytest.param(chat(*TALK), "more than one message", id="history"),
        pytest.param(chat(("system", "Be kind."), ("user", "Hi")), "instructions", id="system"),
        pytest.param(chat(("assistant", "Yes?")), "does not end with the user", id="no question"),
        pytest.param(chat(("tool", "42"), ("user", "Hi")), "messages of tools", id="tools"),
        pytest.param(chat(("user", "Hi"), temperature=1), "no input for temperature", id="a field"),
        pytest.param(
            CreateCompletionRequest(
                messages=[{"role": "user", "name": "Ann", "content": [{"text": "Hi"}]}]  # type: ignore[list-item]
            ),
            "name of a message",
            id="name",
        ),
        pytest.param(
            CreateCompletionRequest(
                messages=[{"role": "user", "content": [{"image_url": {"url": "data:,"}}]}]  # type: ignore[list-item]
            ),
            "a part of the content that is image_url",
            id="image",
        ),
    ],
)
def test_what_a_space_cannot_be_told_passes_it_over(request_: CreateCompletionRequest, words: str) -> None:
    with pytest.raises(AttemptFailed, match=words) as failure:
        talked(["message"], request_)
    assert failure.value.cause == "parameter_unsupported"
