"""What a row says of its Spaces: where each is, which endpoint is called, what goes in and comes out."""

import re
from typing import Annotated, Any, Final, Literal

import msgspec

from interference.v1.completion_pb2 import Choice
from interference.v1.images_pb2 import Image

_ADDRESS: Final = re.compile(r"https?://[^/@?#\s]+(/[^?#\s]*)?")
_ENDPOINT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_SPACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_.-]{1,96}")
_MOST_LABEL: Final = 63  # characters of a part of a host's name
# The inputs that may take another form than the usual one.
_FORMS: Final = {"pairs": "history", "multimodal": "message"}
# What `extra` cannot be called, because the contract has it.
_TAKEN: Final = frozenset((*Image.DESCRIPTOR.fields_by_name, *Choice.DESCRIPTOR.fields_by_name))

Place = Annotated[int, msgspec.Meta(ge=0, le=999)]


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input of an endpoint: a field of the request, whether a field is absent, or a constant.

    `value` beside `field` is what goes in where the request does not give the field.
    """

    field: str = ""
    absent: str = ""
    value: Any = msgspec.UNSET
    form: Literal["", "pairs", "multimodal"] = ""

    def __post_init__(self) -> None:
        has_value = self.value is not msgspec.UNSET
        if (self.absent and (self.field or has_value)) or not (self.absent or self.field or has_value):
            raise ValueError("an input is a field (and a value), absent, or a value")
        if self.form and self.field != _FORMS[self.form]:
            raise ValueError(f"the form {self.form} is one of {_FORMS[self.form]} alone")


class Space(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model: an endpoint of a Space. What the fields mean stands in `catalog/providers.yaml`."""

    endpoint: str
    inputs: tuple[str | Input, ...]
    space: str = ""
    address: str = ""
    output: Place = 0
    extra: dict[str, Place] = {}
    appends: bool = True

    def __post_init__(self) -> None:
        if not _ENDPOINT.fullmatch(self.endpoint):
            raise ValueError(f"endpoint cannot be {self.endpoint or 'empty'}")
        if self.address and not _ADDRESS.fullmatch(self.address):
            raise ValueError("address must be http(s)://host/path, without a user, a query or a fragment")
        if self.space and not host(self.space):
            raise ValueError(f"{self.space} is no owner/name that a host follows from: give its address")
        if taken := sorted(_TAKEN.intersection(self.extra)):
            raise ValueError(f"extra cannot have {', '.join(taken)}, which the contract has")

    def mapped(self) -> tuple[Input, ...]:
        """The inputs, those that are no more than the name of a field, too."""
        return tuple(Input(field=one) if isinstance(one, str) else one for one in self.inputs)


class GradioOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a row: each model, by the provider's own name."""

    models: dict[str, Space] = {}


def host(space: str) -> str:
    """The host of the Space `owner/name`; empty where none follows from it.

    https://huggingface.co/docs/hub/spaces-embed#direct-url
    """
    if not _SPACE.fullmatch(space):
        return ""
    label = re.sub(r"[^a-z0-9]+", "-", space.lower()).strip("-")
    return f"{label}.hf.space" if len(label) <= _MOST_LABEL else ""
