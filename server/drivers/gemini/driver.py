"""Requests that are more than Gemini takes at once, asked in pieces: several images, many embeddings."""

import asyncio
from collections.abc import Sequence
from typing import cast

from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from server.drivers.base import Target
from server.drivers.gemini import together
from server.drivers.http import HttpDriver
from server.operations import Answer, Request

_INPUTS = 100  # of a batch, at most: https://ai.google.dev/api/embeddings#method:-models.batchembedcontents
_AT_ONCE = 4  # calls for one request


class GeminiDriver(HttpDriver):
    """Answers with what Gemini answers. Where one of several calls fails, the answer does."""

    async def answer(self, request: Request, target: Target) -> Answer:
        """Answers whole."""
        if isinstance(request, GenerateImagesRequest) and request.n > 1:
            images = await self._all(_one_by_one(request), target)
            return together.album(cast("list[GenerateImagesResponse]", images))
        if isinstance(request, CreateEmbeddingsRequest) and len(request.input) > _INPUTS:
            batches = await self._all(_in_batches(request), target)
            return together.vectors(cast("list[CreateEmbeddingsResponse]", batches))
        return await super().answer(request, target)

    async def _all(self, requests: Sequence[Request], target: Target) -> list[Answer]:
        turn = asyncio.Semaphore(_AT_ONCE)
        ask = super().answer

        async def one(request: Request) -> Answer:
            async with turn:
                return await ask(request, target)

        running = [asyncio.ensure_future(one(request)) for request in requests]
        try:
            return list(await asyncio.gather(*running))
        finally:  # of those that still run when one has failed, or the caller has gone
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _one_by_one(request: GenerateImagesRequest) -> list[GenerateImagesRequest]:
    """A request for each image; with a seed each has its own, or all were the same."""
    single = GenerateImagesRequest()
    single.CopyFrom(request)
    single.ClearField("n")
    made = []
    for place in range(request.n):
        one = GenerateImagesRequest()
        one.CopyFrom(single)
        if request.HasField("seed"):
            one.seed = min(request.seed + place, 2**63 - 1)
        made.append(one)
    return made


def _in_batches(request: CreateEmbeddingsRequest) -> list[CreateEmbeddingsRequest]:
    bare = CreateEmbeddingsRequest()
    bare.CopyFrom(request)
    bare.ClearField("input")
    made = []
    for start in range(0, len(request.input), _INPUTS):
        batch = CreateEmbeddingsRequest()
        batch.CopyFrom(bare)
        batch.input.extend(request.input[start : start + _INPUTS])
        made.append(batch)
    return made
