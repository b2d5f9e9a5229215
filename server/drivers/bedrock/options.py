"""What a row says for this driver alone: where in AWS it is, who asks, and how models are told to think."""

from typing import Annotated, Literal

import msgspec

from server.drivers import options
from server.rows import Row

# How a model is told how hard to think: see `server.drivers.bedrock.thinking`.
Style = Literal["adaptive", "budget", "nova", "openai", "effort"]
Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{0,64}$")]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`region` is an AWS region; none means that of the environment or of the profile. `profile` is one of
    AWS's shared files, `service` what requests are signed for. `control_url` is where the list of models
    is, where that is not AWS's own address. `thinking` has the style of models, by names and globs, before
    those that are known.
    """

    region: Word = ""
    service: Word = "bedrock"
    profile: str = ""
    control_url: str = ""
    thinking: dict[str, Style] = {}


def of(row: Row) -> Options:
    """The options of a row."""
    return options.of(row, Options)
