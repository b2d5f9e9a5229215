"""Catalog rows: what is read, and which faults are named."""

import pytest

from server import drivers, rows
from server.config import Settings, load_catalog
from server.errors import SettingsError

GOOD = """
providers:
  - {id: Mine, driver: openai, base_url: "http://localhost:1/v1", params: ["@few", n], priority: 7}
params:
  few: [temperature, seed]
"""


def read(text: str) -> dict[str, rows.Row]:
    return rows.read(rows.parse(text, "mine.yaml"), "mine.yaml", drivers.KINDS)


def test_a_row_takes_named_sets_of_parameters() -> None:
    assert read(GOOD)["Mine"].params == ("temperature", "seed", "n")


def test_a_row_that_lists_no_parameters_takes_all() -> None:
    row = read("providers: [{id: A, driver: echo}]")["A"]
    assert set(row.params) >= {"tools", "temperature", "response_format"}
    assert "messages" not in row.params


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("providers: 5", "mine.yaml", id="no list"),
        pytest.param("providers: [{driver: echo}]", "mine.yaml: row 1: ", id="no id"),
        pytest.param("providers: [{id: A}]", "mine.yaml: row A: ", id="no driver"),
        pytest.param("providers: [{id: A B, driver: echo}]", "row A B: id:", id="a space in the id"),
        pytest.param("providers: [{id: A, driver: x}]", "row A: driver: x is none of", id="driver"),
        pytest.param("providers: [{id: A, driver: openai}]", "row A: base_url:", id="no address"),
        pytest.param(
            "providers: [{id: A, driver: openai, base_url: 'file:///x'}]", "base_url", id="a file"
        ),
        pytest.param(
            "providers: [{id: A, driver: openai, base_url: 'http://u:p@h/v1'}]", "base_url", id="a user"
        ),
        pytest.param("providers: [{id: A, driver: echo, base_url_env: a-b}]", "A: base_url_env:", id="url"),
        pytest.param(
            "providers: [{id: A, driver: echo, profile: {paths: {x: y}}}]", "paths.x: is none of", id="path"
        ),
        pytest.param(
            "providers: [{id: A, driver: echo, profile: {refuses: {n: [1]}}}]", "profile.refuses", id="kind"
        ),
        pytest.param(
            "providers: [{id: A, driver: echo, profile: {refuses: {seed: [x]}}}]",
            "refuses.seed",
            id="refuses",
        ),
        pytest.param(
            "providers: [{id: A, driver: echo, profile: {tool_call_ids: '['}}]",
            "tool_call_ids",
            id="pattern",
        ),
        pytest.param(
            "providers: [{id: A, driver: echo, profile: {key_header: 'a b'}}]", "key_header", id="header"
        ),
        pytest.param("providers: [{id: A, driver: echo, modles: []}]", "modles", id="misspelt"),
        pytest.param("providers: [{id: A, driver: echo, priority: high}]", "row A: priority:", id="type"),
        pytest.param("providers: [{id: A, driver: echo, limits: {idle: 0}}]", "limits.idle", id="limit"),
        pytest.param("providers: [{id: A, driver: echo, breaker: {rate: 2}}]", "breaker.rate:", id="rate"),
        pytest.param(
            "providers: [{id: A, driver: echo, retry: {times: 11}}]", "retry.times:", id="retries"
        ),
        pytest.param(
            "providers: [{id: A, driver: echo, concurrency: {limit: -1}}]", "concurrency.limit:", id="bound"
        ),
        pytest.param("providers: [{id: A, driver: echo, params: [heat]}]", "params: heat", id="parameter"),
        pytest.param("providers: [{id: A, driver: echo, params: ['@x']}]", "no set is named @x", id="set"),
        pytest.param("providers: [{id: A, driver: echo, key_env: a-b}]", "row A: key_env:", id="variable"),
        pytest.param(
            "providers: [{id: A, driver: echo}, {id: A, driver: echo}]", "stands twice", id="twice"
        ),
        pytest.param("providers: [", "mine.yaml: while parsing", id="not YAML"),
    ],
)
def test_a_fault_names_file_row_and_field(text: str, told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(text)
    message = str(raised.value)
    assert message.startswith("mine.yaml")
    assert told in message
    assert "\n" not in message


def test_own_rows_are_added_and_take_the_place_of_shipped_ones() -> None:
    shipped = read("providers: [{id: A, driver: echo}, {id: B, driver: echo, priority: 5}]")
    own = read("providers: [{id: A, driver: canvas}, {id: C, driver: echo, priority: 1}]")
    merged = rows.merge(shipped, own, "mine.yaml")
    assert [(row.id, row.driver) for row in merged] == [("C", "echo"), ("B", "echo"), ("A", "canvas")]


def test_ids_that_differ_by_case_alone_are_refused() -> None:
    own = read("providers: [{id: groq, driver: echo}]")
    with pytest.raises(SettingsError, match="differs from Groq by case alone"):
        rows.merge(read("providers: [{id: Groq, driver: echo}]"), own, "mine.yaml")


def test_the_shipped_catalog_has_the_providers_that_people_use() -> None:
    catalog = {row.id: row for row in load_catalog(Settings(), drivers.KINDS).providers}
    assert catalog.keys() >= {
        *("OpenAI", "HuggingChat", "Groq", "OpenRouter", "Together", "Mistral", "DeepSeek", "xAI"),
        *("Cerebras", "Fireworks", "DeepInfra", "Perplexity", "NVIDIA", "Gemini", "AzureOpenAI"),
        *("Moonshot", "ZAI", "DashScope", "Cohere", "Pollinations", "Anthropic"),
        *("Ollama", "vLLM", "LMStudio", "LlamaCpp", "Echo", "Canvas"),
    }
    for row in catalog.values():
        assert row.label, row.id
        local = row.base_url.startswith("http://localhost:")
        secure = row.base_url.startswith("https://") or row.base_url_env
        assert row.driver != "openai" or local or secure, row.id
        assert local or row.driver != "openai" or row.key_env, row.id
