"""Reads what a model writes: where it ends, what of it is thought, and which tools it calls."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from server import forms

_THINK, _THOUGHT = "<think>", "</think>"
_CALL, _CALLED = "<tool_call>", "</tool_call>"
# What is written as a token of its own in some vocabularies, and must be seen all the same.
MARKS: Final = (_THINK, _THOUGHT, _CALL, _CALLED)


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class Thought:
    """A piece of what came before the answer."""

    text: str


@dataclass(frozen=True)
class Call:
    """A call of a tool; the arguments are JSON text, as the model wrote them."""

    name: str
    arguments: str


Piece = Text | Thought | Call


class Stops:
    """Ends a text before the first of some texts in it."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.hit = False

    def feed(self, text: str) -> str:
        """Takes the next piece; gives what is sure to stand before all of them."""
        held = self._held + text
        found = [at for stop in self._stops if (at := held.find(stop)) >= 0]
        if found:
            self.hit, self._held = True, ""
            return held[: min(found)]
        kept = max((_overlap(held, stop) for stop in self._stops), default=0)
        self._held = held[len(held) - kept :]
        return held[: len(held) - kept]

    def end(self) -> str:
        """What was held back: nothing follows that would have made it a stop."""
        held, self._held = self._held, ""
        return held


class Splitter:
    """Tells thoughts, text and calls of tools apart.

    Thoughts stand between `<think>` and `</think>` at the beginning; where the prompt has opened them
    already, `thinking` is true. Calls are looked for where there are `tools`, in the form that Hermes gave
    to many (https://github.com/NousResearch/Hermes-Function-Calling): an object within `<tool_call>`. What
    is no such object stays text. White space around the marks belongs to them.
    """

    def __init__(self, *, thinking: bool = False, tools: bool = False) -> None:
        self._read: Callable[[], Iterator[Piece]] = self._thought if thinking else self._beginning
        self._tools = tools
        self._held = ""
        self._trim = thinking  # whether white space that comes next belongs to a mark

    def feed(self, text: str) -> list[Piece]:
        """Takes the next piece of text."""
        self._held += text
        found: list[Piece] = []
        going = True
        while going:
            if self._trim:
                self._held = self._held.lstrip()
                self._trim = not self._held
            before = self._read
            found += self._read()
            going = self._read != before
        return found

    def end(self) -> list[Piece]:
        """Takes the end of the text."""
        held, self._held = self._held, ""
        if self._read == self._call:
            return [_call(held) or Text(f"{_CALL}{held}")]
        if not held:
            return []
        return [Thought(held) if self._read == self._thought else Text(held)]

    def _beginning(self) -> Iterator[Piece]:
        begun = self._held.lstrip()
        if begun.startswith(_THINK):
            self._next(self._thought, begun[len(_THINK) :])
        elif not _THINK.startswith(begun):
            self._read = self._text
        yield from ()

    def _thought(self) -> Iterator[Piece]:
        before, mark = self._until(_THOUGHT)
        if before:
            yield Thought(before)
        if mark:
            self._next(self._text, self._held)

    def _text(self) -> Iterator[Piece]:
        if not self._tools:
            before, mark = self._held, False
            self._held = ""
        else:
            before, mark = self._until(_CALL)
        if before:
            yield Text(before)
        if mark:
            self._read = self._call

    def _call(self) -> Iterator[Piece]:
        at = self._held.find(_CALLED)
        if at < 0:
            return
        body, rest = self._held[:at], self._held[at + len(_CALLED) :]
        if (call := _call(body)) is not None:
            yield call
            self._next(self._text, rest)
        else:
            yield Text(f"{_CALL}{body}{_CALLED}")
            self._held, self._read = rest, self._text

    def _until(self, mark: str) -> tuple[str, bool]:
        """What stands before a mark, and whether that has come; what may yet be one is held back."""
        before, found, after = self._held.partition(mark)
        if found:
            self._held = after
            return before.rstrip(), True
        kept = _overlap(self._held, mark)
        sure = self._held[: len(self._held) - kept]
        sure = sure.rstrip()
        self._held = self._held[len(sure) :]
        return sure, False

    def _next(self, read: Callable[[], Iterator[Piece]], held: str) -> None:
        self._read, self._held, self._trim = read, held, True


class _Written(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


def _call(body: str) -> Call | None:
    """The call that a text is; None where it is none."""
    try:
        written = msgspec.json.decode(body.encode(), type=_Written)
        arguments = msgspec.json.decode(written.arguments)
    except forms.JSON_FAULTS:
        return None
    if isinstance(arguments, str):  # JSON within JSON
        return Call(written.name, arguments) if written.name else None
    return Call(written.name, bytes(written.arguments).decode()) if written.name else None


def _overlap(text: str, mark: str) -> int:
    """How much of the end of a text is the beginning of a mark."""
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:n])), 0)
