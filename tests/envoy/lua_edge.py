"""The edge's Lua in a real LuaJIT, bytes in and bytes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lupa.luajit21

from interference_edge import EdgeSettings, contract
from interference_edge.config import script
from tests.envoy.real_envoy import DESCRIPTOR

if TYPE_CHECKING:
    from interference_edge.contract import Contract

CHAT = "interference.v1.CreateCompletionRequest"


class LuaEdge:
    """What the script defines, without Envoy."""

    def __init__(self, known: Contract | None = None) -> None:
        self.contract = known or contract.read(DESCRIPTOR.read_bytes())
        self.runtime: Any = lupa.luajit21.LuaRuntime(encoding=None)
        self.runtime.execute(script(EdgeSettings(), self.contract).encode())
        self._lift = self.runtime.globals()[b"lift"]
        self._shape_error = self.runtime.globals()[b"shape_error"]
        self._shape_events = self.runtime.globals()[b"shape_events"]

    def lift(self, body: bytes, message: str = CHAT) -> tuple[bytes | None, Any]:
        """The new body and whether it streams, or None and what is wrong."""
        text, rest, *_ = self._lift(body, message.encode())
        return text, rest

    def shape_error(self, body: bytes, status: int) -> bytes:
        return bytes(self._shape_error(body, status))

    def shape_events(self, text: bytes) -> bytes:
        return bytes(self._shape_events(text))

    def instructions(self, body: bytes) -> int:
        """About how many instructions of Lua's machine a lift takes, in hundreds."""
        count = self.runtime.eval(
            b"""function(body, message)
              jit.off()
              jit.flush()
              local hundreds = 0
              debug.sethook(function() hundreds = hundreds + 1 end, "", 100)
              lift(body, message)
              debug.sethook()
              jit.on()
              return hundreds
            end"""
        )
        return int(count(body, CHAT.encode()))
