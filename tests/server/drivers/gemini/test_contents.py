"""The conversation as Gemini takes it, and its own answers given back."""

import base64
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.gemini.dialect import body, chat, said, streamed

PNG_URL = "data:image/png;base64,iVBORw0="
NEW = "gemini-3.8-flash"


def parts(*content: Any, model: str = "m") -> Any:
    """The parts of what a user says."""
    return body(chat({"role": "user", "content": list(content)}), model)["contents"][0]["parts"]


@pytest.mark.parametrize(
    ("part", "made"),
    [
        ({"text": "a"}, {"text": "a"}),
        ({"image_url": {"url": PNG_URL}}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0="}}),
        (
            {"image_url": {"url": "https://a.example/x.jpg?y=1"}},
            {"fileData": {"fileUri": "https://a.example/x.jpg?y=1", "mimeType": "image/jpeg"}},
        ),
        ({"image_url": {"url": "gs://b/x"}}, {"fileData": {"fileUri": "gs://b/x"}}),
        (
            {"image_url": {"url": "https://a.example/x", "extra_json": '{"mimeType": "image/webp"}'}},
            {"fileData": {"fileUri": "https://a.example/x", "mimeType": "image/webp"}},
        ),
        (
            {"input_audio": {"data": "AAA=", "format": "mp3"}},
            {"inlineData": {"mimeType": "audio/mp3", "data": "AAA="}},
        ),
        (
            {"file": {"file_data": "data:;base64,AAA=", "filename": "a.pdf"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "AAA="}},
        ),
        (
            {"file": {"file_id": "https://up/v1beta/files/abc", "filename": "a.mp4"}},
            {"fileData": {"fileUri": "https://up/v1beta/files/abc", "mimeType": "video/mp4"}},
        ),
        (
            {"text": "a", "extra_json": '{"partMetadata": {"b": 1}}'},
            {"text": "a", "partMetadata": {"b": 1}},
        ),
        ({"extra_json": '{"fileData": {"fileUri": "u"}}'}, {"fileData": {"fileUri": "u"}}),
    ],
)
def test_parts_are_said_in_its_words(part: Any, made: Any) -> None:
    assert parts(part) == [made]


def test_how_closely_to_look_is_a_hint_for_those_who_take_it() -> None:
    part = {"image_url": {"url": PNG_URL, "detail": "high"}}
    assert parts(part, model=NEW)[0]["mediaResolution"] == {"level": "MEDIA_RESOLUTION_HIGH"}
    assert "mediaResolution" not in parts(part, model="gemini-2.5-flash")[0]


SVG = "data:image/svg+xml;charset=utf-8,%3Csvg a='%C3%A9'/%3E"


@pytest.mark.parametrize(
    ("url", "kind", "data"),
    [
        pytest.param(SVG, "image/svg+xml", "<svg a='é'/>".encode(), id="percent-encoded"),
        pytest.param("data:,a%2Cb,c+d", "text/plain", b"a,b,c+d", id="of no kind"),
        pytest.param("data:image/gif,%FF%00é", "image/gif", b"\xff\x00\xc3\xa9", id="no text"),
        pytest.param("DATA:image/png;base64,iVBORw0=", "image/png", b"\x89PNG\r", id="in upper case"),
        pytest.param("Data:image/png;BASE64,iVBORw0=", "image/png", b"\x89PNG\r", id="in both cases"),
    ],
)
def test_data_in_an_address_goes_in_base64(url: str, kind: str, data: bytes) -> None:
    blob = {"mimeType": kind, "data": base64.b64encode(data).decode()}
    assert parts({"image_url": {"url": url}}) == [{"inlineData": blob}]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"image_url": {"url": "data:image/png;base64"}}, "messages[0].content[0].image_url.url"),
        ({"image_url": {"url": "data:"}}, "messages[0].content[0].image_url.url"),
        ({"file": {"filename": "a"}}, "messages[0].content[0].file"),
        ({"type": "video_url"}, "messages[0].content[0].type"),
    ],
)
def test_a_part_that_is_malformed_refuses_the_request(part: Any, param: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        parts(part)
    assert caught.value.param == param


def test_a_conversation_of_instructions_alone_is_asked_as_a_user_does() -> None:
    made = body(chat({"role": "system", "content": [{"text": "Hi"}]}), "m")
    assert made == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


def test_instructions_are_joined_wherever_they_stand() -> None:
    made = body(
        chat(
            {"role": "system", "content": [{"text": "a"}]},
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "developer", "content": [{"text": "b"}]},
        ),
        "m",
    )
    assert made["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert len(made["contents"]) == 1


def asked(*calls: Any, **more: Any) -> Any:
    return {"role": "assistant", "tool_calls": list(calls), **more}


def call(call_id: str = "1", arguments: str = "{}", **more: Any) -> Any:
    return {"id": call_id, "function": {"name": "f", "arguments": arguments}, **more}


@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        ('{"a": 1.0}', {"a": 1.0}),
        ("", {}),
        ("{nope", {"arguments": "{nope"}),
        ("[1]", {"arguments": "[1]"}),
    ],
)
def test_arguments_are_an_object_whatever_a_model_wrote(arguments: str, args: Any) -> None:
    made = body(chat(asked(call(arguments=arguments))), "m")["contents"][0]["parts"]
    assert made == [{"functionCall": {"id": "1", "name": "f", "args": args}}]


