"""Asks in OpenAI's JSON for what its API has, over REST or as typed messages over gRPC, and reads what came
back in the same terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.completions_pb2 import CreateTextCompletionRequest
from interference.v1.completions_pb2_grpc import CompletionsStub
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.embeddings_pb2_grpc import EmbeddingsStub
from tests.calls import TIMEOUT, plain, rest_text
from tests.openai_api import shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc
    from google.protobuf.message import Message

    from tests.service import Service
    from tests.upstream import Told, Upstream

Members = dict[str, Any]
HI = [{"role": "user", "content": "Hi"}]


@dataclass(frozen=True)
class Api:
    """One of the things to ask for: its path, its request, and its calls."""

    path: str
    shape: shapes.Object
    message: Callable[..., Message]
    stub: Callable[[grpc.Channel], Any]
    unary: str
    streamed: str = ""


CHAT = Api(
    "chat/completions",
    shapes.REQUEST,
    CreateCompletionRequest,
    ChatStub,
    "CreateCompletion",
    "StreamCompletion",
)
TEXT = Api(
    "completions",
    shapes.TEXT_REQUEST,
    CreateTextCompletionRequest,
    CompletionsStub,
    "CreateTextCompletion",
    "StreamTextCompletion",
)
EMBEDDINGS = Api(
    "embeddings",
    shapes.EMBEDDINGS_REQUEST,
    CreateEmbeddingsRequest,
    EmbeddingsStub,
    "CreateEmbeddings",
)


@dataclass(frozen=True)
class Ways:
    """The two ways in to a running service: REST through Envoy, and gRPC to a worker."""

    service: Service
    channel: grpc.Channel

    def ask(
        self, way: str, provider: str, request: Members, *, stream: bool = False, api: Api = CHAT
    ) -> list[Members]:
        """Sends a request; gives the chunks, or the whole answer alone in the list. Fails without any."""
        if way == "rest":
            return self._rest(provider, request, stream=stream, api=api)
        message = api.message(providers=[provider], **shapes.fields(request, api.shape))
        stub = api.stub(self.channel)
        if stream:
            return [plain(chunk) for chunk in getattr(stub, api.streamed)(message, timeout=TIMEOUT)]
        return [plain(getattr(stub, api.unary)(message, timeout=TIMEOUT))]

    def _rest(self, provider: str, request: Members, *, stream: bool, api: Api) -> list[Members]:
        asked = {"provider": provider, **request} | ({"stream": True} if stream else {})
        outcome = rest_text(self.service, msgspec.json.encode(asked), stream=stream, path=api.path)
        assert (outcome.code, outcome.error, outcome.done) == (200, {}, stream), outcome
        return outcome.chunks

    def hear(
        self, way: str, upstream: Upstream, answer: Told, *, api: Api = CHAT, model: str = "", **more: Any
    ) -> list[Members]:
        """What comes back of an upstream's answer: without null members and empty lists, and without
        `provider` and `routing`, which are checked here. The model is one of its own for each call, unless
        it is named.
        """
        model = model or f"told-{len(upstream.seen)}"
        upstream.answers[model] = answer
        try:
            said = {"messages": HI} if api is CHAT else {}
            request = {"model": model, **said, **_several(answer), **more}
            came = self.ask(way, "told", request, stream=answer.whole is None, api=api)
        finally:
            del upstream.answers[model]
        assert {one.pop("provider") for one in came} == {"told"}
        _check_routing([one.pop("routing", {}) for one in came])
        if way == "rest" and answer.whole is None:
            assert all("choices" in one for one in came)  # clients loop over them
        return [shapes.spare(one) for one in came]


def _several(answer: Told) -> Members:
    """Asks for as many choices as the upstream gives: a stream with others is broken."""
    events = [event for event in answer.events if isinstance(event, dict)]
    choices = [one for event in events for one in event.get("choices") or () if isinstance(one, dict)]
    places = [one.get("index") for one in choices]
    most = max((place for place in places if isinstance(place, int)), default=0)
    return {"n": most + 1} if most else {}


def _check_routing(told: list[Members]) -> None:
    """The first says who answered and when the content began, the last how long it took."""
    first, last = told[0], told[-1]
    assert [attempt["provider"] for attempt in first["attempts"]] == ["told"]
    assert "cause" not in first["attempts"][0]
    began = first["time_to_first_content_ms"]
    assert 0 < began <= last.get("total_ms", began)  # which is not known where choices are missing
    assert not any("attempts" in later for later in told[1:])
