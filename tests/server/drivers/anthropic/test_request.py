"""Requests in Anthropic's dialect: chat in, the body of POST /messages out."""

import base64
import json
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from server.drivers.anthropic import KIND
from server.errors import AttemptFailed
from tests.server.drivers.anthropic.dialect import KEY, body, chat, said, sent

SCHEMA = '{"type": "object",  "properties": {"z": {"const": 1.0}, "a": {}}}'
PDF = base64.b64encode(b"%PDF-1.4").decode()


def tool(**function: Any) -> dict[str, Any]:
    return {"function": {"name": "f", "parameters": SCHEMA, **function}}


def struct(**members: Any) -> Struct:
    made = Struct()
    made.update(members)
    return made


def test_a_request_goes_where_messages_are_made() -> None:
    request = sent(chat())
    assert (request.method, request.url) == ("POST", "https://up/v1/messages")
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2026-10-21"
    assert "anthropic-beta" not in request.headers
    assert json.loads(request.body) == {
        "model": "claude-x",
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }


def test_a_row_may_name_another_version_and_what_is_tried_out() -> None:
    headers = sent(chat(), options={"version": "2023-06-01", "betas": ["a-1", "b-2"]}).headers
    assert (headers["anthropic-version"], headers["anthropic-beta"]) == ("2023-06-01", "a-1,b-2")


def test_a_stream_is_asked_for() -> None:
    assert body(chat(), stream=True)["stream"] is True


@pytest.mark.parametrize(
    ("fields", "members"),
    [
        pytest.param({"max_tokens": 7}, {"max_tokens": 7}, id="max_tokens"),
        pytest.param({"max_tokens": 7, "max_completion_tokens": 8}, {"max_tokens": 8}, id="the newer"),
        pytest.param({"max_tokens": 0}, {"max_tokens": 0}, id="no tokens"),
        pytest.param({"max_tokens": 7, "max_completion_tokens": 0}, {"max_tokens": 0}, id="none by it"),
        pytest.param({"temperature": 0.5}, {"temperature": 0.5}, id="temperature"),
        pytest.param({"top_p": 0.5}, {"top_p": 0.5}, id="top_p"),
        pytest.param({"stop": ["END"]}, {"stop_sequences": ["END"]}, id="stop"),
        pytest.param({"user": "u"}, {"metadata": {"user_id": "u"}}, id="user"),
        pytest.param({"user": "u", "safety_identifier": "s"}, {"metadata": {"user_id": "s"}}, id="id"),
        pytest.param({"service_tier": "auto"}, {"service_tier": "auto"}, id="tier"),
        pytest.param({"service_tier": "default"}, {"service_tier": "standard_only"}, id="standard"),
        pytest.param({"service_tier": "fast"}, {"speed": "fast"}, id="fast"),
        pytest.param({"extra_json": '{"top_k": 5}'}, {"top_k": 5}, id="unknown"),
        pytest.param(
            {"prompt_cache_options": {"mode": "implicit", "ttl": "30m"}},
            {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
            id="cache",
        ),
        pytest.param({"prompt_cache_options": {"mode": "explicit"}}, {}, id="marks of the caller's own"),
        pytest.param(
            {"user": "u", "extra_json": '{"metadata": {"x": 1}}'},
            {"metadata": {"user_id": "u", "x": 1}},
            id="unknown members of an object",
        ),
    ],
)
def test_parameters_are_said(fields: dict[str, Any], members: dict[str, Any]) -> None:
    plain = body(chat())
    assert body(chat(**fields)) == plain | members


@pytest.mark.parametrize(
    ("effort", "row", "model", "members"),
    [
        pytest.param(
            "high",
            {},
            "claude-x",
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "high"},
            },
            id="adaptive",
        ),
        pytest.param(
            "minimal",
            {},
            "claude-x",
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
            id="the least",
        ),
        pytest.param("none", {}, "claude-x", {"thinking": {"type": "disabled"}}, id="none"),
        pytest.param(
            "none",
            {"between_tools_models": ["claude-*-5-5"]},
            "claude-s-5-5",
            {"thinking": {"type": "between_tools"}},
            id="none of those that cannot be told so",
        ),
        pytest.param(
            "low",
            {"budget_models": ["claude-old-*"], "max_tokens": 1000},
            "claude-old-1",
            {"thinking": {"type": "enabled", "budget_tokens": 4_096}, "max_tokens": 5_096},
            id="a budget",
        ),
    ],
)
def test_an_effort_is_said_as_the_model_takes_it(
    effort: str, row: dict[str, Any], model: str, members: dict[str, Any]
) -> None:
    asked = body(chat(reasoning_effort=effort), model=model, options=row)
    assert {name: asked[name] for name in members} == members


