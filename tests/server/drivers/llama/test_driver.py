"""The driver without its library: what it says of its models, and who is told what is missing."""

from pathlib import Path
from typing import Any

import pytest

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completions_pb2 import CreateTextCompletionRequest
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from server import drivers, rows
from server.config import Settings, load_catalog
from server.drivers.base import Target
from server.drivers.llama import library, prompts, wishes
from server.drivers.llama.driver import LlamaDriver
from server.drivers.llama.wishes import Additions
from server.errors import AttemptFailed, RequestRefused, SettingsError
from tests.server.drivers.llama.files import CHAT, EMBEDS, write


def target(model: str = "m", **options: Any) -> Target:
    raw = {"id": "Local", "driver": "llama", "options": options}
    file = rows.File(providers=(raw,))
    return Target(rows.read(file, "test", drivers.KINDS)["Local"], model)


def chat(**fields: Any) -> CreateCompletionRequest:
    messages: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
    return CreateCompletionRequest(**{"model": "m", "messages": messages} | fields)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No `llama_cpp` can be found, whatever is installed."""
    monkeypatch.setattr("sys.path", [])


@pytest.mark.usefixtures("missing")
async def test_who_has_no_library_is_told_how_to_get_it(tmp_path: Path) -> None:
    write(tmp_path / "m.gguf", CHAT)
    driver = LlamaDriver({})
    with pytest.raises(AttemptFailed, match="run `make local`") as failed:
        await driver.models(target(folder=str(tmp_path)))
    assert failed.value.cause == "not_enabled"
    with pytest.raises(AttemptFailed, match="run `make local`"):
        await driver.answer(chat(), target(folder=str(tmp_path)))
    await driver.close()


async def test_who_has_no_folder_is_told_what_to_set() -> None:
    with pytest.raises(AttemptFailed, match="set INTERFERENCE_MODELS to a folder"):
        await LlamaDriver({}).models(target(folder_env="INTERFERENCE_MODELS"))


async def test_the_models_of_the_folder_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "is_there", lambda: True)
    write(tmp_path / "m.gguf", CHAT)
    write(tmp_path / "e.gguf", EMBEDS)
    listed = await LlamaDriver({"V": str(tmp_path)}).models(target(folder_env="V"))
    assert [one.name for one in listed] == ["e", "m"]


@pytest.mark.parametrize(
    ("request_", "model", "told"),
    [
        pytest.param(chat(), "n", "has no model n", id="no such model"),
        pytest.param(chat(), "../m", "has no model", id="a path is no name"),
        pytest.param(chat(), "e", "e is no chat model", id="embeds alone"),
        pytest.param(CreateTextCompletionRequest(model="e"), "e", "e is no text model", id="no text"),
        pytest.param(CreateEmbeddingsRequest(model="m"), "m", "m is no embedding model", id="no vectors"),
        pytest.param(GenerateImagesRequest(model="m"), "m", "text alone", id="images"),
    ],
)
async def test_who_lacks_the_model_is_passed_over(
    tmp_path: Path, request_: Any, model: str, told: str
) -> None:
    write(tmp_path / "m.gguf", CHAT)
    write(tmp_path / "e.gguf", EMBEDS)
    with pytest.raises(AttemptFailed, match=told) as failed:
        await LlamaDriver({}).answer(request_, target(model, folder=str(tmp_path)))
    assert failed.value.cause == "no_such_model"


def test_the_shipped_row_names_the_variable() -> None:
    (row,) = (row for row in load_catalog(Settings(), drivers.KINDS).providers if row.id == "Local")
    assert (row.options, row.probe, row.discover) == ({"folder_env": "INTERFERENCE_MODELS"}, True, True)


@pytest.mark.parametrize(
    "options", [{"folder_env": "not a name"}, {"loaded": 0}, {"context": 1}, {"unknown": 1}], ids=str
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="row Local: options"):
        target(**options)


def test_what_is_said_becomes_how_tokens_are_picked() -> None:
    request = chat(temperature=0.5, seed=-3, logit_bias={"7": -100}, logprobs=True, top_logprobs=2)
    how = wishes.sampling(request, target(), Additions(top_k=3), 10)
    assert (how.temperature, how.seed, how.top_k, how.bias, how.logprobs) == (0.5, -3, 3, {7: -100.0}, 2)
    assert wishes.sampling(chat(), target(), Additions(), 10).logprobs is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"temperature": -0.1}, "temperature", id="temperature"),
        pytest.param({"top_p": 1.1}, "top_p", id="top_p"),
        pytest.param({"presence_penalty": 3}, "presence_penalty", id="presence_penalty"),
        pytest.param({"max_tokens": 0}, "max_tokens", id="max_tokens"),
        pytest.param({"n": 129}, "n", id="n"),
        pytest.param({"top_logprobs": 21}, "top_logprobs", id="top_logprobs"),
    ],
)
def test_a_number_out_of_its_range_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestRefused, match="must be") as refused:
        wishes.check(chat(**fields), target())
    assert refused.value.param == param


@pytest.mark.parametrize("token", ["x", "-1", "10", "1.5", "9" * 40, "٣"])
def test_only_tokens_of_the_model_have_a_bias(token: str) -> None:
    with pytest.raises(RequestRefused, match="is not the id of a token"):
        wishes.sampling(chat(logit_bias={token: 1}), target(), Additions(), 10)


def test_members_that_are_not_known_are_not_dropped() -> None:
    assert wishes.additions(chat(extra_json='{"top_k": 5, "min_p": 0}'), target()).top_k == 5
    with pytest.raises(AttemptFailed, match="does not take typical_p") as failed:
        wishes.additions(chat(extra_json='{"typical_p": 1}'), target())
    assert (failed.value.cause, failed.value.param) == ("parameter_unsupported", "typical_p")
    text = CreateTextCompletionRequest(model="m", extra_json='{"chat_template_kwargs": {}}')
    with pytest.raises(AttemptFailed, match="does not take chat_template_kwargs"):
        wishes.additions(text, target())


@pytest.mark.parametrize("extra", ['{"min_p": 2}', '{"top_k": "x"}', '{"chat_template_kwargs": []}'])
def test_members_of_another_kind_are_refused(extra: str) -> None:
    with pytest.raises(RequestRefused):
        wishes.additions(chat(extra_json=extra), target())


def test_a_conversation_is_written_as_templates_know_it() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}
    broken = {"id": "d", "function": {"name": "f", "arguments": '{"a'}}
    messages: Any = [
        {"role": "developer", "content": [{"text": "Be "}, {"text": "brief"}]},
        {"role": "assistant", "reasoning": "Hm", "tool_calls": [call, broken]},
        {"role": "tool", "tool_call_id": "c", "content": [{"text": "3"}], "extra_json": '{"more": [1]}'},
    ]
    system, assistant, tool = prompts.conversation(chat(messages=messages))
    assert system == {"role": "system", "content": "Be brief"}
    assert (assistant["content"], assistant["reasoning_content"]) == ("", "Hm")
    assert [one["function"]["arguments"] for one in assistant["tool_calls"]] == [{"a": 1}, '{"a']
    assert tool == {"role": "tool", "content": "3", "tool_call_id": "c", "more": [1]}


@pytest.mark.parametrize(
    ("fields", "template", "param"),
    [
        pytest.param({"reasoning_effort": "low"}, "<think>", "reasoning_effort", id="no word for effort"),
        pytest.param({"tools": [{"function": {"name": "f"}}]}, "{{ messages }}", "tools", id="no tools"),
        pytest.param(
            {"tools": [{"function": {"name": "f"}}], "response_format": {"type": "json_object"}},
            "{{ tools }}",
            "response_format",
            id="tools and a form",
        ),
    ],
)
def test_what_the_model_cannot_be_told_is_passed_over(
    fields: dict[str, Any], template: str, param: str
) -> None:
    with pytest.raises(AttemptFailed) as failed:
        prompts.check(chat(**fields), template, Additions(), target())
    assert (failed.value.cause, failed.value.param) == ("parameter_unsupported", param)


def test_a_template_is_not_given_messages_by_its_own_arguments() -> None:
    with pytest.raises(RequestRefused, match="must not have messages"):
        prompts.check(chat(), "", Additions(chat_template_kwargs={"messages": []}), target())
