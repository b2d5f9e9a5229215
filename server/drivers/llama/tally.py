"""Counts what an answer costs."""

from interference.v1.usage_pb2 import PromptTokensDetails, Usage
from server.drivers.llama.engine import Begun, Ended, Progress, Wrote


class Tally:
    """The tokens of an answer, all its choices together."""

    def __init__(self) -> None:
        self._prompt = 0
        self._cached = 0
        self._written = 0
        self._writing = 0  # of the choice that is being written
        self._again = False  # whether the prompt has been counted

    def prompt(self, *, again: bool) -> None:
        """A prompt will be read next: one that was counted before, for another choice, or a new one."""
        self._again = again

    def see(self, progress: Progress) -> None:
        """Takes what happened next."""
        if isinstance(progress, Begun):
            self._written += self._writing  # of a choice that was cut short
            self._writing = 0
            if not self._again:
                self._prompt += progress.prompt
                self._cached += progress.cached
        elif isinstance(progress, Wrote):
            self._writing += 1
        elif isinstance(progress, Ended):
            self._written += progress.tokens
            self._writing = 0

    @property
    def usage(self) -> Usage:
        """The cost as it is told."""
        written = self._written + self._writing
        return Usage(
            prompt_tokens=self._prompt,
            completion_tokens=written,
            total_tokens=self._prompt + written,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=self._cached),
        )
