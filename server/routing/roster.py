"""Who there is to ask: each provider with its key, its driver, and the models that it is known to have."""

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from server import capabilities, operations
from server.capabilities import VISION, Known
from server.drivers.base import NOTHING, Driver, Listed, Target
from server.errors import NotFound
from server.operations import CHAT, EMBEDDINGS, IMAGES, TEXT_COMPLETIONS, Operation
from server.routes import Route, Routes
from server.routing.bounds import Bound
from server.routing.budget import Budget
from server.routing.health import WHOLE, Board
from server.rows import Limits, Row, is_glob, matches

_OPERATIONS = frozenset(operation.name for operation in operations.ALL)
_MAX_DISCOVERED = 5000  # models; no provider has as many
_MAX_NAME = 256  # characters
_MAX_COMPARED = 200  # names that a misspelt one is compared with, which takes a while


def _unheard() -> None:
    """Nobody wants to hear of a change yet."""


class Provider:
    """A catalog row at run time, with the models that it is known to have, by public name.

    `vision_models` are those of its chat models that read images, `is_choosy` says whether one of them is
    known to lack something, and `lacking` what its row wants that only a restart can bring. It is one of so
    many `workers` that has it, which share its bound on concurrency.
    """

    def __init__(self, row: Row, driver: Driver, key: str | None, workers: int = 1) -> None:
        self.id = row.id  # what callers name it by
        self.row = row
        self.driver = driver
        self.key = key
        self.retries = Budget(row.retry.budget)
        bound = row.concurrency
        self.bound = Bound(math.ceil(bound.limit / workers), bound.queue, bound.wait)
        self.lacking = _lacking(row, key)
        self._unreachable = "its list of models has not answered yet" if row.probe else ""
        self._board: Board | None = None
        self._changed: Callable[[], None] = _unheard
        self.learn(())

    @property
    def unreachable(self) -> str:
        """Why it cannot be reached, where its list of models must answer; empty where it can."""
        return self._unreachable

    @unreachable.setter
    def unreachable(self, why: str) -> None:
        changed, self._unreachable = why != self._unreachable, why
        if changed:
            self._changed()
        if changed and self._board is not None:
            self._board.watchers.tell((self.id, WHOLE))

    @property
    def missing(self) -> str:
        """What it wants, so that requests can go to it; empty where it has all."""
        return self.lacking or self._unreachable

    @property
    def reason(self) -> str:
        """Why no request goes to it and what to do about it; empty where it is enabled.

        One that has refused its key is still planned with: it is asked once in a while whether it does.
        """
        return self.missing or ("" if self._board is None else self._board.disabled(self.id))

    @property
    def enabled(self) -> bool:
        """Whether requests go to it."""
        return not self.reason

    def join(self, board: Board, changed: Callable[[], None] = _unheard) -> None:
        """Takes its place on the board that watches its health.

        `changed` is called where it has other models now, or what it wants is another thing.
        """
        self._board = board
        self._changed = changed
        board.add(self.id, self.row.breaker, self.row.key_env if self.key else "")

    def learn(self, discovered: Sequence[Listed]) -> None:
        """Takes the upstream's own list of models, in place of the last one."""
        row = self.row
        told = {one.name: one for one in discovered[:_MAX_DISCOVERED] if len(one.name) <= _MAX_NAME}
        known = {name: told.get(self.own(name)) for name in (*row.aliases, *row.models, *told)}
        hidden = {name for name in told if matches(name, row.hidden_models)}
        otherwise = (*row.image_models, *row.embedding_models)
        writing = {
            name: listed
            for name, listed in known.items()
            if name not in hidden and not matches(self.own(name), otherwise)
        }
        self._models = {
            CHAT.name: tuple(name for name, listed in writing.items() if _does(listed, CHAT) is not False),
            TEXT_COMPLETIONS.name: self._picked(TEXT_COMPLETIONS, writing),
            EMBEDDINGS.name: self._picked(EMBEDDINGS, known),
            IMAGES.name: self._picked(IMAGES, known),
        }
        self._known = {
            name: capabilities.known(row, self.own(name), listed) for name, listed in known.items()
        }
        chatting = self.models(CHAT)
        self.is_choosy = any(self._known[name].lacks for name in chatting)
        self.vision_models = [name for name in chatting if VISION in self._known[name].able]
        self._names = {name: frozenset(models) for name, models in self._models.items()}
        self._listed = frozenset().union(*self._names.values())
        self._operations = {
            name: [operation for operation in operations.ALL if name in self._names[operation.name]]
            for name in dict.fromkeys(name for models in self._models.values() for name in models)
        }
        self._changed()

    def models(self, operation: Operation) -> tuple[str, ...]:
        """The models that it is known to have for an operation."""
        return self._models[operation.name]

    def operations(self) -> Mapping[str, Sequence[Operation]]:
        """All the models that it is known to have, each with what it does."""
        return self._operations

    def does(self, operation: Operation, model: str) -> bool:
        """Whether it is known to have a model for an operation."""
        return model in self._names[operation.name]

    def known(self, model: str) -> Known:
        """What is known of a model, also of one that is not on its list."""
        known = self._known.get(model)
        return capabilities.known(self.row, self.own(model), None) if known is None else known

    def _picked(self, operation: Operation, known: Mapping[str, Listed | None]) -> tuple[str, ...]:
        """The models that a row names, and of those known the ones that its globs or its list pick."""
        names = self.row.models_of(operation)
        literal = [name for name in names if not is_glob(name)]
        matching = [
            name
            for name, listed in known.items()
            if matches(self.own(name), names) or _does(listed, operation)
        ]
        return tuple(dict.fromkeys([*literal, *matching]))

    def own(self, name: str) -> str:
        """The provider's own name of a model."""
        return self.row.aliases.get(name, name)

    def target(
        self,
        model: str,
        limits: Limits | None = None,
        deadline: float | None = None,
        carried: Mapping[str, str] = NOTHING,
    ) -> Target:
        """Where an attempt with this public model name goes, how long it may take, and what goes along."""
        return Target(self.row, self.own(model), self.key, limits or self.row.limits, deadline, carried)

    def has(self, model: str) -> bool:
        """Whether it is known to have a model."""
        return model in self._listed

    def public(self, model: str) -> str:
        """The model without the provider's own id and a slash before it, where they are not its name."""
        return model if self.has(model) else model.removeprefix(f"{self.id}/")

    def may_have(self, model: str, operation: Operation) -> bool:
        """Whether the provider, when named, should be asked for a model.

        An upstream's list is a hint (it may leave out dated names and variants): the upstream itself
        says whether it has the model. A list in the row, without discovery, is the whole truth.
        """
        if operation is CHAT and self.row.discover:
            return True
        return self.does(operation, model) or matches(model, self.row.models_of(operation))


