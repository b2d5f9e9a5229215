"""Texts as they are: their tokens, and what is written after them as the messages of the contract."""

from collections.abc import Iterator

from interference.v1.completions_pb2 import TextChoice
from interference.v1.input_pb2 import TextInput
from server.drivers.base import Target
from server.drivers.llama import wishes
from server.drivers.llama.engine import Ended, LlamaEngine, Progress, Wrote


class TextReader:
    """Reads what is written of one continuation, and gives its pieces."""

    def __init__(self, index: int, echoed: str) -> None:
        self._index = index
        self._echoed = echoed
        self.done = False

    def feed(self, progress: Progress) -> Iterator[TextChoice]:
        """Takes what happened next."""
        if self._echoed:
            yield TextChoice(index=self._index, text=self._echoed)
            self._echoed = ""
        if isinstance(progress, Wrote) and progress.text:
            yield TextChoice(index=self._index, text=progress.text)
        elif isinstance(progress, Ended):
            self.done = True
            yield TextChoice(index=self._index, text="", finish_reason=progress.reason)


def tokens(engine: LlamaEngine, text: TextInput, target: Target, param: str) -> list[int]:
    """The tokens of an input. Raises `RequestRefused`, which names `param`, for what are none."""
    found = list(text.tokens) if text.tokens else engine.tokens(text.text)
    if not all(0 <= token < engine.size for token in found):
        raise wishes.refused(target, param, f"tokens are numbers from 0 to {engine.size - 1}")
    if not found:
        raise wishes.refused(target, param, "must not be empty")
    return found