@pytest.mark.parametrize(("most", "budget"), [(100_000, 32_000), (8_000, 6_000), (1_025, 1_024)])
def test_a_budget_leaves_room_for_the_answer(most: int, budget: int) -> None:
    request = chat(reasoning_effort="high", max_completion_tokens=most)
    asked = body(request, options={"budget_models": ["*"]})
    assert (asked["thinking"]["budget_tokens"], asked["max_tokens"]) == (budget, most)


@pytest.mark.parametrize("most", [0, 500, 1_024])
def test_a_budget_without_room_fails_the_attempt(most: int) -> None:
    with pytest.raises(AttemptFailed) as failed:
        sent(chat(reasoning_effort="low", max_tokens=most), options={"budget_models": ["*"]})
    assert (failed.value.cause, failed.value.param) == ("parameter_unsupported", "max_tokens")


def test_a_row_that_drops_parameters_is_asked_without_them() -> None:
    every = chat(
        temperature=0.5,
        top_p=0.5,
        stop=["END"],
        max_completion_tokens=5,
        tools=[tool()],
        tool_choice={"mode": "required"},
        parallel_tool_calls=False,
        web_search_options={},
        response_format={"json_schema": {"name": "n", "schema": "{}"}},
        reasoning_effort="high",
        service_tier="flex",
        user="u",
        safety_identifier="s",
        prompt_cache_options={"mode": "implicit"},
        extra_json='{"top_k": 5}',
    )
    asked = body(every, params=("temperature", "max_tokens"), unsupported="drop")
    assert asked == body(chat()) | {"temperature": 0.5, "max_tokens": 5, "top_k": 5}
    assert len(every.tools) == 1


def test_a_callers_own_thinking_goes_as_it_is() -> None:
    thinking = '{"thinking": {"type": "enabled", "budget_tokens": 2000}}'
    assert body(chat(reasoning_effort="high", extra_json=thinking))["thinking"] == {
        "type": "enabled",
        "budget_tokens": 2000,
    }
    added = body(chat(reasoning_effort="high", extra_json='{"thinking": {"block_binding": {}}}'))
    assert added["thinking"] == {"type": "adaptive", "display": "summarized", "block_binding": {}}


def test_a_schema_is_sent_byte_for_byte() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    request = sent(chat(tools=[tool()], response_format=form))
    assert request.body.count(SCHEMA.encode()) == 2
    format_ = json.loads(request.body)["output_config"]["format"]
    assert format_ == {"type": "json_schema", "schema": json.loads(SCHEMA)}


def test_a_form_and_an_effort_stand_together() -> None:
    form = {"json_schema": {"name": "n", "schema": "{}"}}
    config = body(chat(response_format=form, reasoning_effort="low"))["output_config"]
    assert config == {"effort": "low", "format": {"type": "json_schema", "schema": {}}}


def test_tools_are_said_with_what_only_anthropic_knows() -> None:
    extra = '{"cache_control": {"type": "ephemeral"}, "input_examples": [{}]}'
    (asked,) = body(chat(tools=[tool(description="Does.", strict=True, extra_json=extra)]))["tools"]
    assert asked == {
        "name": "f",
        "description": "Does.",
        "input_schema": json.loads(SCHEMA),
        "strict": True,
        "cache_control": {"type": "ephemeral"},
        "input_examples": [{}],
    }
    (bare,) = body(chat(tools=[{"function": {"name": "f"}}]))["tools"]
    assert bare["input_schema"] == {"type": "object"}


