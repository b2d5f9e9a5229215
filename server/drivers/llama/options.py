"""What a row of the llama driver says: where the models are, and what they may take of the machine."""

from typing import Annotated

import msgspec


class LlamaOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a row.

    `folder` has the models, in files or in folders of two levels; `folder_env` is the environment variable
    that names it, which goes before. Each worker holds `loaded` models at a time, computes with `threads`
    (0: all cores but one), puts `gpu_layers` of a model on a graphics card where the library was built for
    one (-1: as many as it likes), and gives each model a context of at most `context` tokens.
    """

    folder: str = ""
    folder_env: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")] = ""
    loaded: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    threads: Annotated[int, msgspec.Meta(ge=0, le=512)] = 0
    gpu_layers: Annotated[int, msgspec.Meta(ge=-1, le=1000)] = -1
    context: Annotated[int, msgspec.Meta(ge=64, le=4_194_304)] = 8192
