"""One module or package a wire dialect. A catalog row names its driver by a name of `KINDS`."""

from typing import Final

from server.drivers import canvas, echo, openai
from server.drivers.base import Driver
from server.kinds import Kind
from server.transport import Transport

KINDS: Final[dict[str, Kind]] = {
    "openai": openai.KIND,
    "echo": echo.KIND,
    "canvas": canvas.KIND,
}


def build(transport: Transport) -> dict[str, Driver]:
    """All drivers by name."""
    return {name: kind.make(transport) for name, kind in KINDS.items()}
