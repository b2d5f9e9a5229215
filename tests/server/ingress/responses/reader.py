"""Reads the events of the Responses API as a client would, and puts them together."""

import json
from collections.abc import Sequence
from typing import Any

from interference.v1.completion_pb2 import (
    AnswerMessage,
    ChatCompletionChunk,
    ChunkChoice,
)
from interference.v1.usage_pb2 import CompletionTokensDetails, PromptTokensDetails, Usage
from server.ingress.base import Answer
from server.sse import EventReader

Json = dict[str, Any]
USAGE = Usage(
    prompt_tokens=9,
    completion_tokens=5,
    total_tokens=14,
    prompt_tokens_details=PromptTokensDetails(cached_tokens=4),
    completion_tokens_details=CompletionTokensDetails(reasoning_tokens=3),
)


def chunk(delta: AnswerMessage | None = None, **fields: Any) -> ChatCompletionChunk:
    choices = [ChunkChoice(index=0, delta=delta, **fields)] if delta is not None else []
    return ChatCompletionChunk(id="x", created=7, model="m-1", provider="Up", choices=choices)


def streamed(writer: Answer, chunks: Sequence[ChatCompletionChunk]) -> list[Json]:
    """The events of a stream that ends well. The name of each is its type, as SDKs expect."""
    return parsed(b"".join([*map(writer.chunk, chunks), writer.end()]))


def parsed(body: bytes) -> list[Json]:
    names = [
        line.removeprefix(b"event: ").decode() for line in body.split(b"\n") if line.startswith(b"event")
    ]
    events = [json.loads(data) for data in EventReader(2**24).feed(body)]
    assert [event["type"] for event in events] == names
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def accumulated(events: list[Json]) -> Json:
    """Puts an answer together from its deltas alone; gives what it is said to be in the end, the same."""
    items: dict[int, Json] = {}
    final: Json = {}
    for event in events:
        _take(items, event)
        if event["type"] in ("response.completed", "response.incomplete"):
            final = event["response"]
    whole_items = [items[index] for index in range(len(items))]
    for built, told in zip(whole_items, final["output"], strict=True):
        assert {"status": None} | built == told
    return final


def _take(items: dict[int, Json], event: Json) -> None:
    kind = event["type"]
    item = items.get(event.get("output_index", -1), {})
    part = _part(item, event)
    if kind.endswith("output_item.added"):
        items[event["output_index"]] = event["item"]
    elif kind.endswith("output_item.done"):
        item["status"] = event["item"]["status"]
        assert item == event["item"]
    elif kind.endswith("_part.added"):
        item["content"].append(event["part"])
    elif kind.endswith("_part.done"):
        assert part == event["part"]
    elif kind.endswith("annotation.added"):
        assert len(part["annotations"]) == event["annotation_index"]
        part["annotations"].append(event["annotation"])
    elif kind.endswith(".delta"):
        _extend(item, part, event)
    elif kind.endswith(".done"):
        holder, name = _holder(item, part, event)
        assert holder[name] == event[name]


def _part(item: Json, event: Json) -> Json:
    if "content_index" not in event or event["type"].endswith("part.added"):
        return {}
    part: Json = item["content"][event["content_index"]]
    return part


def _extend(item: Json, part: Json, event: Json) -> None:
    holder, name = _holder(item, part, event)
    holder[name] += event["delta"]
    if event.get("logprobs"):
        part["logprobs"] += event["logprobs"]


def _holder(item: Json, part: Json, event: Json) -> tuple[Json, str]:
    assert item["id"] == event["item_id"]
    if "arguments" in event["type"]:
        return item, "arguments"
    if "input" in event["type"]:
        return item, "input"
    return part, "refusal" if "refusal" in event["type"] else "text"
