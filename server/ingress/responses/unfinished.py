"""The items of a streamed response while they are written: what has come of each, and where it stands."""

from dataclasses import dataclass, field

from server.ingress.additions import Json
from server.ingress.responses import output
from server.ingress.responses.output import Called

_NAMELESS = Called("", "", "", is_custom=False)


@dataclass(slots=True)
class OpenPart:
    """A part of a message: `output_text` or `refusal`."""

    kind: str
    pieces: list[str] = field(default_factory=list)
    annotations: list[Json] = field(default_factory=list)
    logprobs: list[Json] = field(default_factory=list)

    def part(self) -> Json:
        """The part so far."""
        text = "".join(self.pieces)
        if self.kind == "refusal":
            return output.refusal_part(text)
        return output.text_part(text, self.annotations, self.logprobs)


@dataclass(slots=True)
class OpenMessage:
    """A message: its parts, the last of them open."""

    index: int
    item_id: str
    parts: list[OpenPart] = field(default_factory=list)

    def item(self, status: str) -> Json:
        """The item so far."""
        return output.message_item(self.item_id, [part.part() for part in self.parts], status)

    def place(self) -> Json:
        """Where the open part is."""
        return {"item_id": self.item_id, "output_index": self.index, "content_index": len(self.parts) - 1}


@dataclass(slots=True)
class OpenReasoning:
    """Reasoning, told as its text or as its summary."""

    index: int
    item_id: str
    summed_up: bool
    pieces: list[str] = field(default_factory=list)

    def item(self, status: str) -> Json:
        """The item so far."""
        text = "".join(self.pieces)
        return output.reasoning_item(self.item_id, text, summed_up=self.summed_up, status=status)

    def part(self) -> Json:
        """Its only part so far."""
        return {
            "type": "summary_text" if self.summed_up else "reasoning_text",
            "text": "".join(self.pieces),
        }

    def place(self) -> Json:
        """Where its part is."""
        place: Json = {"item_id": self.item_id, "output_index": self.index}
        return place | {"summary_index" if self.summed_up else "content_index": 0}

    @property
    def part_events(self) -> str:
        """What the events about its part begin with."""
        return "response.reasoning_summary_part" if self.summed_up else "response.content_part"

    @property
    def text_events(self) -> str:
        """What the events about its text begin with."""
        return "response.reasoning_summary_text" if self.summed_up else "response.reasoning_text"


@dataclass(slots=True)
class OpenCall:
    """A tool call. It is no item (`index` is -1) before its name is known."""

    upstream_id: str
    index: int = -1
    called: Called = _NAMELESS
    pieces: list[str] = field(default_factory=list)
    extra: Json = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        """Whether it is an item."""
        return self.index >= 0

    @property
    def text(self) -> str:
        """Its arguments, or a custom tool's input, so far."""
        return "".join(self.pieces)

    def item(self, status: str) -> Json:
        """The item so far."""
        return self.called.item(self.text, self.extra, status)

    def place(self) -> Json:
        """Where it is."""
        return {"item_id": self.called.item_id, "output_index": self.index}

    @property
    def text_events(self) -> str:
        """What the events about its text begin with."""
        if self.called.is_custom:
            return "response.custom_tool_call_input"
        return "response.function_call_arguments"
