"""Requests that Gemini takes in pieces only, sent to a server."""

import json
from typing import Any

import pytest

from server import forms
from server.drivers import KINDS
from server.drivers.gemini.driver import GeminiDriver
from server.errors import AttemptFailed
from server.transport import connect
from tests.conformance.features import PNG, PNG_BASE64
from tests.conformance.gemini_speaker import GeminiSpeaker, candidate
from tests.conformance.said import Said, Spoken
from tests.conformance.stage import Seen, Stage, staged
from tests.server.drivers.gemini.dialect import target
from tests.server.drivers.gemini.test_media import draw, embed


async def ask(stage: Stage, request: Any) -> Any:
    async with connect(1_000_000) as transport:
        driver = KINDS["gemini"].make(transport)
        assert isinstance(driver, GeminiDriver)
        return await driver.answer(request, target(base_url=stage.url))


def embedded(seen: Seen) -> Spoken:
    """A vector for each input, which is its number; each input costs a token."""
    texts = [request["content"]["parts"][0]["text"] for request in seen.body["requests"]]
    return spoken(
        {
            "embeddings": [{"values": [float(text)]} for text in texts],
            "usageMetadata": {"promptTokenCount": len(texts)},
        }
    )


async def test_images_are_asked_for_one_by_one() -> None:
    with staged(GeminiSpeaker()) as stage:
        stage.says(Said(pictures=(PNG,)))
        made = await ask(stage, draw(n=3, seed=5))
        assert [image.b64_json for image in made.data] == [PNG_BASE64] * 3
        assert (made.usage.input_tokens, made.usage.total_tokens) == (33, 54)
        configs = [seen.body["generationConfig"] for seen in stage.seen]
        assert sorted(config["seed"] for config in configs) == [5, 6, 7]


async def test_where_one_image_fails_the_answer_does() -> None:
    with staged(GeminiSpeaker()) as stage:
        stage.fails("RESOURCE_EXHAUSTED")
        with pytest.raises(AttemptFailed) as caught:
            await ask(stage, draw(n=10))
        assert (caught.value.cause, caught.value.retry_after) == ("rate_limited", 7)


def spoken(told: Any) -> Spoken:
    return Spoken("application/json", [json.dumps(told).encode()])


def drawn(kind: str, text: str, used: int, **more: Any) -> Spoken:
    """A picture with a text beside it."""
    parts = [{"text": text}] if text else []
    blob = {"inlineData": {"mimeType": f"image/{kind}", "data": PNG_BASE64}}
    counts = {
        "promptTokenCount": used,
        "thoughtsTokenCount": 1,
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": used}],
        "trafficType": "ON_DEMAND",
    }
    return spoken({"candidates": [candidate([*parts, blob], "STOP")], "usageMetadata": counts, **more})


async def drawing(*answers: Spoken) -> Any:
    """What is made of these pictures, in this order: the seed of a request tells which it is."""

    def answer(seen: Seen) -> Spoken:
        place: int = seen.body["generationConfig"]["seed"]
        return answers[place]

    with staged(GeminiSpeaker(), refuses=answer) as stage:
        stage.says(Said())
        return await ask(stage, draw(n=len(answers), seed=0))


async def test_what_stands_beside_each_image_is_kept() -> None:
    made = await drawing(
        drawn("png", "One.", 5, createTime="now", more=[1]),
        drawn("png", "", 6, createTime="now"),
        drawn("png", "Three.", 7, createTime="then", choices=5, more=[2]),
    )
    extra = forms.plain(made.extra)
    texts = [(choice["index"], choice["message"]["content"]) for choice in extra.pop("choices")]
    assert texts == [(0, "One."), (2, "Three.")]
    assert extra == {"createTime": ["now", "now", "then"], "more": [1, 2]}
    usage = made.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (18, 3, 21)
    assert forms.plain(usage.extra) == {
        "completion_tokens_details": {"reasoning_tokens": 3},
        "extra": {
            "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": used} for used in (5, 6, 7)],
            "trafficType": "ON_DEMAND",
        },
    }


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        (("png", "png"), "png"),
        (("jpeg", "jpeg"), "jpeg"),
        (("png", "jpeg"), ""),
        (("png", "jpeg", "png"), ""),
        (("png", "jpeg", "jpeg"), ""),
    ],
)
async def test_the_format_is_told_where_it_is_that_of_all_images(kinds: tuple[str, ...], told: str) -> None:
    made = await drawing(*(drawn(kind, "", 1) for kind in kinds))
    assert (len(made.data), made.output_format) == (len(kinds), told)


async def test_what_several_images_cost_is_at_most_what_a_number_holds() -> None:
    made = await drawing(*(drawn("png", "", 2**31 - 1) for _ in range(2)))
    assert (made.usage.input_tokens, made.usage.output_tokens) == (2**31 - 1, 2)


async def test_what_several_batches_cost_is_at_most_what_a_number_holds() -> None:
    def answer(seen: Seen) -> Spoken:
        vectors = [{"values": [1]} for _ in seen.body["requests"]]
        counts = {"promptTokenCount": 2**31 - 1, "huge": 1e308}
        return spoken({"embeddings": vectors, "usageMetadata": counts, "more": len(vectors)})

    with staged(GeminiSpeaker(), refuses=answer) as stage:
        stage.says(Said())
        made = await ask(stage, embed(*map(str, range(150))))
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (2**31 - 1, 2**31 - 1)
    assert forms.plain(made.extra) == {"more": [100, 50]}
    assert forms.plain(made.usage.extra) == {"huge": [1e308, 1e308]}


@pytest.mark.parametrize(("inputs", "batches"), [(1, [1]), (100, [100]), (250, [50, 100, 100])])
async def test_inputs_are_embedded_in_batches(inputs: int, batches: list[int]) -> None:
    with staged(GeminiSpeaker(), refuses=embedded) as stage:
        stage.says(Said())
        made = await ask(stage, embed(*map(str, range(inputs))))
        assert [item.embedding[0] for item in made.data] == list(range(inputs))
        assert [item.index for item in made.data] == list(range(inputs))
        assert made.usage.prompt_tokens == inputs
        assert sorted(len(seen.body["requests"]) for seen in stage.seen) == batches
