"""Cases of texts as vectors."""

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from typing import Any

import grpc

from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from interference.v1.input_pb2 import TextInput
from server.verify.case import Case, NotHad, expect
from server.verify.cases.asking import NO_SUCH_MODEL
from server.verify.peer import Peer
from server.verify.services import EMBED

_TEXTS = ("The cat sleeps.", "Stocks fell sharply on Monday morning.", "Ein Gedicht über den Mond")
_NEAR = 1e-3  # of a vector's length: batches and 32-bit floats differ by less


def _request(peer: Peer, *texts: str, **fields: Any) -> CreateEmbeddingsRequest:
    given = {"model": peer.models.get("embeddings", ""), "input": [TextInput(text=text) for text in texts]}
    return CreateEmbeddingsRequest(**(given | fields))


async def _whole(peer: Peer) -> CreateEmbeddingsResponse:
    [made] = await peer.once("embeddings/answer", EMBED, _request(peer, *_TEXTS))
    return made


async def _answer(peer: Peer) -> str:
    made = (await _whole(peer)).data
    expect(len(made) == len(_TEXTS), f"{len(made)} vectors for {len(_TEXTS)} texts")
    indexes = [one.index if one.HasField("index") else None for one in made]
    expect(indexes == list(range(len(_TEXTS))), f"the indexes {indexes}")
    lengths = {len(one.embedding) for one in made}
    expect(len(lengths) == 1 and lengths != {0}, f"vectors of the lengths {sorted(lengths)}")
    expect(
        all(map(math.isfinite, [x for one in made for x in one.embedding])), "numbers that are not finite"
    )
    return f"{len(made)} vectors of {lengths.pop()} numbers"


async def _order(peer: Peer) -> str:
    made = [list(one.embedding) for one in (await _whole(peer)).data]
    if len(made) != len(_TEXTS):
        raise NotHad("there are not as many vectors as texts: see embeddings/answer")
    [turned] = await peer.answered(EMBED, _request(peer, *reversed(_TEXTS)))
    again = [list(one.embedding) for one in turned.data][::-1]
    expect(len(again) == len(made), f"{len(again)} vectors for {len(_TEXTS)} texts")
    expect(all(map(_near, made, again)), "another vector for the same text, or vectors in another order")
    return "the same vectors in the other order"


def _near(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and math.dist(one, other) <= _NEAR * (math.hypot(*one) or 1)


async def _base64(peer: Peer) -> str:
    made = await peer.may_refuse(EMBED, _request(peer, _TEXTS[0], encoding_format="base64"))
    if not made:
        return "refused with INVALID_ARGUMENT"
    data = made[0].data
    expect(data and data[0].embedding_base64, "no `embedding_base64`")
    vector = _unpacked(data[0].embedding_base64)
    expect(vector, "an `embedding_base64` that is no base64 of 32-bit floats")
    first = (await _whole(peer)).data
    expect(not first or _near(list(first[0].embedding), vector), "another vector than in floats")
    return f"{len(vector)} numbers"


def _unpacked(text: str) -> Sequence[float]:
    """The floats of a vector in base64; empty where it is none."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ()
    return struct.unpack(f"<{len(data) // 4}f", data) if len(data) % 4 == 0 else ()


async def _usage(peer: Peer) -> str:
    made = await _whole(peer)
    expect(made.HasField("usage"), "no usage")
    expect(made.usage.HasField("prompt_tokens"), "a usage without prompt_tokens")
    expect(made.usage.HasField("total_tokens"), "a usage without total_tokens")
    return f"{made.usage.prompt_tokens} tokens"


async def _no_input(peer: Peer) -> str:
    return await peer.must_refuse(EMBED, _request(peer), grpc.StatusCode.INVALID_ARGUMENT)


async def _no_model(peer: Peer) -> str:
    request = _request(peer, _TEXTS[0], model=NO_SUCH_MODEL)
    return await peer.must_refuse(EMBED, request, grpc.StatusCode.NOT_FOUND)


CASES = (
    Case(
        "embeddings/answer",
        "embeddings",
        asks=f"CreateEmbeddings with {len(_TEXTS)} texts",
        wants="a vector for each, with its `index`, all of the same length, of finite numbers",
        mend="add one to `data` for each of `input`, in the same order, and set `index` even where it is 0",
        check=_answer,
    ),
    Case(
        "embeddings/order",
        "embeddings",
        asks="the same texts in the other order",
        wants="the same vectors in the other order",
        mend="keep the order of `input`, and embed each text for itself",
        check=_order,
    ),
    Case(
        "embeddings/base64",
        "embeddings",
        asks="a text with `encoding_format` `base64`",
        wants="`embedding_base64`: the same vector as 32-bit floats in little-endian order; or "
        "INVALID_ARGUMENT",
        mend="pack the numbers so; or end the call with INVALID_ARGUMENT, and leave `encoding_format` out "
        "of the row's `embedding_params`",
        check=_base64,
    ),
    Case(
        "embeddings/usage",
        "embeddings",
        asks=f"the {len(_TEXTS)} texts",
        wants="`usage` with `prompt_tokens` and `total_tokens`",
        mend="set the counts even where they are 0",
        check=_usage,
    ),
    Case(
        "embeddings/no-input",
        "embeddings",
        asks="CreateEmbeddings without an input",
        wants="INVALID_ARGUMENT",
        mend="end the call with INVALID_ARGUMENT where `input` is empty",
        check=_no_input,
    ),
    Case(
        "embeddings/unknown-model",
        "embeddings",
        asks=f"CreateEmbeddings with the model {NO_SUCH_MODEL}",
        wants="NOT_FOUND, upon which the next provider is asked",
        mend="compare `model` with the names that you know, and end the call with NOT_FOUND",
        check=_no_model,
    ),
)
