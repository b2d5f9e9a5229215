"""What a caller or another provider added to a message, beyond the contract: sent as it came."""

from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from server import forms


def of(message: Message) -> dict[str, Any]:
    """The members of `extra_json`, and those of `extra`."""
    return forms.lower(message, _own(message.DESCRIPTOR))


@cache
def _own(descriptor: Descriptor) -> frozenset[str]:
    return frozenset(descriptor.fields_by_name)
