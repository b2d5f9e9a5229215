"""What a provider of our own contract is asked: the caller's request, without what is meant for us."""

from typing import Final, TypeVar

from interference.v1.images_pb2 import GenerateImagesRequest
from server import operations
from server.drivers import options
from server.drivers.base import Target
from server.drivers.remote.channels import Options
from server.operations import STEERING, Request
from server.rows import TWINS, Row

R = TypeVar("R", bound=Request)
_OURS: Final = STEERING | {"stream"}
_SIZES: Final = ("size", "width", "height")


def request(given: R, target: Target, *, stream: bool) -> R:
    """The request for the provider of a row: with the provider's name of the model, and the parameters that
    it takes.
    """
    asked = type(given)()
    asked.CopyFrom(given)  # type: ignore[arg-type]  # the same type
    ours = _OURS if stream else _OURS | {"stream_options"}  # which a whole answer has none of
    for name in ours.intersection(asked.DESCRIPTOR.fields_by_name):
        asked.ClearField(name)  # type: ignore[arg-type]
    asked.providers[:] = options.of(target.row, Options).providers
    if target.model:
        asked.model = target.model
    if isinstance(asked, GenerateImagesRequest):
        asked.response_format = "b64_json"  # an address of theirs may not be one that our callers can reach
    _fit(asked, target.row)
    return asked


def _fit(asked: Request, row: Row) -> None:
    """Leaves out what the provider does not take, or says it in another field that it takes."""
    operation = operations.of(asked)
    honoured = row.params_of(operation)
    if len(honoured) == len(operation.fields):
        return
    for name in sorted(set(operation.fields) - set(honoured)):
        if not _has(asked, name):
            continue
        twin = TWINS.get(name)
        if twin in honoured and twin is not None and not _has(asked, twin):
            setattr(asked, twin, getattr(asked, name))
        elif name in _SIZES and isinstance(asked, GenerateImagesRequest):
            _size(asked, honoured)
        asked.ClearField(name)  # type: ignore[arg-type]  # routing has seen to it that it may be


def _size(asked: GenerateImagesRequest, honoured: tuple[str, ...]) -> None:
    """Says the size in the fields that the provider has for it."""
    if "size" in honoured and asked.width and asked.height:
        asked.size = f"{asked.width}x{asked.height}"
    elif "width" in honoured and "x" in asked.size:
        width, _, height = asked.size.partition("x")
        asked.width, asked.height = int(width), int(height)


def _has(asked: Request, name: str) -> bool:
    field = asked.DESCRIPTOR.fields_by_name[name]
    return bool(getattr(asked, name)) if field.is_repeated else asked.HasField(name)  # type: ignore[arg-type]
