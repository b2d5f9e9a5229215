"""What the soak's providers say: each piece names its provider, its request and its place, so that a mix, a
loss, a repetition or another request's text is seen."""

import re
from dataclasses import dataclass

PROVIDERS = ("Alder", "Birch", "Cedar", "Fir", "Hazel", "Linden")
CHAT_MODEL = "m"
TEXT_MODEL = "t"
# One piece may be this much longer: more than a window of HTTP/2 and most buffers on the way.
PADDING = "=" * 300_000
_PROMPT = re.compile(rb"soak (\d{1,12}) (\d{1,4})")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a caller says: the number of the request, and how many pieces the answer must have."""

    request: int
    pieces: int

    def __str__(self) -> str:
        return f"soak {self.request} {self.pieces}"


def read_prompt(body: bytes) -> Prompt:
    """The prompt in a request's body. Raises `ValueError` where there is none."""
    if (found := _PROMPT.search(body)) is None:
        raise ValueError(f"no prompt in {body[:500]!r}")
    return Prompt(int(found[1]), int(found[2]))


def pieces(provider: str, prompt: Prompt) -> list[str]:
    """The answer, piece by piece."""
    return [f"{provider}:{prompt.request}:{place};" for place in range(prompt.pieces)]


def without_padding(text: str) -> str:
    """A text as it is without the padding, of which only all at once is taken away."""
    return text.replace(PADDING, "") if "=" in text else text


def begins(text: str, provider: str, prompt: Prompt) -> bool:
    """Whether a text, without padding, is whole pieces of the provider's answer, from the first one on."""
    return (not text or text.endswith(";")) and "".join(pieces(provider, prompt)).startswith(text)
