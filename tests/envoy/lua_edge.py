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
EMBEDDINGS = "interference.v1.CreateEmbeddingsRequest"


class LuaEdge:
    """What the script defines, without Envoy."""

    def __init__(self, known: Contract | None = None) -> None:
        self.contract = known or contract.read(DESCRIPTOR.read_bytes())
        self.runtime: Any = lupa.luajit21.LuaRuntime(encoding=None)
        self.runtime.execute(script(EdgeSettings(), self.contract).encode())
        self._lift = self.runtime.globals()[b"lift"]
        self._shape_error = self.runtime.globals()[b"shape_error"]
        self._shape_error_as = self.runtime.globals()[b"shape_error_as"]
        self._time_limit = self.runtime.globals()[b"time_limit"]
        self._split_provider = self.runtime.globals()[b"split_provider"]

    def lift(self, body: bytes, message: str = CHAT) -> tuple[bytes | None, Any]:
        """The new body and whether it streams, or None and what is wrong."""
        text, rest, *_ = self._lift(body, message.encode())
        return text, rest

    def shape_error(self, body: bytes, status: int) -> bytes:
        return bytes(self._shape_error(body, status))

    def shape_error_as(self, shape: str, body: bytes, status: int) -> bytes:
        return bytes(self._shape_error_as(shape.encode(), body, status))

    def time_limit(self, grpc_timeout: bytes | None, request_timeout: bytes | None) -> tuple[Any, Any]:
        """The one header that stands for both, and what is wrong; either may be None."""
        found = self._time_limit(grpc_timeout, request_timeout)
        return found[:2] if isinstance(found, tuple) else (found, None)

    def split_provider(self, path: str) -> tuple[str, str]:
        """The path without the provider, and the provider; empty where there is none."""
        found = self._split_provider(path.encode())
        rest, provider = found if isinstance(found, tuple) else (found, b"")
        return rest.decode(), provider.decode()

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
