"""What is known of a driver before it is made: what its rows must say, and what they say by default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.drivers.base import Driver
    from server.operations import Operation
    from server.transport import Transport


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a driver that has none."""


@dataclass(frozen=True)
class Kind:
    """A driver as rows name it.

    `options` is the type of a row's `options`. `params` are the parameters that the driver translates, by
    the name of the operation: a row that does not list its own has these, and may list no other. An
    operation that is missing takes all there are. `refuses` are values that it cannot translate, as a
    profile has them.
    """

    make: Callable[[Transport], Driver]
    options: type[msgspec.Struct] = NoOptions
    has_address: bool = False  # whether a row must say where its API begins
    scheme: Literal["http", "grpc"] = "http"  # what such an address begins with: see `server.rows`
    is_probed: bool = False  # whether a row without a key is enabled only while its list of models answers
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refuses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def takes(self, operation: Operation) -> tuple[str, ...]:
        """The parameters of an operation that it translates."""
        return self.params.get(operation.name, operation.fields)
