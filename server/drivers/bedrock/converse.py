"""Chat completions through Converse and ConverseStream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from uuid import uuid4

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion
from server.drivers import answers
from server.drivers.base import Target
from server.drivers.bedrock import address, blocks, body, reading, told
from server.drivers.bedrock.stream import ConverseDecoder
from server.transport import HttpAnswer, HttpRequest

_encode = msgspec.json.Encoder().encode


class ConverseTranslator:
    """Translates chat completions."""

    def request(self, request: CreateCompletionRequest, target: Target, *, stream: bool) -> HttpRequest:
        """POST /model/{modelId}/converse, or /converse-stream."""
        url = address.of_model(target, "converse-stream" if stream else "converse")
        sent = headers(target) | {"content-type": "application/json"}
        return HttpRequest("POST", url, sent, _encode(body.of(request, target)))

    def answer(self, answer: HttpAnswer, _: CreateCompletionRequest, target: Target) -> ChatCompletion:
        """Reads a whole answer."""
        given = reading.members(answers.decode(answer.body))
        message = reading.members(reading.members(given.get("output")).get("message"))
        choice = {"index": 0, "message": blocks.message(message.get("content"))}
        completion = answers.lift(
            ChatCompletion,
            {
                "id": f"chatcmpl-{uuid4().hex}",
                "object": "chat.completion",
                "choices": [choice | told.finish(given.get("stopReason"))],
                "usage": told.usage(given.get("usage")),
                **told.rest(given, "output", "stopReason", "usage"),
            },
        )
        answers.complete(completion, target)
        return completion

    def decoder(self, request: CreateCompletionRequest, target: Target) -> ConverseDecoder:
        """Reads a streamed answer."""
        return ConverseDecoder(target, include_usage=request.stream_options.include_usage)


def headers(target: Target) -> dict[str, str]:
    """A key of Bedrock's own is a bearer token; without one the request is signed when it is sent.

    https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html
    """
    return {"authorization": f"Bearer {target.key}"} if target.key else {}
