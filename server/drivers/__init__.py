"""One module a wire dialect. A catalog row names its driver by a name of `NAMES`; `build` makes them."""

from server.drivers.base import Driver
from server.drivers.canvas import CanvasDriver
from server.drivers.echo import EchoDriver
from server.drivers.http import HttpDriver
from server.drivers.openai import OpenAIDialect
from server.transport import Transport

NAMES = ("openai", "echo", "canvas")


def build(transport: Transport) -> dict[str, Driver]:
    """All drivers by name."""
    return {
        "openai": HttpDriver(OpenAIDialect(), transport),
        "echo": EchoDriver(),
        "canvas": CanvasDriver(),
    }
