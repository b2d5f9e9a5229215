"""What of a chat request a provider is asked for whose row drops what it does not list."""

from interference.v1.chat_pb2 import CreateCompletionRequest
from server.operations import CHAT
from server.rows import Row, honoured


def of(request: CreateCompletionRequest, row: Row) -> CreateCompletionRequest:
    """The request without what the row says is to be dropped. What was asked for stays as it is."""
    if row.unsupported != "drop":
        return request
    kept = honoured(row.params_of(CHAT), CHAT.ours)
    given = [field.name for field, _ in request.ListFields() if field.name in CHAT.wanted]
    if not (dropped := [name for name in given if name not in kept]):
        return request
    rest = CreateCompletionRequest()
    rest.CopyFrom(request)
    for name in dropped:
        rest.ClearField(name)  # type: ignore[arg-type]
    return rest
