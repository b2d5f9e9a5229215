"""Bedrock's dialect: AWS's SDK reads what the speaker says, and the driver takes every feature to it."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, EventStreamError
from botocore.session import Session

from tests.conformance.bedrock_speaker import SIGNATURE, BedrockSpeaker
from tests.conformance.cells import Absent, Fails, Lacks, Works, exact, has, lacks
from tests.conformance.features import (
    FEATURES,
    PARIS,
    PDF_BASE64,
    PLANES,
    PNG_BASE64,
    ROME,
    WAV_BASE64,
    WEATHER_SCHEMA,
)
from tests.conformance.playing import Table, suite
from tests.conformance.said import Said, Spoken
from tests.conformance.stage import Seen, Stage, staged
from tests.openai_api.asks import ODD_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = Credentials("AKIDCONFORMANCE", "conformance-secret-0123456789", "conformance-token")
REGION = "us-east-1"
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
HI: Any = [{"role": "user", "content": [{"text": "Hi"}]}]


def unsigned(seen: Seen) -> Spoken | None:
    """What AWS answers to a request that is not signed with these keys: it signs what arrived once more."""
    given = seen.headers.get("authorization", "")
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: seen.headers.get(name, "") for name in names}
    request = AWSRequest(seen.method, f"http://{seen.headers['host']}{seen.path}", headers, seen.raw)
    request.context["timestamp"] = seen.headers.get("x-amz-date", "")
    signer = SigV4Auth(KEYS, "bedrock", REGION)
    canonical = signer.canonical_request(request)
    wanted = signer.signature(signer.string_to_sign(request, canonical), request)
    must = {"host", "x-amz-date", "x-amz-security-token", "content-type"}
    if given.endswith(f"Signature={wanted}") and must <= set(names):
        return None
    return BedrockSpeaker().fault("InvalidSignatureException")


# --- The SDK ---------------------------------------------------------------------------------------

SAID = [
    pytest.param(feature.said, id=name)
    for name, feature in FEATURES.items()
    if feature.said is not FEATURES["text"].said
]
STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "guardrail_intervened",
}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged(BedrockSpeaker(), unsigned) as running:
        yield running


@pytest.fixture(scope="module")
def client(stage: Stage) -> Iterator[Any]:
    session = Session()
    session.set_credentials(KEYS.access_key, KEYS.secret_key, KEYS.token)
    config = Config(retries={"total_max_attempts": 1}, region_name=REGION)
    made = session.create_client("bedrock-runtime", endpoint_url=stage.url, config=config)
    yield made
    made.close()


@pytest.mark.parametrize("said", SAID)
def test_the_sdk_reads_a_whole_answer(stage: Stage, client: Any, said: Said) -> None:
    stage.says(said)
    answer = client.converse(modelId=ARN, messages=HI)
    check(answer["output"]["message"]["content"], answer["stopReason"], answer["usage"], said)


@pytest.mark.parametrize("said", SAID)
def test_the_sdk_reads_a_stream(stage: Stage, client: Any, said: Said) -> None:
    stage.says(said)
    blocks: dict[int, Any] = {}
    told: dict[str, Any] = {}
    for event in streamed(client):
        ((name, members),) = event.items()
        if name == "contentBlockStart":
            blocks[members["contentBlockIndex"]] = {**members["start"], "pieces": []}
        elif name == "contentBlockDelta":
            blocks.setdefault(members["contentBlockIndex"], {"pieces": []})["pieces"].append(
                members["delta"]
            )
        else:
            told |= members
    check([put_together(block) for block in blocks.values()], told["stopReason"], told["usage"], said)


def streamed(client: Any) -> list[dict[str, Any]]:
    """The events that the SDK reads."""
    with closing(client.converse_stream(modelId=ARN, messages=HI)["stream"]) as stream:
        return [*stream]


def put_together(block: dict[str, Any]) -> dict[str, Any]:
    """A block of its pieces, as it would have come whole."""
    pieces = block.pop("pieces")
    if "toolUse" in block:
        text = "".join(piece["toolUse"]["input"] for piece in pieces)
        return {"toolUse": block["toolUse"] | {"input": json.loads(text or "{}")}}
    if "image" in block:
        data = b"".join(piece["image"]["source"]["bytes"] for piece in pieces)
        return {"image": block["image"] | {"source": {"bytes": data}}}
    if "reasoningContent" in pieces[0]:
        thought: dict[str, str] = {}
        for piece in pieces:
            for name, text in piece["reasoningContent"].items():
                thought[name] = thought.get(name, "") + text
        return {"reasoningContent": {"reasoningText": thought}}
    return {"text": "".join(piece["text"] for piece in pieces)}


def check(content: list[Any], stop_reason: str, usage: Any, said: Said) -> None:
    """The SDK has read what was said."""
    assert stop_reason == STOP_REASONS[said.finish]
    assert "".join(block.get("text", "") for block in content) == said.text
    thoughts = [
        block["reasoningContent"]["reasoningText"] for block in content if "reasoningContent" in block
    ]
    assert thoughts == ([{"text": said.reasoning, "signature": SIGNATURE}] if said.reasoning else [])
    uses = [block["toolUse"] for block in content if "toolUse" in block]
    assert [(use["toolUseId"], use["name"], use["input"]) for use in uses] == [
        (call.id, call.name, call.arguments) for call in said.calls
    ]
    images = [block["image"]["source"]["bytes"] for block in content if "image" in block]
    assert images == [*said.pictures]
    assert usage["inputTokens"] + usage.get("cacheReadInputTokens", 0) == said.prompt_tokens
    assert usage["outputTokens"] == said.completion_tokens


@pytest.mark.parametrize("word", BedrockSpeaker().faults)
def test_the_sdk_raises_its_own_exceptions(stage: Stage, client: Any, word: str) -> None:
    stage.fails(word)
    with pytest.raises(ClientError) as raised:
        client.converse(modelId=ARN, messages=HI)
    assert raised.value.response["Error"] == {"Code": word, "Message": f"It is like this: {word}."}
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == stage.speaker.faults[word]
    if (modeled := getattr(client.exceptions, word, None)) is not None:
        assert isinstance(raised.value, modeled)


@pytest.mark.parametrize(
    "word",
    [
        "ThrottlingException",
        "ModelStreamErrorException",
        "InternalServerException",
        "ValidationException",
        "ServiceUnavailableException",
    ],
)
def test_the_sdk_sees_an_error_in_a_stream(stage: Stage, client: Any, word: str) -> None:
    stage.breaks(Said("Hello there"), word)
    with pytest.raises(EventStreamError, match=word):
        streamed(client)


def test_a_request_with_another_key_is_refused_by_the_stage(stage: Stage) -> None:
    stage.says(Said("Hello"))
    session = Session()
    session.set_credentials(KEYS.access_key, "another-secret", KEYS.token)
    config = Config(retries={"total_max_attempts": 1}, region_name=REGION)
    stranger = session.create_client("bedrock-runtime", endpoint_url=stage.url, config=config)
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        stranger.converse(modelId="m", messages=HI)
    stranger.close()


# --- The driver ------------------------------------------------------------------------------------


def asks_converse(seen: Seen) -> None:
    """The address has the model, and what is asked of it."""
    assert seen.path in ("/model/m/converse", "/model/m/converse-stream")


_NONE = "Converse has no such parameter."
TABLE = Table(
    BedrockSpeaker(),
    {
        "text": Works(
            asks_converse,
            has("messages", HI),
            lacks("model"),
            lacks("inferenceConfig"),
            lacks("provider"),
        ),
        "system prompt": Works(has("system", [{"text": "Be brief."}]), has("messages", HI)),
        "developer prompt": Works(has("system", [{"text": "Be brief."}]), has("messages", HI)),
        "conversation": Works(has("messages.1", {"role": "assistant", "content": [{"text": "Hello."}]})),
        "text in parts": Works(has("messages.0.content", [{"text": "One."}, {"text": "Two."}])),
        "unicode": Works(has("messages.0.content.0.text", PLANES)),
        "temperature": Works(has("inferenceConfig.temperature", 0.25)),
        "top_p": Works(has("inferenceConfig.topP", 0.5)),
        "stop": Works(has("inferenceConfig.stopSequences", ["END", "STOP"])),
        "max_tokens": Works(has("inferenceConfig.maxTokens", 50)),
        "max_completion_tokens": Works(has("inferenceConfig.maxTokens", 50)),
        "penalties": Lacks("presence_penalty", _NONE),
        "seed": Lacks("seed", _NONE),
        "several choices": Lacks("n", "Converse gives one answer."),
        "logprobs": Lacks("logprobs", _NONE),
        "logit bias": Lacks("logit_bias", _NONE),
        "user": Lacks("user", _NONE),
        "tools": Works(
            has(
                "toolConfig.tools.0.toolSpec",
                {
                    "name": "weather",
                    "description": "Tells the weather.",
                    "inputSchema": {"json": WEATHER_SCHEMA},
                },
            ),
            lacks("toolConfig.toolChoice"),
        ),
        "parallel tool calls": Works(),
        "tool call beside text": Works(),
        "tool call without arguments": Works(),
        "tool schema byte for byte": Works(
            exact("toolConfig.tools.0.toolSpec.inputSchema.json", ODD_SCHEMA)
        ),
        "one tool call at a time": Lacks("parallel_tool_calls", "Converse cannot be told so."),
        "tool choice auto": Works(has("toolConfig.toolChoice", {"auto": {}})),
        "tool choice none": Works(lacks("toolConfig")),
        "tool choice required": Works(has("toolConfig.toolChoice", {"any": {}})),
        "forced tool": Works(has("toolConfig.toolChoice", {"tool": {"name": "weather"}})),
        "tool results": Works(
            has("messages.1.content.0", {"text": "Let me see."}),
            has(
                "messages.1.content.1.toolUse",
                {"toolUseId": PARIS.id, "name": "weather", "input": {"city": "Paris"}},
            ),
            has(
                "messages.2",
                {
                    "role": "user",
                    "content": [
                        {"toolResult": {"toolUseId": PARIS.id, "content": [{"text": "rain"}]}},
                        {"toolResult": {"toolUseId": ROME.id, "content": [{"text": '{"sky": "clear"}'}]}},
                    ],
                },
            ),
        ),
        "image as data": Works(
            has("messages.0.content.1.image", {"format": "png", "source": {"bytes": PNG_BASE64}})
        ),
        "image by address": Lacks("messages", "Converse takes images as bytes or in S3."),
        "file": Works(
            has(
                "messages.0.content.1.document",
                {"format": "pdf", "name": "paper", "source": {"bytes": PDF_BASE64}},
            )
        ),
        "audio in": Works(
            has("messages.0.content.1.audio", {"format": "wav", "source": {"bytes": WAV_BASE64}})
        ),
        "image out": Works(body={"messages": FEATURES["image as data"].body["messages"]}),  # unasked
        "JSON Schema": Works(
            has("outputConfig.textFormat.type", "json_schema"),
            has("outputConfig.textFormat.structure.jsonSchema.name", "report"),
        ),
        "JSON Schema byte for byte": Works(
            has("outputConfig.textFormat.structure.jsonSchema.schema", bytes(ODD_SCHEMA).decode())
        ),
        "JSON object": Lacks("response_format", "Converse wants a schema."),
        "reasoning effort": Works(has("outputConfig.effort", "low")),
        "reasoning told": Works(answer={"usage": {"prompt": 11, "completion": 7, "total": 18}}),
        "reasoning beside a call": Works(),
        "reasoning given back": Works(
            has("messages.1.content.0.toolUse.name", "weather"), lacks("messages.1.reasoning_content")
        ),
        "usage": Works(),
        "cached tokens": Works(),
        "cache breakpoint": Works(has("messages.0.content.1", {"cachePoint": {"type": "default"}})),
        "unknown member": Works(has("x_new", {"a": [1, "b"]})),
        "finish: stop": Works(),
        "finish: length": Works(has("inferenceConfig.maxTokens", 1)),
        "finish: tool_calls": Works(),
        "finish: content_filter": Works(),
        "fault: wrong request": Fails("ValidationException"),
        "fault: key": Fails("UnrecognizedClientException"),
        "fault: permission": Fails("AccessDeniedException"),
        "fault: model": Fails("ResourceNotFoundException"),
        "fault: too large": Absent("A request that is too large is a ValidationException like any other."),
        "fault: rate limit": Fails("ThrottlingException"),
        "fault: overloaded": Fails("ServiceUnavailableException"),
        "fault: server": Fails("InternalServerException"),
        "fault: in a stream": Fails("ModelStreamErrorException"),
        "fault: cut off": Fails(""),
    },
    variables={
        "AWS_ACCESS_KEY_ID": KEYS.access_key,
        "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
        "AWS_SESSION_TOKEN": KEYS.token,
    },
    refuses=unsigned,
)
scene, test_the_table_is_complete, test_features = suite(TABLE)
