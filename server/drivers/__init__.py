"""One module or package a wire dialect. A catalog row names its driver by a name of `KINDS`."""

from typing import Final

from server.drivers import anthropic, bedrock, canvas, echo, gemini, gradio, llama, openai, remote
from server.drivers.base import Driver
from server.kinds import Kind
from server.transport import Transport

KINDS: Final[dict[str, Kind]] = {
    "openai": openai.KIND,
    "anthropic": anthropic.KIND,
    "bedrock": bedrock.KIND,
    "gemini": gemini.KIND,
    "gradio": gradio.KIND,
    "echo": echo.KIND,
    "canvas": canvas.KIND,
    "grpc": remote.KIND,
    "llama": llama.KIND,
}


def build(transport: Transport) -> dict[str, Driver]:
    """All drivers by name."""
    return {name: kind.make(transport) for name, kind in KINDS.items()}
