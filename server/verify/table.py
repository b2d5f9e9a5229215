"""The cases, in the order in which they are played. `server.verify.cases` has them."""

from typing import Final

from server.verify.case import Case
from server.verify.cases import (
    chat,
    embeddings,
    endurance,
    images,
    models,
    prompts,
    services,
    steering,
    stream,
    text,
    tools,
)

CASES: Final[tuple[Case, ...]] = (
    *services.CASES,
    *chat.CASES,
    *stream.CASES,
    *prompts.CASES,
    *steering.CASES,
    *tools.CASES,
    *endurance.CASES,
    *text.CASES,
    *embeddings.CASES,
    *images.CASES,
    *models.CASES,
)


def of(services: frozenset[str]) -> list[Case]:
    """The cases of these services, and those of none."""
    return [case for case in CASES if not case.service or case.service in services]
