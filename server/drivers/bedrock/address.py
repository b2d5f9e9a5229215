"""Where Bedrock's operations are. `{region}` stands in an address until it is known who asks.

https://docs.aws.amazon.com/general/latest/gr/bedrock.html
"""

import re
from typing import Final
from urllib.parse import quote

from server.drivers.base import Target
from server.drivers.bedrock import options
from server.errors import AttemptFailed

REGION: Final = "{region}"
_RUNTIME: Final = "https://bedrock-runtime.{region}.amazonaws.com"
_CONTROL: Final = "https://bedrock.{region}.amazonaws.com"
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,2047}")  # ids, profiles and ARNs


def of_model(target: Target, operation: str) -> str:
    """The address of an operation of the model. Raises `AttemptFailed` for what can be no model's id."""
    if not _MODEL.fullmatch(target.model):
        raise AttemptFailed("no_such_model", "the model is no id, inference profile or ARN of Bedrock's")
    base = (target.row.base_url or _RUNTIME).rstrip("/")
    return f"{base}/model/{quote(target.model, safe='')}/{operation}"


def of_control(target: Target, path: str) -> str:
    """The address of a list, which is not where the models are."""
    return f"{(options.of(target.row).control_url or _CONTROL).rstrip('/')}/{path}"
