"""What a model can do, in words; and what a request needs of one.

The words are those of the operations (`server.operations`), and for models that chat those of `CHAT_WORDS`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from server.operations import CHAT
from server.rows import MOST_TOKENS, Row, matches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.drivers.base import Listed
    from server.operations import Operation, Request

STREAM: Final = "stream"
VISION: Final = "vision"
# What a chat model may be asked for: the word, the request field that asks for it, and a value of it.
_ASKED_BY: Final = (
    (STREAM, "", ""),
    (VISION, "", ""),
    ("tools", "tools", "function"),
    ("json_schema", "response_format", "json_schema"),
    ("reasoning", "reasoning_effort", ""),
    ("logprobs", "logprobs", ""),
)
CHAT_WORDS: Final = tuple(word for word, _, _ in _ASKED_BY)
# The field that an error names where a model lacks what it was asked for.
FIELDS: Final = {word: field or {VISION: "messages"}.get(word, word) for word, field, _ in _ASKED_BY}
_CHARACTERS: Final = 4  # of text in a token, about


class Known(msgspec.Struct, frozen=True, gc=False):
    """What is known of a model that chats: words for what it can and what it cannot do, and its context
    length in tokens. Of a word in neither nothing is known, or the provider does not take the field.
    """

    able: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    context_length: int | None = None


def known(row: Row, name: str, told: Listed | None) -> Known:
    """What a row, and what its provider's list tells of it, say of a model by the provider's own name.

    The row goes before the list. `vision_models` of a row say of the models in its own lists whether they
    read images; of one that was discovered and matches none nothing is known.
    """
    able: set[str] = set()
    lacks: set[str] = set()
    for word, field, value in _ASKED_BY:
        if field and (field not in row.params or value in row.profile.refuses.get(field, ())):
            continue  # routing sees to the fields that a row does not take
        has = _said(row, word, name)
        if has is None:
            has = _told(told, word)
        if has is None and word != VISION:
            has = True
        if has is not None:
            (able if has else lacks).add(word)
    length = row.context_length(name)
    if length is None and told is not None and 0 < (told.context_length or 0) <= MOST_TOKENS:
        length = told.context_length
    return Known(frozenset(able), frozenset(lacks), length)


def _said(row: Row, word: str, name: str) -> bool | None:
    if word != VISION:
        return row.is_capable(word, name)
    if matches(name, row.vision_models):
        return True
    return False if row.vision_models and name in (*row.models, *row.aliases.values()) else None


def _told(told: Listed | None, word: str) -> bool | None:
    if told is None:
        return None
    if told.capabilities is not None and word in told.capabilities:
        return True
    return False if word in told.lacks else None


def words(done: Sequence[Operation], known: Known) -> list[str]:
    """All the words for a model that does these operations."""
    able = known.able if CHAT in done else ()
    return [*(operation.name for operation in done), *(word for word in CHAT_WORDS if word in able)]


class Needs:
    """What a request needs of a model that chats, found out when it is first asked for."""

    def __init__(self, request: Request, *, stream: bool) -> None:
        self._request = request
        self._stream = stream

    @cached_property
    def words(self) -> frozenset[str]:
        """What the model must be able to do."""
        request = self._request
        if not isinstance(request, CreateCompletionRequest):
            return frozenset()
        words = {STREAM} if self._stream else set()
        if request.tools or request.functions:
            words.add("tools")
        if request.response_format.HasField("json_schema"):
            words.add("json_schema")
        if request.reasoning_effort not in ("", "none"):
            words.add("reasoning")
        if request.logprobs:
            words.add("logprobs")
        if any(part.HasField("image_url") for message in request.messages for part in message.content):
            words.add(VISION)
        return frozenset(words)

    @cached_property
    def tokens(self) -> int:
        """About how many tokens of text there are to be read."""
        request = self._request
        if not isinstance(request, CreateCompletionRequest):
            return 0
        texts = (part.text for message in request.messages for part in message.content)
        return sum(map(len, texts)) // _CHARACTERS

    def fits(self, known: Known) -> bool:
        """Whether all that is needed is known to be there, the length of the context included."""
        if known.context_length is not None and self.tokens > known.context_length:
            return False
        return self.words <= known.able
