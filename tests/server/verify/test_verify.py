"""Every case finds the fault that it is about, no other case does, and a right plug-in has none."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given, settings
from hypothesis import strategies as st

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion
from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextCompletion
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from interference.v1.models_pb2 import ListModelsResponse, Model
from server.errors import SettingsError
from server.verify import table
from server.verify.case import Outcome
from server.verify.cases.asking import HELLO, NO_SUCH_MODEL
from server.verify.play import played
from server.verify.services import SERVICES
from server.verify.session import Tls, connected, explored
from server.verify.table import CASES
from tests.server.verify.plugin import ADD, Code, Flaw, Plugin, has_image, listening, png, said, usage

LIMIT = 5.0  # seconds for a case
ALL = frozenset(SERVICES)
MODEL_OF = {"chat": "m", "completions": "t", "embeddings": "e", "images": "i"}


async def outcomes(
    address: str,
    wanted: frozenset[str] = ALL,
    model: str = "",
    limit: float = LIMIT,
    tls: Tls | None = None,
) -> list[Outcome]:
    async with connected(address, tls, limit, ()) as bare:
        peer = await explored(bare, wanted, model)
        return [outcome async for outcome in played(peer, table.of(wanted), lambda _: None)]


def faults(came: Sequence[Outcome]) -> dict[str, str]:
    return {one.case.name: one.came for one in came if one.state == "fault"}


# --- Flaws ---------------------------------------------------------------------------------------------


def is_chat(request: Any) -> bool:
    return isinstance(request, CreateCompletionRequest)


def plain(request: Any) -> bool:
    """Whether it says hello, and nothing else."""
    if not is_chat(request) or [said(request), len(request.messages)] != [HELLO, 1]:
        return False
    return {field.name for field, _ in request.ListFields()} <= {"model", "messages", "stream_options"}


def changes(kind: type[Any], **fields: Any) -> Flaw:
    """Sets fields of the answers of a kind."""

    def change(answer: Any, _: Any) -> None:
        if isinstance(answer, kind):
            for name, value in fields.items():
                setattr(answer, name, value)

    return Flaw(change=change)


def choice(kind: type[Any], clear: str = "", **fields: Any) -> Flaw:
    """Changes the first choice of a plain answer."""

    def change(answer: Any, request: Any) -> None:
        if isinstance(answer, kind) and (plain(request) or not is_chat(request)):
            for name, value in fields.items():
                setattr(answer.choices[0], name, value)
            if clear:
                answer.choices[0].ClearField(clear)

    return Flaw(change=change)


def refuses(code: grpc.StatusCode, when: Any, *, stream: bool | None = False) -> Flaw:
    """Ends calls with a status; of both kinds where `stream` is None."""
    return Flaw(
        refuse=lambda request, streamed: code if stream in (streamed, None) and when(request) else None
    )


def accepts(when: Any, *, stream: bool = False) -> Flaw:
    return Flaw(accept=lambda request, streamed: streamed is stream and when(request))


def chunks(change: Any, when: Any = plain) -> Flaw:
    """Changes the chunks of a stream."""
    return Flaw(stream=lambda right, request: change(right) if when(request) else right)


def each(change: Any) -> Any:
    """Changes each choice of the chunks."""

    def all_of(right: list[Any]) -> list[Any]:
        for chunk in right:
            for one in chunk.choices:
                change(one)
        return right

    return all_of


def cumulative(right: list[Any]) -> list[Any]:
    so_far = ""
    for chunk in right:
        for one in chunk.choices:
            if one.delta.content:
                so_far += one.delta.content
                one.delta.content = so_far
    return right


def with_usage_before(right: list[Any]) -> list[Any]:
    if right[-1].HasField("usage"):
        right[-2].usage.CopyFrom(right[-1].usage)
        return right[:-1]
    return right


def with_usage(right: list[Any]) -> list[Any]:
    if not right[-1].HasField("usage"):
        right[-1].usage.CopyFrom(usage(1, 1))
    return right


def with_another_id(right: list[Any]) -> list[Any]:
    right[-1].id = "another"
    return right


def with_more_prompt(right: list[Any]) -> list[Any]:
    if right[-1].HasField("usage"):
        right[-1].usage.CopyFrom(usage(999, 1))
    return right


def broken_character(right: list[Any]) -> list[Any]:
    right[1].choices[0].delta.content += "\ufffd"
    return right


def without_index(right: list[Any]) -> list[Any]:
    for chunk in right:
        for one in chunk.choices:
            for call in one.delta.tool_calls:
                call.ClearField("index")
    return right


def first_of_n(right: list[Any]) -> list[Any]:
    return [chunk for chunk in right if all(one.index == 0 for one in chunk.choices)]


def unicode(request: Any) -> bool:
    return is_chat(request) and "世界" in said(request)


def role(name: str) -> Any:
    def has(request: Any) -> bool:
        return is_chat(request) and any(one.role == name and not one.tool_calls for one in request.messages)

    return has


def drops(field: str) -> Flaw:
    """Acts as though a parameter were not there."""

    async def before(request: Any, _: Any) -> None:
        if is_chat(request) and not request.stream:
            request.ClearField(field)

    return Flaw(before=before)


def one_choice() -> Flaw:
    def change(answer: Any, _: Any) -> None:
        if isinstance(answer, ChatCompletion):
            del answer.choices[1:]

    return Flaw(change=change)


def half_arguments() -> Flaw:
    def change(answer: Any, _: Any) -> None:
        if isinstance(answer, ChatCompletion) and answer.choices[0].message.tool_calls:
            answer.choices[0].message.tool_calls[0].function.arguments = '{"city": "Par'

    return Flaw(change=change)


def another_text() -> Flaw:
    def change(answer: Any, request: Any) -> None:
        if isinstance(answer, ChatCompletion) and unicode(request):
            answer.choices[0].message.content += "\ufffd"

    return Flaw(change=change)


def without_role() -> Flaw:
    def change(answer: Any, request: Any) -> None:
        if plain(request):
            answer.choices[0].message.ClearField("role")

    return Flaw(change=change)


def error_at_the_deadline() -> Flaw:
    hurt: list[Any] = []

    async def before(request: Any, context: Any) -> None:
        if context.time_remaining() < 1:
            hurt.append(request)
            await context.abort(Code.INTERNAL, "took too long")
        elif hurt:
            hurt.clear()
            if plain(request):  # which is seen where the above came too late
                await context.abort(Code.INTERNAL, "is still at it")

    return Flaw(before=before)


def hurt_by_leavers() -> Flaw:
    hurt: list[bool] = []

    def refuse(_: Any, stream: bool) -> grpc.StatusCode | None:
        if hurt and not stream:
            hurt.clear()
            return Code.INTERNAL
        return None

    return Flaw(refuse=refuse, left=lambda remaining: hurt.append(True) if remaining > 1 else None)


def few_at_once() -> Flaw:
    running: list[Any] = []

    async def before(request: Any, context: Any) -> None:
        if plain(request):
            running.append(request)
            context.add_done_callback(lambda _: running.pop())
            await asyncio.sleep(0.05)
            if len(running) > 4:
                await context.abort(Code.UNAVAILABLE, "too many")

    return Flaw(before=before)


def afraid_of_metadata() -> Flaw:
    async def before(_: Any, context: Any) -> None:
        if "x-verify-bin" in dict(context.invocation_metadata()):
            await context.abort(Code.INTERNAL, "what is this?")

    return Flaw(before=before)


def vectors(change: Any) -> Flaw:
    def changed(answer: Any, request: Any) -> None:
        if isinstance(answer, CreateEmbeddingsResponse):
            change(answer, request)

    return Flaw(change=changed)


def places(answer: Any, _: Any) -> None:
    for one in answer.data:
        one.index = 0


def sorted_vectors(answer: Any, _: Any) -> None:
    numbers = sorted(list(one.embedding) for one in answer.data)
    for one, values in zip(answer.data, numbers, strict=True):
        one.embedding[:] = values


def in_floats(answer: Any, _: Any) -> None:
    for one in answer.data:
        if one.HasField("embedding_base64"):
            one.ClearField("embedding_base64")
            one.embedding[:] = [1.0]


def pictures(change: Any, when: Any = bool) -> Flaw:
    def changed(answer: Any, request: Any) -> None:
        if isinstance(answer, GenerateImagesResponse) and when(request):
            change(answer)

    return Flaw(change=changed)


def no_image(answer: Any) -> None:
    answer.data[0].b64_json = "bm8gaW1hZ2U="


def local_file(answer: Any) -> None:
    answer.data[0].url = "file:///tmp/image.png"
    answer.data[0].ClearField("b64_json")


def other_size(answer: Any) -> None:
    answer.data[0].b64_json = base64.b64encode(png(64, 64)).decode()


def first_image(answer: Any) -> None:
    del answer.data[1:]


def ghost(answer: Any, _: Any) -> None:
    if isinstance(answer, ListModelsResponse):
        answer.data.append(Model(id="ghost", object="model", capabilities=["chat"]))


def unknown_model(kind: type[Any]) -> Any:
    return lambda request: isinstance(request, kind) and request.model == NO_SUCH_MODEL


def empty(kind: type[Any], field: str) -> Any:
    def is_empty(request: Any) -> bool:
        # The probe of what there is, which has no model either, says nothing.
        return isinstance(request, kind) and bool(request.model) and not getattr(request, field)

    return is_empty


def _add(answer: Any, request: Any) -> None:
    if plain(request):
        answer.usage.total_tokens += 1


def _base64(request: GenerateImagesRequest) -> bool:
    return request.response_format == "b64_json"


FLAWS = {
    "chat/answer": choice(ChatCompletion, clear="index"),
    "chat/labels": changes(ChatCompletion, object="completion"),
    "chat/role": without_role(),
    "chat/finish": choice(ChatCompletion, clear="finish_reason"),
    "chat/usage": Flaw(change=_add),
    "chat/ids": changes(ChatCompletion, id="always-the-same"),
    "stream/answer": chunks(each(lambda one: one.ClearField("index"))),
    "stream/deltas": chunks(cumulative),
    "stream/labels": chunks(with_another_id),
    "stream/role": chunks(each(lambda one: setattr(one.delta, "role", "assistant"))),
    "stream/finish": chunks(each(lambda one: setattr(one, "finish_reason", "stop"))),
    "stream/usage": chunks(with_usage_before),
    "stream/no-usage": chunks(with_usage),
    "stream/agrees": chunks(with_more_prompt),
    "chat/unknown-model": refuses(Code.INVALID_ARGUMENT, unknown_model(CreateCompletionRequest)),
    "stream/unknown-model": refuses(Code.INTERNAL, unknown_model(CreateCompletionRequest), stream=True),
    "chat/no-messages": accepts(empty(CreateCompletionRequest, "messages")),
    "stream/no-messages": accepts(empty(CreateCompletionRequest, "messages"), stream=True),
    "chat/no-role": accepts(role("")),
    "chat/unknown-role": refuses(Code.INTERNAL, role("narrator")),
    "chat/system": refuses(Code.INVALID_ARGUMENT, role("system")),
    "chat/turns": refuses(Code.INTERNAL, role("assistant")),
    "chat/unicode": another_text(),
    "stream/unicode": chunks(broken_character, unicode),
    "chat/long": refuses(
        Code.RESOURCE_EXHAUSTED, lambda request: is_chat(request) and len(said(request)) > 50_000
    ),
    "chat/image": refuses(Code.INTERNAL, lambda request: is_chat(request) and has_image(request)),
    "chat/max_tokens": drops("max_tokens"),
    "chat/stop": drops("stop"),
    "chat/n": one_choice(),
    "stream/n": chunks(first_of_n, lambda request: is_chat(request) and request.n == 2),
    "chat/tools": half_arguments(),
    "stream/tools": chunks(without_index, lambda request: is_chat(request) and bool(request.tools)),
    "chat/tool-result": refuses(Code.INTERNAL, role("tool")),
    "chat/deadline": error_at_the_deadline(),
    "stream/cancel": hurt_by_leavers(),
    "chat/at-once": few_at_once(),
    "chat/metadata": afraid_of_metadata(),
    "chat/unknown-field": refuses(Code.INTERNAL, lambda request: len(UnknownFieldSet(request)) > 0),
    "chat/extra_json": refuses(Code.INTERNAL, lambda request: bool(getattr(request, "extra_json", ""))),
    "text/answer": choice(TextCompletion, clear="text"),
    "text/labels": changes(TextCompletion, object="chat.completion"),
    "text/usage": Flaw(
        change=lambda answer, _: answer.ClearField("usage") if isinstance(answer, TextCompletion) else None
    ),
    "text/stream": chunks(
        with_another_id, lambda request: isinstance(request, CreateTextCompletionRequest)
    ),
    "text/no-prompt": accepts(empty(CreateTextCompletionRequest, "prompt")),
    "text/unknown-model": accepts(unknown_model(CreateTextCompletionRequest)),
    "embeddings/answer": vectors(places),
    "embeddings/order": vectors(sorted_vectors),
    "embeddings/base64": vectors(in_floats),
    "embeddings/usage": vectors(lambda answer, _: answer.ClearField("usage")),
    "embeddings/no-input": refuses(Code.INTERNAL, empty(CreateEmbeddingsRequest, "input")),
    "embeddings/unknown-model": accepts(unknown_model(CreateEmbeddingsRequest)),
    "images/answer": pictures(
        no_image, lambda request: not request.n and not request.size and _base64(request)
    ),
    "images/url": pictures(local_file, lambda request: not _base64(request)),
    "images/size": pictures(other_size),
    "images/n": pictures(first_image),
    "images/no-prompt": accepts(
        lambda request: isinstance(request, GenerateImagesRequest) and not request.prompt
    ),
    "images/unknown-model": accepts(unknown_model(GenerateImagesRequest)),
    "models/list": changes(ListModelsResponse, object="models"),
    "models/answers": Flaw(change=ghost),
}


# --- What is found -------------------------------------------------------------------------------------


async def test_a_right_plugin_has_no_fault() -> None:
    async with listening(Flaw()) as address:
        came = await outcomes(address)
    assert faults(came) == {}
    assert {one.state for one in came} == {"ok"}


def test_each_case_has_a_flaw() -> None:
    assert {"services", *FLAWS} == {case.name for case in CASES}


@pytest.mark.parametrize("name", FLAWS)
async def test_a_flaw_is_found_by_the_case_that_is_about_it(name: str) -> None:
    async with listening(FLAWS[name]) as address:
        came = await outcomes(address)
    assert list(faults(came)) == [name]


async def test_a_list_alone_is_nothing_to_ask() -> None:
    async with listening(Flaw(), ["models"]) as address:
        came = await outcomes(address)
    assert list(faults(came)) == ["services"]


@pytest.mark.parametrize("service", MODEL_OF)
async def test_services_that_are_not_there_are_told_as_not_had(service: str) -> None:
    async with listening(Flaw(), [service]) as address:
        came = await outcomes(address, model=MODEL_OF[service])
    states = {one.case.service: one.state for one in came}
    assert states == {"": "ok", **dict.fromkeys(ALL, "not had"), service: "ok"}


async def test_half_a_service_is_a_fault() -> None:
    unimplemented = refuses(Code.UNIMPLEMENTED, is_chat, stream=True)
    async with listening(unimplemented, ["chat"]) as address:
        came = await outcomes(address, model="m")
    assert faults(came)["services"] == "UNIMPLEMENTED: Chat/StreamCompletion"


async def test_without_a_list_a_model_must_be_named() -> None:
    async with listening(Flaw(), ["chat"]) as address:
        with pytest.raises(SettingsError, match="name a model with --model"):
            await outcomes(address)


async def test_a_model_is_not_asked_for_what_its_list_does_not_say() -> None:
    async with listening(Flaw()) as address:
        came = await outcomes(address, model="e")
    states = {one.case.service: one.state for one in came}
    assert (states["embeddings"], states["chat"], states["images"]) == ("ok", "not had", "not had")


async def test_what_hangs_is_a_fault_in_its_time_and_what_follows_is_played() -> None:
    async def before(request: Any, _: Any) -> None:
        if unicode(request):
            await asyncio.Event().wait()

    async with listening(Flaw(before=before)) as address:
        came = await outcomes(address, frozenset({"chat"}), limit=1)
    assert list(faults(came)) == ["chat/unicode", "stream/unicode"]
    assert all(one.seconds < LIMIT for one in came)


async def test_who_takes_long_is_told_of() -> None:
    said_of: list[str] = []

    async def before(request: Any, _: Any) -> None:
        if unicode(request):
            await asyncio.Event().wait()

    async with listening(Flaw(before=before)) as address, connected(address, None, 1.5, ()) as bare:
        peer = await explored(bare, frozenset({"chat"}), "")
        cases = [case for case in CASES if case.name == "chat/unicode"]
        [_] = [outcome async for outcome in played(peer, cases, said_of.append)]
    assert said_of == ["... chat/unicode takes its time (at most 1.5 s)"]


# --- Who is there --------------------------------------------------------------------------------------


@asynccontextmanager
async def secure(authority: trustme.CA, *, asks: bool) -> AsyncIterator[str]:
    """A plug-in with TLS; `asks` says whether it asks for a certificate."""
    own = authority.issue_cert("localhost")
    pem = own.private_key_pem.bytes(), b"".join(blob.bytes() for blob in own.cert_chain_pems)
    trusted = authority.cert_pem.bytes()
    server = grpc.aio.server()
    ADD["chat"](Plugin(Flaw()), server)
    port = server.add_secure_port(
        "localhost:0",
        grpc.ssl_server_credentials([pem], trusted if asks else None, require_client_auth=asks),
    )
    await server.start()
    try:
        yield f"localhost:{port}"
    finally:
        await server.stop(0)


@pytest.mark.parametrize("asks", [False, True], ids=["server", "mutual"])
async def test_it_connects_with_tls(asks: bool, tmp_path: Any) -> None:
    authority = trustme.CA()
    files = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    own = authority.issue_cert("caller@example.org")
    authority.cert_pem.write_to_path(files["ca"])
    own.private_key_pem.write_to_path(files["key"])
    own.cert_chain_pems[0].write_to_path(files["cert"])
    async with secure(authority, asks=asks) as address:
        tls = Tls(**files) if asks else Tls(files["ca"])
        assert faults(await outcomes(address, frozenset({"chat"}), "m", tls=tls)) == {}
        with pytest.raises(SettingsError, match="does not speak gRPC without TLS"):
            await outcomes(address)


async def test_a_file_that_is_not_there_is_named() -> None:
    async with listening(Flaw()) as address:
        with pytest.raises(SettingsError, match=r"cannot read none\.pem"):
            await outcomes(address, tls=Tls(ca="none.pem"))


# --- Hostile answers -----------------------------------------------------------------------------------


class _Anything(grpc.GenericRpcHandler):
    """Answers every call with the same bytes; a stream with each of them."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = answers

    def service(self, handler_call_details: Any) -> Any:
        """Gives the handler of a call."""

        async def one(_: bytes, __: Any) -> bytes:
            return self._answers[0]

        async def all_of(_: bytes, __: Any) -> AsyncIterator[bytes]:
            for answer in self._answers:
                yield answer

        if "/Stream" in handler_call_details.method:
            return grpc.unary_stream_rpc_method_handler(all_of)
        return grpc.unary_unary_rpc_method_handler(one)


def field(tag: int, content: bytes) -> bytes:
    return bytes([tag << 3 | 2, len(content)]) + content


# Choices, data and the like: bytes that are often messages of the contract, with anything in them.
PIECES = st.one_of(
    st.binary(max_size=40),
    st.builds(field, st.integers(1, 12), st.binary(max_size=20)),
    st.builds(
        field, st.sampled_from([2, 6, 7]), st.builds(field, st.integers(1, 5), st.binary(max_size=20))
    ),
)
ANSWERS = st.lists(st.lists(PIECES, max_size=3).map(b"".join), min_size=1, max_size=3)


@given(ANSWERS)
@settings(max_examples=15, deadline=None)
def test_whatever_it_answers_every_case_comes_to_an_end(answers: list[bytes]) -> None:
    async def play() -> list[Outcome]:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_Anything(answers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            return await outcomes(f"127.0.0.1:{port}", model="m", limit=2)
        finally:
            await server.stop(0)

    came = asyncio.run(play())
    assert len(came) == len(CASES)
    assert "chat/unknown-model" in faults(came)
    assert all(one.came.isprintable() for one in came)
