"""That faults are drawn at their share, the same for the same draw, and that the good answer is whole."""

from itertools import pairwise
from random import Random

import pytest

from tests.soak import answers, says
from tests.soak.answers import Asked

PROMPT = says.Prompt(12, 5)
KINDS = [
    pytest.param(Asked("Alder", PROMPT, stream, text), id=f"{'text' if text else 'chat'}, {stream=}")
    for stream in (False, True)
    for text in (False, True)
]


def _random() -> Random:
    return Random("seed")  # noqa: S311


@pytest.mark.parametrize("asked", KINDS)
def test_a_good_answer_has_each_piece_once(asked: Asked) -> None:
    sent = b"".join(answers.good(asked).blocks).decode()
    assert [sent.count(piece) for piece in says.pieces("Alder", PROMPT)] == [1] * PROMPT.pieces


@pytest.mark.parametrize("asked", KINDS)
def test_stages_add_to_one_another(asked: Asked) -> None:
    sent = [
        b"".join(answers._stages(asked, says.pieces("Alder", PROMPT))[stage]) for stage in answers.STAGES
    ]
    assert all(len(later) > len(earlier) for earlier, later in pairwise(sent))
    assert all(later.startswith(earlier) for earlier, later in pairwise(sent))


@pytest.mark.parametrize("asked", KINDS)
@pytest.mark.parametrize("name", answers.FAULTS)
def test_every_fault_can_be_made(name: str, asked: Asked) -> None:
    _, make = answers.FAULTS[name]
    assert make(asked, _random()) == make(asked, _random())
    # A whole answer has no [DONE].
    assert make(asked, _random()) != answers.good(asked) or ("[DONE]" in name and not asked.stream)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_faults_are_drawn_at_their_share(share: float) -> None:
    asked = Asked("Alder", PROMPT, stream=True, text=False)
    random = _random()
    faults = sum(answers.draw(asked, random, share)[0] != answers.GOOD for _ in range(2000))
    assert faults / 2000 == pytest.approx(share, abs=0.05)


def test_a_prompt_is_read_from_what_a_provider_is_sent() -> None:
    assert says.read_prompt(f'{{"prompt": "{PROMPT}"}}'.encode()) == PROMPT