def test_a_tool_of_anthropics_own_goes_as_it_came() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    added = json.dumps({name: value for name, value in search.items() if name != "type"})
    asked = body(
        chat(
            tools=[{"type": search["type"], "extra_json": added}, tool()],
            tool_choice={"type": "tool", "extra_json": '{"name": "web_search"}'},
        )
    )
    assert asked["tools"][0] == search
    assert asked["tools"][1]["name"] == "f"
    assert asked["tool_choice"] == {"type": "tool", "name": "web_search"}


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        pytest.param({"tool_choice": {"mode": "auto"}}, {"type": "auto"}, id="auto"),
        pytest.param({"tool_choice": {"mode": "required"}}, {"type": "any"}, id="required"),
        pytest.param({"tool_choice": {"mode": "none"}}, {"type": "none"}, id="none"),
        pytest.param(
            {"tool_choice": {"function": {"name": "f"}}}, {"type": "tool", "name": "f"}, id="a function"
        ),
        pytest.param(
            {"parallel_tool_calls": False},
            {"type": "auto", "disable_parallel_tool_use": True},
            id="one at a time",
        ),
        pytest.param(
            {"parallel_tool_calls": False, "tool_choice": {"mode": "required"}},
            {"type": "any", "disable_parallel_tool_use": True},
            id="exactly one",
        ),
        pytest.param(
            {"parallel_tool_calls": False, "tool_choice": {"mode": "none"}},
            {"type": "none"},
            id="none at all",
        ),
        pytest.param({"parallel_tool_calls": True}, None, id="several"),
    ],
)
def test_the_choice_of_a_tool_is_said(fields: dict[str, Any], choice: Any) -> None:
    assert body(chat(tools=[tool()], **fields)).get("tool_choice") == choice


def test_a_choice_among_no_tools_is_not_sent() -> None:
    asked = body(chat(tool_choice={"mode": "auto"}, parallel_tool_calls=False))
    assert "tool_choice" not in asked


