"""The contract itself as a dialect: a server like ours stands in between, and takes every feature on.

What the vendor behind it gets and says is the same as without; its faults arrive as those of the server.
"""

from __future__ import annotations

from dataclasses import replace

from tests.conformance.cells import Fails
from tests.conformance.openai_speaker import OpenAISpeaker
from tests.conformance.playing import suite
from tests.conformance.test_openai import TABLE as BEHIND


class GrpcSpeaker(OpenAISpeaker):
    """What stands behind the server in between."""

    name = "grpc"


# What ails the vendor is the server's to see to: to its callers it could not answer.
_FAULTS = {
    "fault: key": Fails("invalid_api_key", cause="server_error"),
    "fault: permission": Fails("insufficient_permissions", cause="server_error"),
    "fault: in a stream": Fails("server_error", cause="server_error"),
    "fault: cut off": Fails("", cause="server_error"),
}
TABLE = replace(
    BEHIND,
    speaker=GrpcSpeaker(),
    cells={**BEHIND.cells, **_FAULTS},
    between={"driver": "grpc", "models": ["m"], "probe": False},
)
scene, test_the_table_is_complete, test_features = suite(TABLE)
