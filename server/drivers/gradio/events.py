"""What the queue of a Gradio app tells of a job, one event after the other.

The events are those of `gradio/server_messages.py`; others than the ones here say nothing that is wanted:
https://github.com/gradio-app/gradio/blob/main/gradio/server_messages.py
"""

import math
from dataclasses import dataclass
from typing import Any, Final

from server.drivers import answers
from server.drivers.base import Target
from server.drivers.gradio import failure

_MOST: Final = 1_000_000_000  # places in a queue, and seconds; a queue that says more knows nothing
_ENDS: Final = ("process_completed", "process_completed_streaming")
_GROWS: Final = ("process_generating", "process_streaming")


@dataclass(frozen=True, slots=True)
class Queued:
    """The job waits: its place, from 0, how many wait, and in how many seconds it may begin."""

    position: int | None
    size: int | None
    eta: float | None

    def told(self) -> dict[str, Any]:
        """What is known of it."""
        known = {"position": self.position, "size": self.size, "eta": self.eta}
        return {name: value for name, value in known.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Said:
    """A note for the user of the app: its level (`info`, `warning` ...) and the text."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Output:
    """The outputs of the endpoint, as they are so far or, where it is `whole`, in the end."""

    values: list[Any]
    whole: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """The job has failed."""

    error: Exception


Event = Queued | Said | Output | Failed


def read(event: bytes, target: Target) -> Event | None:
    """Reads an event; None for one that only says that the job lives.

    Raises `AttemptFailed` for what is no event.
    """
    told = answers.decode(event)
    if not isinstance(told, dict):
        raise failure.broken("sent an event that is no object")
    name = told.get("msg")
    if name == "estimation":
        return Queued(
            _whole(told.get("rank")), _whole(told.get("queue_size")), _seconds(told.get("rank_eta"))
        )
    if name == "log":
        level, text = told.get("level"), told.get("log")
        return Said(level, text) if isinstance(level, str) and isinstance(text, str) else None
    if name == "unexpected_error":
        return Failed(failure.of_job(told.get("message"), told.get("title"), target))
    if name in _ENDS or name in _GROWS:
        return _output(told, target, whole=name in _ENDS)
    return None


def _output(told: dict[str, Any], target: Target, *, whole: bool) -> Event:
    output = told.get("output")
    if told.get("success") is not True:
        members = output if isinstance(output, dict) else {"error": output}
        return Failed(
            failure.of_job(members.get("error"), members.get("title") or told.get("title"), target)
        )
    values = output.get("data") if isinstance(output, dict) else None
    if not isinstance(values, list):
        if not whole:
            raise failure.broken("sent outputs that are no list")
        return Failed(failure.broken("ended the job without its outputs"))
    return Output(values, whole)


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST else None


def _seconds(value: Any) -> float | None:
    if type(value) not in (int, float) or not 0 <= value <= _MOST or math.isnan(value):
        return None
    return round(float(value), 3)
