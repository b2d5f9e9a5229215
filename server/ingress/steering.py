"""How a request is routed, which every dialect says in the contract's own members."""

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.routing_pb2 import Hedge, TimeLimits
from server.ingress.wire import Members, fault


def steer(asked: Members, request: CreateCompletionRequest) -> None:
    """Takes `provider`, `timeout`, `time_limits` and `hedge`. Raises `InvalidRequest`."""
    request.providers.extend(asked.providers())
    if (timeout := asked.number("timeout")) is not None:
        request.timeout = timeout
    for name, message in (("time_limits", request.time_limits), ("hedge", request.hedge)):
        if (given := asked.object(name)) is not None:
            _take(given, message)


def _take(given: Members, message: TimeLimits | Hedge) -> None:
    message.SetInParent()
    for field in message.DESCRIPTOR.fields:
        if field.name != "extra_json" and (value := given.number(field.name)) is not None:
            setattr(message, field.name, value)
    if given.left():
        raise fault(given.where(next(iter(given.left()))), "is not known")
