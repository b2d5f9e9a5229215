"""Routes: public names of models that stand for models of providers, and how one of these is chosen.

What the fields mean stands at the top of `catalog/providers.yaml`.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import translate
from typing import Annotated, Any, Literal, get_args

import msgspec

from server import rows
from server.errors import SettingsError
from server.rows import Name, Row, Seconds

Strategy = Literal["ordered", "weighted", "least_latency", "least_outstanding"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)

_MAX_ROUTES = 1000
_MAX_TARGETS = 10_000  # of all routes together, which the workers are told in one message


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How well a target must do to be asked before those that do worse."""

    failure_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None  # at most: a share of attempts
    first_content: Seconds | None = None  # at most, the median of late


class Hedging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """After how many seconds without content the next candidate is started; None: the observed p95."""

    delay: Annotated[float, msgspec.Meta(ge=0, le=3600)] | None = None


class RouteTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model of a provider, by its public name."""

    provider: str
    model: Name
    weight: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 1.0
    when: Condition = Condition()


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model's public name with what it stands for; without targets, a glob of names of real models."""

    model: Name
    strategy: Strategy = "ordered"
    targets: Annotated[tuple[RouteTarget, ...], msgspec.Meta(max_length=64)] = ()
    hedge: Hedging | None = None
    sticky: bool = True


class Catalog(msgspec.Struct, frozen=True):
    """All there is to route by: the providers in order of priority, and the routes."""

    providers: tuple[Row, ...]
    routes: tuple[Route, ...] = ()


class Routes:
    """Finds the route of a model: the one of exactly this name, or the first whose glob it matches."""

    def __init__(self, routes: Sequence[Route] = ()) -> None:
        self.named: Mapping[str, Route] = {route.model: route for route in routes if route.targets}
        self._globs: list[tuple[Callable[[str], object], Route]] = [
            (re.compile(translate(route.model)).match, route) for route in routes if not route.targets
        ]

    def of(self, model: str) -> Route | None:
        """The route that a model's public name stands for, or that says how its providers are chosen."""
        if (route := self.named.get(model)) is not None:
            return route
        for matches, route in self._globs:
            if matches(model):
                return route
        return None


def read(raw: Sequence[Mapping[str, Any]], source: str) -> dict[str, Route]:
    """Reads a catalog file's routes by name. A fault names the file, the route and the field."""
    routes: dict[str, Route] = {}
    for index, fields in enumerate(raw):
        where = f"{source}: route {fields.get('model', index + 1)}"
        if (strategy := fields.get("strategy", "ordered")) not in STRATEGIES:
            raise SettingsError(f"{where}: strategy: {strategy} is none of {', '.join(STRATEGIES)}")
        try:
            route = msgspec.convert(fields, Route)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{where}: {rows.field_first(error)}") from None
        _check(route, where)
        if route.model in routes:
            raise SettingsError(f"{where}: model: stands twice in this file")
        routes[route.model] = route
    return routes


def merge(
    shipped: Mapping[str, Route], own: Mapping[str, Route], providers: Iterable[Row], source: str
) -> tuple[Route, ...]:
    """A user's routes before the shipped ones, or in their place. All that they ask must be there."""
    routes = {**own, **{name: route for name, route in shipped.items() if name not in own}}
    ids = [row.id for row in providers]
    for route in routes.values():
        for number, target in enumerate(route.targets):
            if target.provider not in ids:
                where = f"{source}: route {route.model}: targets[{number}].provider"
                told = f"no provider has the id {target.provider}.{_close(target, ids)}"
                raise SettingsError(f"{where}: {told}")
    if len(routes) > _MAX_ROUTES:
        raise SettingsError(f"{source}: routes: must be at most {_MAX_ROUTES}")
    if sum(len(route.targets) for route in routes.values()) > _MAX_TARGETS:
        raise SettingsError(f"{source}: routes: must have at most {_MAX_TARGETS} targets in all")
    return tuple(routes.values())


def _check(route: Route, where: str) -> None:
    if not route.model.isprintable():
        raise SettingsError(f"{where}: model: must be printable")
    if route.targets and rows.is_glob(route.model):
        raise SettingsError(f"{where}: model: must be no glob where there are targets")
    seen: set[tuple[str, str]] = set()
    for number, target in enumerate(route.targets):
        if (target.provider, target.model) in seen:
            twice = f"{target.model} of {target.provider} stands twice"
            raise SettingsError(f"{where}: targets[{number}]: {twice}")
        seen.add((target.provider, target.model))
        if route.strategy == "ordered" and target.weight != 1:
            raise SettingsError(f"{where}: targets[{number}].weight: has no use where strategy is ordered")


def _close(target: RouteTarget, ids: Sequence[str]) -> str:
    """The ids that come close to the one of a target."""
    folded = {name.lower(): name for name in ids}
    close = difflib.get_close_matches(target.provider.lower()[:64], folded, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(folded[name] for name in close)}?" if close else ""
