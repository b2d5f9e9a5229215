"""The conversation as Gemini takes it: `contents` of the roles user and model, and the `systemInstruction`.

https://ai.google.dev/api/caching#Content. What Gemini must get back of its own answers (signatures, images,
parts unknown to the contract) is where `server.drivers.gemini.said` put it: in `extra` of the message and
of its calls.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from interference.v1.message_pb2 import ChatMessage
from interference.v1.tool_pb2 import FunctionCall, ToolCall
from server import forms
from server.drivers.base import Target
from server.drivers.gemini import generations, parts, wire

Json = dict[str, Any]
# Members of a message that are read here; no others of `extra` are sent, for they may be another vendor's,
# and Gemini refuses a request with a member that it does not know.
_OURS = ("extra_content", "images", "parts", "part_extras")
# For calls that another model made: https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
_NO_SIGNATURE = "skip_thought_signature_validator"


def of(messages: Iterable[ChatMessage], target: Target) -> Json:
    """`contents`, and `systemInstruction` where there is one.

    Raises `RequestRefused` or `AttemptFailed` for what cannot be said to Gemini.
    """
    system: Json = {"parts": []}
    contents: list[Json] = []
    names: dict[str, str] = {}  # of the functions, by the ids of their calls
    answering = False  # whether the last content is what tools said, which belongs together
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if message.role in ("system", "developer"):
            system["parts"] += parts.of(message.content, target, where)
            system |= _given(message)[1]
            continue
        if message.role in ("tool", "function"):
            said = _said_by_tool(message, names, target, where)
            if answering:
                contents[-1]["parts"] += said
            else:
                contents.append({"role": "user", "parts": said})
            answering = True
            continue
        answering = False
        if (content := _content(message, names, target, where)) is not None:
            contents.append(content)
    if not contents:  # which must not be empty
        return {"contents": [{"role": "user", **system}]}
    return {"contents": contents} | ({"systemInstruction": system} if system["parts"] else {})


def _content(message: ChatMessage, names: dict[str, str], target: Target, where: str) -> Json | None:
    """What a user or the model said; None where that is nothing."""
    if message.HasField("audio"):
        raise wire.lacking("messages", f"{where}.audio refers to what Gemini does not keep")
    own, more = _given(message)
    if message.role == "assistant":
        said = _said_by_model(message, own, names, target, where)
        if not said:
            return None
        content: Json = {"role": "model", "parts": said}
    else:
        said = parts.of(message.content, target, where)
        content = {"role": message.role, "parts": said or [{"text": ""}]}
    return content | more


def _said_by_model(
    message: ChatMessage, own: Mapping[str, Any], names: dict[str, str], target: Target, where: str
) -> list[Json]:
    said = [*_listed(own, "parts", target, where), *parts.of(message.content, target, where)]
    if message.refusal:
        said.append({"text": message.refusal})
    if signature := _signature(own):
        if not said or "text" not in said[-1]:
            said.append({"text": ""})
        said[-1]["thoughtSignature"] = signature
    said += [_image(one, target, where) for one in _listed(own, "images", target, where)]
    calls = [_call(call, names, where) for call in message.tool_calls]
    if message.HasField("function_call"):
        calls.append({"functionCall": _function(message.function_call)})
    if calls and generations.is_signed(target.model) and "thoughtSignature" not in calls[0]:
        calls[0]["thoughtSignature"] = _NO_SIGNATURE
    return said + calls


def _call(call: ToolCall, names: dict[str, str], where: str) -> Json:
    if call.HasField("custom"):
        raise wire.lacking("messages", f"{where}.tool_calls: Gemini has no custom tools")
    own, more = _given(call)
    function = _function(call.function)
    if call.id:
        names[call.id] = call.function.name
        function = {"id": call.id, **function}
    made: Json = {"functionCall": function, **more}
    if signature := _signature(own):
        made["thoughtSignature"] = signature
    return made


def _function(called: FunctionCall) -> Json:
    made: Json = {"name": called.name, "args": parts.arguments(called.arguments)}
    wire.merge(made, called.extra_json)
    return made


def _said_by_tool(message: ChatMessage, names: Mapping[str, str], target: Target, where: str) -> list[Json]:
    """A `functionResponse`: the object that the tool gave, or its text under `output`.

    https://ai.google.dev/api/caching#FunctionResponse. Media go within it, or beside it to older models.
    """
    call_id = message.tool_call_id
    name = names.get(call_id) or message.name
    if not name:
        raise wire.refused(target, f"{where}.tool_call_id", "is that of no tool call before it")
    media = [part for part in parts.of(message.content, target, where) if "text" not in part]
    text = parts.texts(message.content)
    response = msgspec.Raw(text.encode()) if parts.is_object(text) else {"output": text}
    made: Json = {"name": name, "response": response}
    if call_id:
        made = {"id": call_id, **made}
    within = generations.takes_media_of_tools(target.model)
    if media and within:
        made["parts"] = media
    _, more = _given(message)
    return [{"functionResponse": made, **more}, *(() if within else media)]


def _image(image: Mapping[str, Any], target: Target, where: str) -> Json:
    """An image that the model made, given back."""
    address = image.get("image_url")
    url = address.get("url") if isinstance(address, dict) else None
    if not isinstance(url, str):
        raise wire.refused(target, f"{where}.extra.images", "must be image_url parts")
    signature = _signature(image)
    return parts.media(url, target, f"{where}.extra.images") | (
        {"thoughtSignature": signature} if signature else {}
    )


def _given(message: ChatMessage | ToolCall) -> tuple[Json, Json]:
    """What came back in `extra`, or as a member of its own, that is ours to read; and all other members."""
    given = forms.plain(message.extra) if message.HasField("extra") else {}
    own = {name: given[name] for name in _OURS if name in given}
    if not message.extra_json:
        return own, {}
    more: Json = msgspec.json.decode(message.extra_json, type=dict[str, msgspec.Raw])
    own |= {name: msgspec.json.decode(more.pop(name)) for name in _OURS if name in more}
    return own, more


def _listed(own: Mapping[str, Any], name: str, target: Target, where: str) -> list[Json]:
    listed = own.get(name, [])
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise wire.refused(target, f"{where}.extra.{name}", "must be a list of objects")
    return listed


def _signature(own: Mapping[str, Any]) -> str:
    """The thought signature, where Google's own OpenAI-compatible API has it.

    https://ai.google.dev/gemini-api/docs/thought-signatures#openai
    """
    content = own.get("extra_content")
    google = content.get("google") if isinstance(content, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else ""
