"""What a vendor does differently on the wire, as data: the profile of quirks in a catalog row."""

import re

import msgspec

from server import operations
from server.errors import SettingsError

# What a profile may refuse values of, and what a value is: see `routing.refusals`.
REFUSABLE = frozenset(
    {"tool_choice", "response_format", "reasoning_effort", "tools", "content", "prompt", "input"}
)
_PATHS = frozenset({"models", *(operation.name for operation in operations.ALL)})
_OMITTED = frozenset({"message", "function"})


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the fields mean stands at the top of `catalog/providers.yaml`."""

    paths: dict[str, str] = {}
    query: dict[str, str] = {}
    key_header: str = ""
    names: dict[str, str] = {}
    values: dict[str, dict[str, str | dict[str, object]]] = {}
    refuses: dict[str, tuple[str, ...]] = {}
    omits: dict[str, tuple[str, ...]] = {}
    roles: dict[str, str] = {}
    reasoning: str = ""
    reasoning_required: bool = False
    tool_call_ids: str = ""
    finish_reasons: dict[str, str] = {}
    finish_on_tools: bool = False

    def check(self, where: str) -> None:
        """Raises `SettingsError` for words that mean nothing."""
        for field, known in (("paths", _PATHS), ("refuses", REFUSABLE), ("omits", _OMITTED)):
            for name in getattr(self, field):
                if name not in known:
                    raise SettingsError(f"{where}: {field}.{name}: is none of {', '.join(sorted(known))}")
        if self.key_header and not re.fullmatch(r"[a-z][a-z0-9-]*", self.key_header):
            raise SettingsError(f"{where}: key_header: must be the name of a header in lower case")
        try:
            re.compile(self.tool_call_ids)
        except re.error as error:
            raise SettingsError(f"{where}: tool_call_ids: is no regular expression: {error}") from None
