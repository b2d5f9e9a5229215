"""What a row says for this driver alone: the version of the API, and what its models differ in."""

from fnmatch import fnmatchcase

import msgspec

from server.drivers import options
from server.drivers.base import Target
from server.rows import Count, Name


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a row, by name. Models are named by globs.

    `version` is the version of the API, `betas` are the features to try out. `max_tokens` is how many
    tokens are written at most where a caller does not say, as Anthropic must be told. `budget_models` think
    within a budget where others decide on their own how much to think. `between_tools_models` are told not
    to think by that word. `system_models` heed instructions in the middle of a conversation. `web_search`
    is the tool that searches.
    """

    version: Name = "2026-10-21"  # https://platform.claude.com/docs/en/api/versioning
    betas: tuple[Name, ...] = ()
    max_tokens: Count = 32_000
    budget_models: tuple[Name, ...] = ()
    between_tools_models: tuple[Name, ...] = ()
    system_models: tuple[Name, ...] = ()
    web_search: Name = "web_search_20250305"


def of(target: Target) -> Options:
    """The options of the provider that is asked."""
    return options.of(target.row, Options)


def is_among(model: str, globs: tuple[str, ...]) -> bool:
    """Whether a model matches one of the globs."""
    return any(fnmatchcase(model, glob) for glob in globs)
