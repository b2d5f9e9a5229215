"""Requests in Bedrock's dialect: bytes out."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import AttemptFailed
from tests.server.drivers.bedrock.dialect import KEY, MODEL, body, chat, said, sent

PNG = base64.b64encode(b"\x89PNG").decode()
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"


def use(call_id: str, arguments: str, **more: Any) -> dict[str, Any]:
    return {"id": call_id, "function": {"name": "f", "arguments": arguments}, **more}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


@pytest.mark.parametrize(
    ("model", "stream", "url"),
    [
        pytest.param("amazon.nova-pro-v1:0", False, "/amazon.nova-pro-v1%3A0/converse", id="an id"),
        pytest.param(MODEL, True, f"/{MODEL}/converse-stream", id="an inference profile, streamed"),
        pytest.param(ARN, False, f"/{ARN.replace(':', '%3A').replace('/', '%2F')}/converse", id="an ARN"),
    ],
)
def test_the_address_has_the_model_and_waits_for_the_region(model: str, stream: bool, url: str) -> None:
    made = sent(chat(), model=model, stream=stream)
    assert (made.method, made.url) == (
        "POST",
        f"https://bedrock-runtime.{{region}}.amazonaws.com/model{url}",
    )


def test_the_row_may_have_another_address() -> None:
    made = sent(chat(), base_url="https://vpce-1.example/", model="m")
    assert made.url == "https://vpce-1.example/model/m/converse"


@pytest.mark.parametrize("model", ["..", ".", "", "a b", "m\n", "m?x=1", "é", "a" * 3000])
def test_what_can_be_no_model_is_not_asked_for(model: str) -> None:
    with pytest.raises(AttemptFailed) as raised:
        sent(chat(), model=model)
    assert raised.value.cause == "no_such_model"


def test_a_key_is_a_bearer_token_and_without_one_nothing_is_shown() -> None:
    assert sent(chat(), key=KEY).headers["authorization"] == f"Bearer {KEY}"
    assert sent(chat()).headers == {"content-type": "application/json"}


def test_neighbours_of_the_same_role_are_one_turn() -> None:
    got = body(
        chat(
            said("system", "One."),
            said("user", "Hi"),
            said("user", "there"),
            said("assistant", "", tool_calls=[use("c1", '{"a": 1}'), use("c2", "")]),
            said("tool", "x", tool_call_id="c1"),
            said("tool", "y", tool_call_id="c2", extra_json='{"status": "error"}'),
            said("developer", "Two."),
            said("user", "And?", name="ann"),
        )
    )
    assert got["system"] == [{"text": "One."}, {"text": "Two."}]
    assert got["messages"] == [
        {"role": "user", "content": [{"text": "Hi"}, {"text": "there"}]},
        {
            "role": "assistant",
            "content": [
                {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}},
                {"toolUse": {"toolUseId": "c2", "name": "f", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "c1", "content": [{"text": "x"}]}},
                {"toolResult": {"toolUseId": "c2", "content": [{"text": "y"}], "status": "error"}},
                {"text": "And?"},
            ],
        },
    ]


def test_arguments_arrive_byte_for_byte() -> None:
    arguments = '{ "b":1.0,"a" : 10000000000000000000000000 }'
    made = sent(chat(said("assistant", tool_calls=[use("c1", arguments)])))
    assert arguments.encode() in made.body


@pytest.mark.parametrize("arguments", ["[1]", "{", '"a"', "null", '{"a": \x01}'])
def test_arguments_that_are_no_object_pass_the_provider_over(arguments: str) -> None:
    with pytest.raises(AttemptFailed) as raised:
        sent(chat(said("assistant", tool_calls=[use("c1", arguments)])))
    assert (raised.value.cause, raised.value.param) == ("parameter_unsupported", "messages")


def test_an_id_of_another_providers_is_made_to_fit_on_both_sides() -> None:
    odd = "call/" + "x" * 100
    got = body(
        chat(
            said("assistant", tool_calls=[use(odd, "{}")]),
            said("tool", "x", tool_call_id=odd),
        )
    )
    used = got["messages"][0]["content"][0]["toolUse"]["toolUseId"]
    told = got["messages"][1]["content"][0]["toolResult"]["toolUseId"]
    assert used == told
    assert len(used) <= 64
    assert used.replace("_", "").isalnum()


def test_reasoning_is_given_back_as_it_came_and_before_all_else() -> None:
    thought = {"reasoningText": {"text": "So.", "signature": "c2ln"}}
    hidden = {"redactedContent": "aGlkZGVu"}
    got = body(
        chat(
            said(
                "assistant",
                "Yes.",
                reasoning="So.",
                extra={"reasoning_blocks": [thought, hidden, {"other": 1}, 5], "images": [], "other": 1},
                extra_json='{"new": 1}',
            )
        )
    )
    assert got["messages"] == [
        {
            "role": "assistant",
            "content": [{"reasoningContent": thought}, {"reasoningContent": hidden}, {"text": "Yes."}],
            "new": 1,
        }
    ]


def test_what_another_provider_added_to_an_answer_is_not_given_to_bedrock() -> None:
    foreign = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    call = use("c1", "{}", extra=foreign, extra_json='{"new": 1}')
    call["function"] |= {"extra": foreign}
    got = body(
        chat(
            said("system", "One.", extra=foreign),
            said("assistant", "Wait.", tool_calls=[call], extra=foreign),
            said("tool", "x", tool_call_id="c1", extra=foreign),
        )
    )
    assert got["system"] == [{"text": "One."}]
    assert got["messages"] == [
        {
            "role": "assistant",
            "content": [
                {"text": "Wait."},
                {"toolUse": {"toolUseId": "c1", "name": "f", "input": {}, "new": 1}},
            ],
        },
        {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "x"}]}}]},
    ]


def test_blocks_of_bedrocks_own_tools_are_given_back_and_those_of_others_are_not() -> None:
    own = {"toolUse": {"toolUseId": "t1", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}}
    others = {"type": "thinking", "thinking": "So."}
    got = body(chat(said("assistant", "Yes.", extra={"content_blocks": [own, others]})))
    assert got["messages"][0] == {"role": "assistant", "content": [{"text": "Yes."}, own]}


@pytest.mark.parametrize(
    ("part", "block"),
    [
        pytest.param(
            {"image_url": {"url": f"data:image/jpg;base64,{PNG}"}},
            {"image": {"format": "jpeg", "source": {"bytes": PNG}}},
            id="an image",
        ),
        pytest.param(
            {"image_url": {"url": "s3://bucket/cat.webp"}},
            {"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://bucket/cat.webp"}}}},
            id="an image in S3",
        ),
        pytest.param(
            {
                "file": {
                    "file_data": f"data:application/pdf;base64,{PNG}",
                    "filename": "Q3/report_v2 (final).pdf",
                    "extra_json": '{"citations": {"enabled": true}}',
                }
            },
            {
                "document": {
                    "format": "pdf",
                    "name": "Q3 report v2 (final)",
                    "source": {"bytes": PNG},
                    "citations": {"enabled": True},
                }
            },
            id="a document",
        ),
        pytest.param(
            {"file": {"file_data": "data:text/plain,a%20b", "filename": "n.txt"}},
            {"document": {"format": "txt", "name": "n", "source": {"bytes": "YSBi"}}},
            id="a text that is not base64",
        ),
        pytest.param(
            {"file": {"file_data": f"data:;base64,{PNG}", "filename": "data.XLSX"}},
            {"document": {"format": "xlsx", "name": "data", "source": {"bytes": PNG}}},
            id="a document by its name",
        ),
        pytest.param(
            {"file": {"file_id": "s3://bucket/clip.mp4"}},
            {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/clip.mp4"}}}},
            id="a video in S3",
        ),
        pytest.param(
            {"input_audio": {"data": PNG, "format": "mp3"}},
            {"audio": {"format": "mp3", "source": {"bytes": PNG}}},
            id="sound",
        ),
        pytest.param(
            {"type": "guardContent", "extra_json": '{"guardContent": {"text": {"text": "x"}}}'},
            {"guardContent": {"text": {"text": "x"}}},
            id="a part of Bedrock's own",
        ),
    ],
)
def test_a_part_is_a_block(part: dict[str, Any], block: dict[str, Any]) -> None:
    assert body(chat(user(part)))["messages"][0]["content"] == [block]


@pytest.mark.parametrize(
    "part",
    [
        pytest.param({"image_url": {"url": "https://images.example/cat.png"}}, id="an image by address"),
        pytest.param({"image_url": {"url": f"data:image/bmp;base64,{PNG}"}}, id="a kind of image"),
        pytest.param({"image_url": {"url": f"data:application/pdf;base64,{PNG}"}}, id="no image"),
        pytest.param({"image_url": {"url": "data:image/png;base64,%%%"}}, id="no base64"),
        pytest.param({"image_url": {"url": "data:image/png;base64"}}, id="no data"),
        pytest.param({"file": {"file_id": "file-1"}}, id="a file of another provider"),
        pytest.param({"file": {"file_id": "file-1", "filename": "a.pdf"}}, id="the same with a name"),
    ],
)
def test_what_cannot_be_a_block_passes_the_provider_over(part: dict[str, Any]) -> None:
    with pytest.raises(AttemptFailed) as raised:
        sent(chat(user(part)))
    assert (raised.value.cause, raised.value.param) == ("parameter_unsupported", "messages")


def test_documents_have_names_of_their_own() -> None:
    part = {"file": {"file_data": f"data:application/pdf;base64,{PNG}"}}
    content = body(chat(user(part, part)))["messages"][0]["content"]
    assert [block["document"]["name"] for block in content] == ["document", "document (2)"]


def test_a_cache_point_stands_behind_what_it_ends() -> None:
    point = {"mode": "explicit", "ttl": "1h"}
    text = {"text": "Long.", "prompt_cache_breakpoint": point}
    tool = {"role": "tool", "tool_call_id": "c1", "content": [text]}
    got = body(chat({"role": "system", "content": [text]}, user(text, {"text": "?"}), tool))
    made = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert got["system"] == [{"text": "Long."}, made]
    assert got["messages"][0]["content"] == [
        *({"text": "Long."}, made, {"text": "?"}),
        *({"toolResult": {"toolUseId": "c1", "content": [{"text": "Long."}]}}, made),
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"temperature": 0.5, "top_p": 0.25, "stop": ["a"], "max_tokens": 9, "max_completion_tokens": 7},
            {
                "inferenceConfig": {
                    "temperature": 0.5,
                    "topP": 0.25,
                    "stopSequences": ["a"],
                    "maxTokens": 7,
                }
            },
            id="inference",
        ),
        pytest.param({"metadata": {"a": "b"}}, {"requestMetadata": {"a": "b"}}, id="metadata"),
        pytest.param({"service_tier": "flex"}, {"serviceTier": {"type": "flex"}}, id="service tier"),
        pytest.param({"service_tier": "auto"}, {}, id="service tier by itself"),
        pytest.param(
            {"response_format": {"json_schema": {"name": "s", "schema": '{ "a":1 }', "description": "d"}}},
            {
                "outputConfig": {
                    "textFormat": {
                        "type": "json_schema",
                        "structure": {
                            "jsonSchema": {"schema": '{ "a":1 }', "name": "s", "description": "d"}
                        },
                    }
                }
            },
            id="JSON Schema",
        ),
        pytest.param({"response_format": {"type": "text"}}, {}, id="text"),
        pytest.param({"parallel_tool_calls": True}, {}, id="tools in parallel, as always"),
        pytest.param({"parallel_tool_calls": False}, {}, id="no tools, one at a time"),
        pytest.param({"tool_choice": {"mode": "auto"}}, {}, id="no tools to choose among"),
        pytest.param({"tool_choice": {"mode": "none"}}, {}, id="no tools and none of them"),
        pytest.param(
            {"tools": [{"function": {"name": "f"}}], "tool_choice": {"mode": "none"}}, {}, id="no tool"
        ),
        pytest.param(
            {
                "tools": [
                    {"function": {"name": "f", "strict": True}},
                    {"type": "systemTool", "extra_json": '{"systemTool": {"name": "nova_grounding"}}'},
                ],
                "tool_choice": {"mode": "required"},
            },
            {
                "toolConfig": {
                    "tools": [
                        {
                            "toolSpec": {
                                "name": "f",
                                "strict": True,
                                "inputSchema": {"json": {"type": "object", "properties": {}}},
                            }
                        },
                        {"systemTool": {"name": "nova_grounding"}},
                    ],
                    "toolChoice": {"any": {}},
                }
            },
            id="tools",
        ),
        pytest.param(
            {
                "temperature": 0.5,
                "extra_json": json.dumps(
                    {
                        "guardrailConfig": {"guardrailIdentifier": "g"},
                        "inferenceConfig": {"topP": 0.1},
                        "additionalModelRequestFields": {"top_k": 5},
                    }
                ),
            },
            {
                "inferenceConfig": {"temperature": 0.5, "topP": 0.1},
                "guardrailConfig": {"guardrailIdentifier": "g"},
                "additionalModelRequestFields": {"top_k": 5},
            },
            id="members of Bedrock's own",
        ),
    ],
)
def test_parameters_are_said_in_bedrocks_words(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    got = body(chat(**fields))
    assert {name: value for name, value in got.items() if name != "messages"} == expected


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param(
            {"tools": [{"function": {"name": "f"}}], "parallel_tool_calls": False},
            "parallel_tool_calls",
            id="one tool at a time",
        ),
        pytest.param({"tool_choice": {"mode": "required"}}, "tool_choice", id="any tool of none"),
        pytest.param({"tool_choice": {"function": {"name": "f"}}}, "tool_choice", id="a tool of none"),
        pytest.param({"service_tier": "scale"}, "service_tier", id="a tier"),
        pytest.param({"reasoning_effort": "minimal"}, "reasoning_effort", id="an effort"),
        pytest.param(
            {"tools": [{"function": {"name": "f"}}], "tool_choice": {"mode": "sometimes"}},
            "tool_choice",
            id="a choice",
        ),
        pytest.param(
            {"tools": [{"function": {"name": "f"}}], "tool_choice": {"type": "other"}},
            "tool_choice",
            id="a type of choice",
        ),
        pytest.param({"tools": [{"type": "web_search"}]}, "tools", id="a type of tool"),
        pytest.param(
            {"tools": [{"type": "web_search_20250305", "extra_json": '{"name": "s", "max_uses": 3}'}]},
            "tools",
            id="a tool of another provider's own",
        ),
        pytest.param({"tools": [{"custom": {"name": "f"}}]}, "tools", id="a tool that takes free text"),
        pytest.param({"response_format": {"type": "grammar"}}, "response_format", id="a format"),
    ],
)
def test_what_cannot_be_said_passes_the_provider_over(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(AttemptFailed) as raised:
        sent(chat(**fields))
    assert (raised.value.cause, raised.value.param) == ("parameter_unsupported", param)


def test_no_tool_is_no_choice_where_some_were_called_before() -> None:
    fields: Any = {"tools": [{"function": {"name": "f"}}], "tool_choice": {"mode": "none"}}
    with pytest.raises(AttemptFailed, match="called before"):
        sent(chat(said("assistant", tool_calls=[use("c1", "{}")]), **fields))


@pytest.mark.parametrize(
    ("model", "effort", "fields", "output"),
    [
        ("us.anthropic.claude-opus-4-8", "xhigh", {"thinking": {"type": "adaptive"}}, {"effort": "xhigh"}),
        ("anthropic.claude-opus-4-6-v1", "none", {"thinking": {"type": "disabled"}}, None),
        (
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "low",
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            None,
        ),
        (
            "us.anthropic.claude-opus-4-20250514-v1:0",
            "high",
            {"thinking": {"type": "enabled", "budget_tokens": 3999}},
            None,
        ),
        ("openai.gpt-oss-120b-1:0", "minimal", {"reasoning_effort": "minimal"}, None),
        (
            "us.amazon.nova-2-lite-v1:0",
            "medium",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
            None,
        ),
        ("deepseek.v3.2", "high", None, {"effort": "high"}),
    ],
)
def test_each_model_is_told_to_think_in_its_own_way(
    model: str, effort: str, fields: Any, output: Any
) -> None:
    got = body(chat(reasoning_effort=effort, max_tokens=4000), model=model)
    assert got.get("additionalModelRequestFields") == fields
    assert got.get("outputConfig") == output


def test_the_row_says_how_a_model_without_a_telling_name_thinks() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    got = body(chat(reasoning_effort="low"), model=arn, options={"thinking": {"*/abc": "openai"}})
    assert got["additionalModelRequestFields"] == {"reasoning_effort": "low"}


def test_a_budget_needs_room() -> None:
    with pytest.raises(AttemptFailed) as raised:
        sent(chat(reasoning_effort="low", max_tokens=1024), model="anthropic.claude-opus-4-5-20251101-v1:0")
    assert raised.value.param == "max_tokens"


def test_a_row_that_drops_parameters_is_asked_without_them() -> None:
    fields: Any = {"temperature": 0.5, "top_p": 0.5, "max_completion_tokens": 5}
    got = body(chat(**fields), params=("temperature", "max_tokens"), unsupported="drop")
    assert got["inferenceConfig"] == {"temperature": 0.5, "maxTokens": 5}


@given(st.text(max_size=300), st.text(max_size=50))
def test_any_address_and_any_name_is_a_block_or_passes_the_provider_over(url: str, name: str) -> None:
    url = url.encode(errors="replace").decode()
    name = name.encode(errors="replace").decode()
    for part in (
        {"image_url": {"url": f"data:{url}"}},
        {"file": {"file_data": f"data:application/pdf;base64,{PNG}", "filename": name}},
        {"file": {"file_data": url, "filename": name}},
    ):
        made, cause = None, ""
        try:
            made = body(chat(user(part)))
        except AttemptFailed as error:
            cause = error.cause
        assert (
            cause == "parameter_unsupported" if made is None else len(made["messages"][0]["content"]) == 1
        )