def test_a_web_search_is_a_tool_of_anthropics_own() -> None:
    where = {"approximate": {"city": "Lisbon", "country": "PT"}}
    asked = body(chat(web_search_options={"user_location": where, "extra_json": '{"max_uses": 2}'}))
    assert asked["tools"] == [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "user_location": {"type": "approximate", "city": "Lisbon", "country": "PT"},
            "max_uses": 2,
        }
    ]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        pytest.param({"text": "a"}, {"type": "text", "text": "a"}, id="text"),
        pytest.param({"refusal": "no"}, {"type": "text", "text": "no"}, id="a refusal"),
        pytest.param(
            {"image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            id="an image",
        ),
        pytest.param(
            {"image_url": {"url": "https://i/c.png"}},
            {"type": "image", "source": {"type": "url", "url": "https://i/c.png"}},
            id="an image by address",
        ),
        pytest.param(
            {"file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "a.pdf",
            },
            id="a PDF",
        ),
        pytest.param(
            {"file": {"file_data": "data:text/csv;base64,YSxi"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}},
            id="a text",
        ),
        pytest.param(
            {"file": {"file_data": "data:,a%20b"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a b"}},
            id="a text that is not base64",
        ),
        pytest.param(
            {"file": {"file_data": "data:image/gif;base64,AAAA"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "AAAA"}},
            id="an image in a file",
        ),
        pytest.param(
            {"file": {"file_id": "file_1"}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            id="an uploaded file",
        ),
        pytest.param(
            {"text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            id="a cache breakpoint",
        ),
        pytest.param(
            {"text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            id="a longer one",
        ),
        pytest.param(
            {"text": "a", "extra_json": '{"cache_control": {"type": "ephemeral", "ttl": "5m"}}'},
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
            id="one in Anthropic's words",
        ),
    ],
)
def test_parts_become_blocks(part: dict[str, Any], block: dict[str, Any]) -> None:
    asked = body(chat(messages=[{"role": "user", "content": [part]}]))
    assert asked["messages"][0]["content"] == [block]


def test_instructions_at_the_beginning_stand_apart() -> None:
    asked = body(chat(messages=[said("system", "A"), said("developer", "B"), said("user", "Hi")]))
    assert [block["text"] for block in asked["system"]] == ["A", "B"]
    assert [message["role"] for message in asked["messages"]] == ["user"]


LATER = [
    said("system", "A"),
    said("user", "1"),
    said("assistant", "2"),
    said("system", "B"),
    said("user", "3"),
    said("developer", "C"),
]


def test_later_instructions_join_the_first() -> None:
    asked = body(chat(messages=LATER))
    assert [block["text"] for block in asked["system"]] == ["A", "B", "C"]
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "user"]


def test_later_instructions_follow_the_users_turn_where_the_model_heeds_them() -> None:
    asked = body(chat(messages=LATER), options={"system_models": ["claude-x"]})
    assert [block["text"] for block in asked["system"]] == ["A"]
    roles = [message["role"] for message in asked["messages"]]
    assert roles == ["user", "assistant", "user", "system"]
    assert [block["text"] for block in asked["messages"][3]["content"]] == ["B", "C"]


def test_neighbours_of_one_role_are_one_turn() -> None:
    asked = body(chat(messages=[said("user", "1"), said("user", "2", name="Ann"), said("assistant", "3")]))
    assert [len(message["content"]) for message in asked["messages"]] == [2, 1]


def test_who_says_nothing_has_no_turn() -> None:
    asked = body(chat(messages=[said("user", "1"), said("assistant", ""), said("user", "2")]))
    assert [len(message["content"]) for message in asked["messages"]] == [2]


CALLS: list[dict[str, Any]] = [
    {"id": "call_1", "function": {"name": "f", "arguments": '{"a":  1.0}'}},
    {"id": "call|2", "function": {"name": "f", "arguments": ""}},
    {"id": "call_3", "function": {"name": "f", "arguments": "{oops"}},
]
RESULTS = [
    said("tool", "rain", tool_call_id="call_1", extra_json='{"is_error": true}'),
    said("tool", "", tool_call_id="call|2"),
    said("user", "So?"),
    said("tool", "sun", tool_call_id="call_3"),
]


def test_calls_and_their_results_are_given_back() -> None:
    messages = [said("user", "Hi"), said("assistant", "Wait.", tool_calls=CALLS), *RESULTS]
    request = sent(chat(messages=messages))
    _, called, told = json.loads(request.body)["messages"]
    assert [block["type"] for block in called["content"]] == ["text", *["tool_use"] * 3]
    assert [block.get("input") for block in called["content"]][1:] == [
        {"a": 1.0},
        {},
        {"INVALID_JSON": "{oops"},
    ]
    assert b'"input":{"a":  1.0}' in request.body
    assert [block["type"] for block in told["content"]] == [*["tool_result"] * 3, "text"]
    assert told["content"][0] == {
        "type": "tool_result",
        "tool_use_id": "call_1",
        "content": [{"type": "text", "text": "rain"}],
        "is_error": True,
    }
    assert "content" not in told["content"][1]
    ids = [block["tool_use_id"] for block in told["content"][:3]]
    assert ids == [block["id"] for block in called["content"][1:]]


def test_a_deprecated_call_has_an_id_that_its_result_names() -> None:
    call = {"name": "f", "arguments": "{}"}
    messages = [said("user", "Hi"), said("assistant", function_call=call), said("function", "1", name="f")]
    _, called, told = body(chat(messages=messages))["messages"]
    assert called["content"][0]["id"] == told["content"][0]["tool_use_id"]


THOUGHTS = [
    {"type": "thinking", "thinking": "Hm", "signature": "sig=="},
    {"type": "redacted_thinking", "data": "x=="},
]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"extra": struct(thinking_blocks=THOUGHTS)}, id="extra"),
        pytest.param({"extra_json": json.dumps({"thinking_blocks": THOUGHTS})}, id="JSON text"),
    ],
)
def test_thoughts_are_given_back_first_and_as_they_came(given: dict[str, Any]) -> None:
    messages = [
        said("user", "Hi"),
        said("assistant", "Wait.", reasoning="Hm", tool_calls=CALLS[:1], **given),
    ]
    _, answer = body(chat(messages=messages))["messages"]
    assert answer["content"][:2] == THOUGHTS
    assert [block["type"] for block in answer["content"][2:]] == ["text", "tool_use"]
    assert answer.keys() == {"role", "content"}


