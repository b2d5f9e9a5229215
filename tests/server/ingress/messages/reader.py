"""Reads Anthropic's events as a client does, and holds them to the order that they must have.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import json
from typing import Any

_DELTAS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta"},
    "tool_use": {"input_json_delta"},
}


def events(stream: bytes) -> list[dict[str, Any]]:
    """The data of each event, whose name is its type."""
    found = []
    for part in stream.decode().split("\n\n")[:-1]:
        first, second = part.split("\n")
        data = json.loads(second.removeprefix("data: "))
        assert first == f"event: {data['type']}"
        found.append(data)
    return found


def message(stream: bytes) -> dict[str, Any]:
    """The message that a stream adds up to."""
    first, *middle, last_but_one, last = events(stream)
    assert first["type"] == "message_start"
    assert last_but_one["type"] == "message_delta"
    assert last == {"type": "message_stop"}
    told: dict[str, Any] = first["message"]
    assert told["content"] == []
    opened: dict[str, Any] | None = None
    arguments = ""
    for event in middle:
        if event["type"] == "content_block_start":
            assert opened is None
            assert event["index"] == len(told["content"])
            opened, arguments = event["content_block"], ""
            told["content"].append(opened)
            continue
        assert opened is not None
        assert event["index"] == len(told["content"]) - 1
        if event["type"] == "content_block_delta":
            assert event["delta"]["type"] in _DELTAS[opened["type"]]
            arguments += _add(opened, event["delta"])
        else:
            assert event["type"] == "content_block_stop"
            if opened["type"] == "tool_use":
                opened["input"] = _input(arguments)
            opened = None
    assert opened is None
    told |= last_but_one["delta"]
    told["usage"] |= last_but_one["usage"]
    return told


def _add(block: dict[str, Any], delta: dict[str, Any]) -> str:
    """Adds a delta to a block; gives back what it adds to the arguments."""
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "citations_delta":
            block.setdefault("citations", []).append(delta["citation"])
        case "input_json_delta":
            return str(delta["partial_json"])
    return ""


def _input(arguments: str) -> Any:
    try:
        read = json.loads(arguments or "{}")
    except ValueError:
        read = None
    return read if isinstance(read, dict) else {"INVALID_JSON": arguments}
