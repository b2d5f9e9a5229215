"""Texts that have arrived together leave as one chunk: the same text, fewer messages.

Nothing is waited for, so that no text is later than it would have been, and nothing but plain text of one
choice is joined: a role, a finish reason, a tool call, logprobs or usage keeps its place and its chunk.
"""

from collections.abc import Iterable, Iterator
from typing import Any

_PADDING = "obfuscation"  # OpenAI's, against traffic analysis; each chunk has its own


def joined(chunks: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Joins neighbours among chunks of OpenAI's JSON. An error of `chunks` comes after what was before."""
    held: dict[str, Any] | None = None
    try:
        for chunk in chunks:
            if held is not None and _follows(held, chunk):
                held["choices"][0]["delta"]["content"] += chunk["choices"][0]["delta"]["content"]
                continue
            if held is not None:
                yield held
            held = chunk
    except Exception:
        if held is not None:
            yield held
        raise
    if held is not None:
        yield held


def _follows(held: dict[str, Any], chunk: dict[str, Any]) -> bool:
    """Whether two chunks are texts of one choice and alike in all else."""
    first, second = _text_of(held), _text_of(chunk)
    if first is None or second is None or first.get("index") != second.get("index"):
        return False
    return _envelope(held) == _envelope(chunk)


def _text_of(chunk: dict[str, Any]) -> dict[str, Any] | None:
    """The only choice of a chunk, where it holds text and nothing else."""
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return None
    choice: dict[str, Any] = choices[0]
    delta = choice.get("delta")
    if not isinstance(delta, dict) or len(delta) != 1 or not isinstance(delta.get("content"), str):
        return None
    if any(value is not None for key, value in choice.items() if key not in ("index", "delta")):
        return None
    return choice


def _envelope(chunk: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in chunk.items() if key not in ("choices", _PADDING)}
