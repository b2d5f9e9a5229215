"""Cases of what conversations may hold, and of requests that are wrong."""

import grpc

from interference.v1.completion_pb2 import ChatCompletion
from interference.v1.message_pb2 import ChatMessage, ContentPart, ImageUrl
from server.verify.case import Case, expect, shown
from server.verify.cases.asking import (
    HELLO,
    NO_SUCH_MODEL,
    chat,
    joined,
    pieces,
    replied,
    replied_or_refused,
    said,
)
from server.verify.peer import Peer
from server.verify.services import CHAT, CHAT_STREAM

_UNICODE = (
    "Please repeat: Grüße, 世界, مرحبا, e\u0301, \U0001f469\u200d\U0001f469\u200d\U0001f467 and \U0001d518."
)
_REPLACED = "\ufffd"  # what stands for bytes that are no text
_LONG = "All work and no play makes for a long prompt. " * 2_200  # about 100 kB
_PIXEL = (  # one dot, as a PNG
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
_NO_MESSAGES = "a request without messages"
_INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def _no_model(peer: Peer) -> str:
    return await peer.must_refuse(CHAT, chat(peer, model=NO_SUCH_MODEL), grpc.StatusCode.NOT_FOUND)


async def _no_model_streamed(peer: Peer) -> str:
    return await peer.must_refuse(CHAT_STREAM, chat(peer, model=NO_SUCH_MODEL), grpc.StatusCode.NOT_FOUND)


async def _no_messages(peer: Peer) -> str:
    return await peer.must_refuse(CHAT, chat(peer, messages=[]), _INVALID)


async def _no_messages_streamed(peer: Peer) -> str:
    return await peer.must_refuse(CHAT_STREAM, chat(peer, messages=[]), _INVALID)


async def _no_role(peer: Peer) -> str:
    return await peer.must_refuse(CHAT, chat(peer, said(HELLO, role="")), _INVALID)


async def _unknown_role(peer: Peer) -> str:
    request = chat(peer, said("It is a sunny day.", role="narrator"), said(HELLO))
    return replied_or_refused(await peer.may_refuse(CHAT, request))


async def _system(peer: Peer) -> str:
    return replied(await peer.answered(CHAT, chat(peer, said("Be brief.", role="system"), said(HELLO))))


async def _turns(peer: Peer) -> str:
    turns = (said("My name is Ada."), said("Hello, Ada.", role="assistant"), said("What is my name?"))
    return replied(await peer.answered(CHAT, chat(peer, *turns)))


async def _unicode(peer: Peer) -> str:
    completions = await peer.answered(CHAT, chat(peer, said(_UNICODE)))
    return _unharmed(replied(completions), _content(completions))


async def _unicode_streamed(peer: Peer) -> str:
    chunks = await peer.answered(CHAT_STREAM, chat(peer, said(_UNICODE)))
    text = joined(choice for choices in pieces(chunks).values() for choice in choices)
    return _unharmed(shown(text, 60), text)


def _unharmed(told: str, text: str) -> str:
    expect(_REPLACED not in text, f"a broken character in {shown(text)}")
    return told


def _content(completions: list[ChatCompletion]) -> str:
    return completions[0].choices[0].message.content


async def _long(peer: Peer) -> str:
    return replied_or_refused(await peer.may_refuse(CHAT, chat(peer, said(_LONG))))


async def _image(peer: Peer) -> str:
    parts = [ContentPart(text="What is this?"), ContentPart(image_url=ImageUrl(url=_PIXEL))]
    request = chat(peer, ChatMessage(role="user", content=parts))
    return replied_or_refused(await peer.may_refuse(CHAT, request))


CASES = (
    Case(
        "chat/unknown-model",
        "chat",
        asks=f"CreateCompletion with the model {NO_SUCH_MODEL}",
        wants="NOT_FOUND, upon which the next provider is asked; INVALID_ARGUMENT would end the request",
        mend="compare `model` with the names that you know, and end the call with NOT_FOUND",
        check=_no_model,
    ),
    Case(
        "stream/unknown-model",
        "chat",
        asks=f"StreamCompletion with the model {NO_SUCH_MODEL}",
        wants="NOT_FOUND before any chunk",
        mend="compare `model` with the names that you know before the first chunk",
        check=_no_model_streamed,
    ),
    Case(
        "chat/no-messages",
        "chat",
        asks=f"CreateCompletion with {_NO_MESSAGES}",
        wants="INVALID_ARGUMENT",
        mend="end the call with INVALID_ARGUMENT where `messages` is empty",
        check=_no_messages,
    ),
    Case(
        "stream/no-messages",
        "chat",
        asks=f"StreamCompletion with {_NO_MESSAGES}",
        wants="INVALID_ARGUMENT before any chunk",
        mend="look at the request before the first chunk, with the same code as CreateCompletion",
        check=_no_messages_streamed,
    ),
    Case(
        "chat/no-role",
        "chat",
        asks="a message without a role",
        wants="INVALID_ARGUMENT",
        mend="end the call with INVALID_ARGUMENT where a message has no `role`, which is required",
        check=_no_role,
    ),
    Case(
        "chat/unknown-role",
        "chat",
        asks="a message of the role `narrator`, then hello",
        wants="an answer or INVALID_ARGUMENT, for roles are open words",
        mend="treat roles that you do not know as `user`, or end the call with INVALID_ARGUMENT",
        check=_unknown_role,
    ),
    Case(
        "chat/system",
        "chat",
        asks="a message of the role `system`, then hello",
        wants="an answer",
        mend="take `system` (and `developer`) as instructions, or leave them out",
        check=_system,
    ),
    Case(
        "chat/turns",
        "chat",
        asks="a conversation of user, assistant and user",
        wants="an answer",
        mend="take messages of the role `assistant` as your earlier answers",
        check=_turns,
    ),
    Case(
        "chat/unicode",
        "chat",
        asks="a message in many scripts, with joined emoji",
        wants="an answer without a broken character (U+FFFD)",
        mend="cut texts at characters, never between the bytes or surrogates of one",
        check=_unicode,
    ),
    Case(
        "stream/unicode",
        "chat",
        asks="the same, streamed",
        wants="pieces without a broken character (U+FFFD)",
        mend="decode bytes with a decoder that keeps the beginning of a character for the next piece",
        check=_unicode_streamed,
    ),
    Case(
        "chat/long",
        "chat",
        asks="a message of 100 kB",
        wants="an answer, or INVALID_ARGUMENT where it is too long for the model",
        mend="raise the limit of a message in your gRPC server; end the call with INVALID_ARGUMENT where "
        "the text does not fit into the context",
        check=_long,
    ),
    Case(
        "chat/image",
        "chat",
        asks="a message with text and an image",
        wants="an answer, or INVALID_ARGUMENT where the model reads no images",
        mend="look at which field of a part is set; end the call with INVALID_ARGUMENT for those you "
        "cannot read",
        check=_image,
    ),
)