BLOCKS = [
    {"type": "text", "text": "Let me "},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
    {"type": "text", "text": "see."},
    {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
]


def test_blocks_that_chat_has_no_like_for_are_given_back_in_their_places() -> None:
    given = struct(content_blocks=BLOCKS)
    messages = [said("user", "Hi"), said("assistant", "Let me see.", tool_calls=CALLS[:1], extra=given)]
    request = sent(chat(messages=messages))
    assert json.loads(request.body)["messages"][1]["content"] == BLOCKS
    assert b'"input":{"a":  1.0}' in request.body


def test_blocks_of_a_message_that_the_caller_has_changed_are_not() -> None:
    given = struct(content_blocks=BLOCKS)
    messages = [said("user", "Hi"), said("assistant", "Let me be.", tool_calls=CALLS[:1], extra=given)]
    content = body(chat(messages=messages))["messages"][1]["content"]
    assert [block["type"] for block in content] == ["text", "tool_use"]


def test_what_another_provider_added_to_an_answer_is_not_given_to_anthropic() -> None:
    foreign = struct(extra_content={"google": {"thought_signature": "c2ln"}})
    call = CALLS[0] | {"extra": foreign}
    call["function"] = CALLS[0]["function"] | {"extra": foreign}
    custom = {"id": "call_4", "custom": {"name": "g", "input": "x", "extra": foreign}, "extra": foreign}
    old = {"name": "f", "arguments": "{}", "extra": foreign}
    answer = said("assistant", "Wait.", tool_calls=[call, custom], function_call=old, extra=foreign)
    result = said("tool", "rain", tool_call_id="call_1", extra=foreign)
    _, told, results = body(chat(messages=[said("user", "Hi"), answer, result]))["messages"]
    assert told.keys() == {"role", "content"}
    assert [block.keys() for block in told["content"]] == [
        {"type", "text"},
        *[{"type", "id", "name", "input"}] * 3,
    ]
    assert [block.keys() for block in results["content"]] == [{"type", "tool_use_id", "content"}]


def test_what_anthropic_or_the_caller_added_to_an_answer_is_given_back() -> None:
    caller = {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}
    call = CALLS[0] | {"extra": struct(caller=caller, other=1), "extra_json": '{"x_new": 1}'}
    answer = said("assistant", tool_calls=[call], extra=struct(x_new=1), extra_json='{"x_new": 2}')
    _, told = body(chat(messages=[said("user", "Hi"), answer]))["messages"]
    (block,) = told["content"]
    assert (block["caller"], block["x_new"], told["x_new"]) == (caller, 1, 2)
    assert "other" not in block


def test_a_messages_cache_control_is_that_of_its_last_block() -> None:
    control = '{"cache_control": {"type": "ephemeral"}, "x_new": 1}'
    asked = body(chat(messages=[said("user", "a", "b", extra_json=control)]))["messages"][0]
    assert [("cache_control" in block) for block in asked["content"]] == [False, True]
    assert asked["x_new"] == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"service_tier": "flex"}, "service_tier", id="a tier"),
        pytest.param(
            {"web_search_options": {"search_context_size": "high"}}, "web_search_options", id="how much"
        ),
        pytest.param({"tools": [{"custom": {"name": "f"}}]}, "tools", id="a tool that takes free text"),
        pytest.param({"tool_choice": {"custom": {"name": "f"}}}, "tool_choice", id="the choice of one"),
        pytest.param({"response_format": {"type": "json_object"}}, "response_format", id="any JSON"),
        pytest.param(
            {"response_format": {"json_schema": {"name": "n"}}}, "response_format", id="no schema"
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"input_audio": {"data": "", "format": "wav"}}]}]},
            "messages",
            id="sound",
        ),
        pytest.param(
            {"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages", id="earlier sound"
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"file": {"file_data": "data:application/zip;base64,AA=="}}],
                    }
                ]
            },
            "messages",
            id="a file of another type",
        ),
        pytest.param(
            {
                "messages": [
                    {"role": "user", "content": [{"file": {"file_data": "data:text/csv;base64,/w=="}}]}
                ]
            },
            "messages",
            id="a text in another encoding",
        ),
    ],
)
def test_what_cannot_be_said_fails_the_attempt_by_its_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(AttemptFailed) as failed:
        sent(chat(**fields))
    assert (failed.value.cause, failed.value.param, failed.value.blame) == (
        "parameter_unsupported",
        param,
        False,
    )


def test_no_other_operation_is_translated() -> None:
    assert [name for name, params in KIND.params.items() if params] == ["chat"]
