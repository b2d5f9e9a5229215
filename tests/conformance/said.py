"""What a model says, in no dialect; and what a dialect must be able to say for its drivers to be tried.

A `Speaker` is our stand-in for a vendor. The vendor's own SDK is pointed at it first: only what that reads
as it was meant counts as the dialect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Called:
    """A call of a tool."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = "call_1"


@dataclass(frozen=True)
class Said:
    """An answer. `finish` is OpenAI's word for why it ended; `pictures` are images in it, PNG."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[Called, ...] = ()
    finish: str = "stop"
    prompt_tokens: int = 11  # those read from a cache are among them
    cached_tokens: int = 0
    completion_tokens: int = 7  # those of reasoning are among them
    reasoning_tokens: int = 0
    pictures: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Spoken:
    """An HTTP answer: of a stream `blocks` are what is sent bit by bit, otherwise there is one."""

    content_type: str
    blocks: Sequence[bytes]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Speaker(Protocol):
    """Speaks one dialect.

    `name` is the driver's. `row` is what a catalog row has for it, beside `id` and `base_url`. `faults` has
    what `fault` can say: the vendor's word for an error, and its HTTP status.
    """

    @property
    def name(self) -> str: ...

    @property
    def row(self) -> Mapping[str, Any]: ...

    @property
    def faults(self) -> Mapping[str, int]: ...

    def streams(self, path: str, body: Any) -> bool:
        """Whether a request asks for a stream."""
        ...

    def whole(self, said: Said) -> Spoken:
        """Says it whole."""
        ...

    def stream(self, said: Said) -> Spoken:
        """Says it bit by bit: text and arguments in several pieces."""
        ...

    def fault(self, word: str) -> Spoken:
        """Answers with an error."""
        ...

    def breaks(self, said: Said, word: str) -> Spoken:
        """Begins to stream the text, and then tells of an error in the vendor's way."""
        ...
