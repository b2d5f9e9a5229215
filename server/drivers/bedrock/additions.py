"""What a caller added to a message, beyond the contract, and what an answer of this driver's had there."""

from typing import Any

import msgspec
from google.protobuf.message import Message

from server import forms


def of(message: Message, *ours: str) -> dict[str, Any]:
    """The members of `extra_json`, and of `extra` those that are ours.

    Others in `extra` are of another provider's answer, given back; Bedrock refuses what it does not know.
    """
    given: Any = message
    extra = forms.plain(given.extra) if ours and message.HasField("extra") else {}
    own = {name: extra[name] for name in ours if name in extra}
    if not given.extra_json:
        return own
    return own | msgspec.json.decode(given.extra_json, type=dict[str, msgspec.Raw])