class Roster:
    """All providers, by priority, the routes over them, and the board of their health."""

    def __init__(
        self, providers: Iterable[Provider], routes: Sequence[Route] = (), board: Board | None = None
    ) -> None:
        self.routes = Routes(routes)
        self.board = board or Board()
        self._all = {provider.id: provider for provider in providers}
        self._by_case = {name.lower(): provider for name, provider in self._all.items()}
        self._enabled: list[Provider] | None = None  # found when it is asked for, kept until a change
        self._doing: dict[tuple[str, str], list[Provider]] = {}  # the same, by operation and model
        self._alike: dict[str, bool] = {}
        for provider in self:
            provider.join(self.board, self._forget)

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._all.values())

    @property
    def enabled(self) -> Sequence[Provider]:
        """Those that requests may go to."""
        if self._enabled is None:
            self._enabled = [provider for provider in self if not provider.missing]
        return self._enabled

    def doing(self, operation: Operation, model: str) -> Sequence[Provider]:
        """Those that requests may go to and that are known to have a model for an operation."""
        key = operation.name, model
        if (found := self._doing.get(key)) is None:
            found = [provider for provider in self.enabled if provider.does(operation, model)]
            if found:  # callers choose the names: none but real ones are kept
                self._doing[key] = found
        return found

    def alike(self, model: str) -> bool:
        """Whether the same is known of a chat model wherever it is, so that nobody is to be preferred."""
        if (alike := self._alike.get(model)) is None:
            known = [provider.known(model) for provider in self.doing(CHAT, model)]
            alike = all(one == known[0] for one in known)
            if known:
                self._alike[model] = alike
        return alike

    def _forget(self) -> None:
        self._enabled = None
        self._doing.clear()
        self._alike.clear()

    async def aclose(self) -> None:
        """Lets go of what the drivers hold."""
        for driver in {id(provider.driver): provider.driver for provider in self}.values():
            await driver.close()

    def get(self, name: str) -> Provider | None:
        """The provider with exactly this id."""
        return self._all.get(name)

    def named(self, name: str) -> Provider:
        """The provider with this id, or `NotFound` with the closest known ids."""
        if (provider := self._all.get(name)) is not None:
            return provider
        raise NotFound(
            f"There is no provider {name!r}.{self._closest(name)} GET /v1/providers lists those enabled.",
            reason="provider_not_found",
            param="provider",
        )

    def suggest(self, model: str, operation: Operation) -> str:
        """A hint for a model that nobody who was asked has: who has it, or what comes close to it."""
        if (route := self.routes.named.get(model)) is not None:
            targets = dict.fromkeys(target.provider for target in route.targets)
            return f" {model} is a route to {' and '.join(list(targets)[:3])}."
        having = [provider for provider in self if provider.does(operation, model)]
        if enabled := [provider.id for provider in having if provider.enabled]:
            return f" {' and '.join(enabled[:3])} has it."
        if having:
            return f" {having[0].id} has it, but is not enabled: {having[0].reason}."
        for other in operations.ALL:
            if any(provider.does(other, model) for provider in self.enabled):
                return f" {model} is not {_a(operation.noun)}, it is {_a(other.noun)}."
        known = {name for provider in self.enabled for name in provider.models(operation)}
        known |= self.routes.named.keys()
        alike = sorted(known, key=lambda name: _unlike(name, model))[:_MAX_COMPARED]
        close = difflib.get_close_matches(model[:_MAX_NAME], alike, n=3, cutoff=0.5)
        return f" Did you mean {' or '.join(close)}?" if close else ""

    def _closest(self, name: str) -> str:
        if (same := self._by_case.get(name.lower())) is not None:
            return f" Did you mean {same.id}?"
        folded = {provider_id.lower(): provider_id for provider_id in self._all}
        close = difflib.get_close_matches(name.lower()[:_MAX_NAME], folded, n=3, cutoff=0.5)
        return f" Did you mean {' or '.join(folded[item] for item in close)}?" if close else ""


def _lacking(row: Row, key: str | None) -> str:
    """What a row wants that only a restart can bring; empty where it has all."""
    if row.key_env and not row.key_optional and not key:
        return f"set {row.key_env}"
    if row.base_url_env and not row.base_url:
        return f"set {row.base_url_env}"
    return ""


def _unlike(name: str, other: str) -> int:
    """How many characters one has and the other has not: cheap, to find those worth comparing."""
    return len(set(name) ^ set(other))


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _does(listed: Listed | None, operation: Operation) -> bool | None:
    """Whether the provider's list says that a model does this; None where it says nothing."""
    if listed is None or listed.capabilities is None or _OPERATIONS.isdisjoint(listed.capabilities):
        return None
    return operation.name in listed.capabilities
