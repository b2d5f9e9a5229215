"""Texts that have arrived together leave as one chunk: the same text, fewer messages.

Nothing is waited for, so that no text is later than it would have been, and nothing but plain text of one
choice is joined: a role, a finish reason, a tool call, logprobs or usage keeps its place and its chunk.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Annotated, Any, Literal

import msgspec

_PADDING = "obfuscation"  # OpenAI's, against traffic analysis; each chunk has its own


class _Delta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    role: str | None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None


class _Choice(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    delta: _Delta
    index: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)] = 0
    finish_reason: None = None
    logprobs: None = None


class TextEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event of plain text, as most are: read and told in a third of the time that others take.

    What is of another type, or not among these, is no such event.
    """

    choices: tuple[_Choice]
    id: str | None = None
    object: Literal["chat.completion.chunk"] | None = None
    created: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    usage: None = None
    obfuscation: str | None = None


_text_event = msgspec.json.Decoder(TextEvent).decode


class Piece(msgspec.Struct, frozen=True, gc=False):
    """What an event says: a text, its padding and all the rest, or a chunk that is no plain text."""

    text: str | None
    padding: Any
    rest: TextEvent | dict[str, Any]


def plain(event: bytes, begun: Collection[int]) -> Piece | None:
    """Reads an event of plain text; None for any other. A role that a choice that has begun says again says
    nothing.
    """
    try:
        read = _text_event(event)
    except msgspec.MsgspecError:
        return None
    choice = read.choices[0]
    delta = choice.delta
    if delta.role is not None:
        if choice.index not in begun:
            return None
        delta.role = None
    text = delta.content
    if text is not None:
        if delta.reasoning is not None or delta.reasoning_content is not None:
            return None
        delta.content = ""
    elif (text := delta.reasoning) is not None:
        if delta.reasoning_content is not None:
            return None
        delta.reasoning = ""
    elif (text := delta.reasoning_content) is not None:
        delta.reasoning_content, delta.reasoning = None, ""
    else:
        return None
    padding = read.obfuscation
    read.obfuscation = None
    return Piece(text, padding, read)


def apart(chunk: dict[str, Any]) -> Piece:
    """The text of a chunk apart from the rest."""
    delta = _delta_of(chunk)
    if delta is None:
        return Piece(None, None, chunk)
    text, delta["content"] = delta["content"], ""
    return Piece(text, chunk.pop(_PADDING, None), chunk)


def together(piece: Piece, chunk: dict[str, Any]) -> dict[str, Any]:
    """The chunk that is the rest of a piece, whole again."""
    if piece.text is not None:
        chunk["choices"][0]["delta"]["content"] = piece.text
    if piece.padding is not None:
        chunk[_PADDING] = piece.padding
    return chunk


def joined(pieces: Iterable[Piece | None]) -> Iterator[Piece]:
    """Joins the texts of neighbours that are alike in all else, until there is none.

    An error of `pieces` comes after what was before.
    """
    held: Piece | None = None
    texts: list[str] = []
    try:
        for piece in pieces:
            if piece is None:
                break
            text = piece.text
            if held is not None and text is not None and piece.rest == held.rest:
                texts.append(text)
                continue
            if held is not None:
                yield _joined(held, texts)
            if text is None:
                held = None
                yield piece
            else:
                held, texts = piece, [text]
    except Exception:
        if held is not None:
            yield _joined(held, texts)
        raise
    if held is not None:
        yield _joined(held, texts)


def _joined(first: Piece, texts: list[str]) -> Piece:
    return first if len(texts) == 1 else Piece("".join(texts), first.padding, first.rest)


def _delta_of(chunk: dict[str, Any]) -> dict[str, Any] | None:
    """The delta of the only choice of a chunk, where that holds text and nothing else."""
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return None
    choice: dict[str, Any] = choices[0]
    delta = choice.get("delta")
    if not isinstance(delta, dict) or len(delta) != 1 or not isinstance(delta.get("content"), str):
        return None
    if any(value is not None for key, value in choice.items() if key not in ("index", "delta")):
        return None
    return delta