def test_calls_of_others_are_marked_for_those_who_check_signatures() -> None:
    history = chat(asked(call("1"), call("2")))
    assert "thoughtSignature" not in body(history, "gemini-2.5-flash")["contents"][0]["parts"][0]
    first, second = body(history, NEW)["contents"][0]["parts"]
    assert first["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in second


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("rain", {"output": "rain"}),
        ('{"a": 1}', {"a": 1}),
        ("[1]", {"output": "[1]"}),
        ("", {"output": ""}),
    ],
)
def test_what_a_tool_said_is_an_object(text: str, response: Any) -> None:
    told = {"role": "tool", "tool_call_id": "1", "content": [{"text": text}]}
    made = body(chat(asked(call()), told), "m")["contents"][1]
    assert made == {
        "role": "user",
        "parts": [{"functionResponse": {"id": "1", "name": "f", "response": response}}],
    }


def test_a_picture_that_a_tool_gave_is_within_what_it_said_or_beside_it() -> None:
    told = {
        "role": "tool",
        "tool_call_id": "1",
        "content": [{"text": "it"}, {"image_url": {"url": PNG_URL}}],
    }
    image = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0="}}
    within = body(chat(asked(call()), told), NEW)["contents"][1]["parts"]
    assert within[0]["functionResponse"]["parts"] == [image]
    beside = body(chat(asked(call()), told), "gemini-2.5-flash")["contents"][1]["parts"]
    assert [list(part) for part in beside] == [["functionResponse"], ["inlineData"]]


def test_an_answer_to_no_call_refuses_the_request() -> None:
    with pytest.raises(RequestRefused) as caught:
        body(chat({"role": "tool", "tool_call_id": "9", "content": [{"text": "a"}]}))
    assert caught.value.param == "messages[0].tool_call_id"


def test_functions_of_the_old_kind_are_called_and_answered() -> None:
    made = body(
        chat(
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": [{"text": "a"}]},
        ),
        "m",
    )["contents"]
    assert made[0]["parts"] == [{"functionCall": {"name": "f", "args": {}}}]
    assert made[1]["parts"] == [{"functionResponse": {"name": "f", "response": {"output": "a"}}}]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "audio": {"id": "1"}},
        {"role": "assistant", "tool_calls": [{"custom": {"name": "f", "input": "x"}}]},
    ],
)
def test_a_message_that_it_cannot_be_told_passes_it_over(message: Any) -> None:
    with pytest.raises(AttemptFailed) as caught:
        body(chat(message))
    assert (caught.value.cause, caught.value.param) == ("parameter_unsupported", "messages")


def test_an_assistant_who_said_nothing_is_left_out() -> None:
    made = body(chat({"role": "assistant"}, {"role": "user"}), "m")
    assert made["contents"] == [{"role": "user", "parts": [{"text": ""}]}]


ITS_OWN: Any = [
    {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
    {"text": "Look.", "thoughtSignature": "c2ln"},
    {"inlineData": {"mimeType": "image/png", "data": "iVBORw0="}, "thoughtSignature": "aW1n"},
    {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "Y2FsbA=="},
    {"functionCall": {"id": "2", "name": "f", "args": {}}},
]


def test_what_it_said_is_given_back_as_it_came() -> None:
    message = said({"text": "I think.", "thought": True}, *ITS_OWN).choices[0].message
    given = MessageToDict(message, preserving_proto_field_name=True)
    given["content"] = [{"text": given["content"]}]
    made = body(chat(given), NEW)["contents"]
    assert made == [{"role": "model", "parts": ITS_OWN}]


def test_signatures_are_where_its_compatible_api_has_them() -> None:
    message: Any = said(*ITS_OWN).choices[0].message
    assert message.extra["extra_content"]["google"]["thought_signature"] == "c2ln"
    call = message.tool_calls[0]
    assert call.extra["extra_content"]["google"]["thought_signature"] == "Y2FsbA=="
    member = '{"extra_content": {"google": {"thought_signature": "Y2FsbA=="}}}'
    given = asked({"id": "1", "function": {"name": "f", "arguments": "{}"}, "extra_json": member})
    assert body(chat(given), NEW)["contents"][0]["parts"][0]["thoughtSignature"] == "Y2FsbA=="


def test_a_signature_without_a_text_is_given_back_in_an_empty_one() -> None:
    end = {"candidates": [{"content": {"parts": [{"text": "", "thoughtSignature": "c2ln"}]}}]}
    delta = streamed(end)[0].choices[0].delta
    extra = MessageToDict(delta.extra)
    made = body(chat({"role": "assistant", "extra": extra}), NEW)["contents"][0]["parts"]
    assert made == [{"text": "", "thoughtSignature": "c2ln"}]


def test_what_other_vendors_added_is_not_sent_to_it() -> None:
    given = {"role": "assistant", "content": [{"text": "a"}], "extra": {"reasoning_details": [{"a": 1}]}}
    assert body(chat(given), NEW)["contents"] == [{"role": "model", "parts": [{"text": "a"}]}]


@pytest.mark.parametrize(
    "extra", [{"images": "x"}, {"images": [{"image_url": 5}]}, {"parts": {"a": 1}}, {"parts": [1]}]
)
def test_additions_of_another_shape_refuse_the_request(extra: Any) -> None:
    with pytest.raises(RequestRefused):
        body(chat({"role": "assistant", "content": [{"text": "a"}], "extra": extra}))


def test_signatures_of_another_shape_are_none() -> None:
    for content in (5, {"google": 5}, {"google": {"thought_signature": 5}}):
        given = {"role": "assistant", "content": [{"text": "a"}], "extra": {"extra_content": content}}
        assert body(chat(given), "m")["contents"][0]["parts"] == [{"text": "a"}]
