"""Who there is to ask: each provider with its key, its driver, and the models that it is known to have."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from server import operations
from server.drivers.base import Driver, Target
from server.errors import NotFound
from server.operations import CHAT, EMBEDDINGS, IMAGES, TEXT_COMPLETIONS, Operation
from server.rows import Row

_MAX_DISCOVERED = 5000  # models; no provider has as many
_MAX_NAME = 256  # characters
_MAX_COMPARED = 200  # names that a misspelt one is compared with, which takes a while


class Provider:
    """A catalog row at run time, with the models that it is known to have, by public name.

    `vision_models` are those of its chat models that read images.
    """

    def __init__(self, row: Row, driver: Driver, key: str | None) -> None:
        self.row = row
        self.driver = driver
        self.key = key
        self.unreachable = "its list of models has not answered yet" if row.probed else ""
        self.learn(())

    @property
    def id(self) -> str:
        """What callers name it by."""
        return self.row.id

    @property
    def reason(self) -> str:
        """Why no request goes to it and what to do about it; empty where it is enabled."""
        if self.row.key_env and not self.row.key_optional and not self.key:
            return f"set {self.row.key_env}"
        if self.row.base_url_env and not self.row.base_url:
            return f"set {self.row.base_url_env}"
        return self.unreachable

    @property
    def enabled(self) -> bool:
        """Whether requests go to it."""
        return not self.reason

    def learn(self, discovered: Sequence[str]) -> None:
        """Takes the upstream's own list of models, in place of the last one."""
        row = self.row
        found = [name for name in discovered[:_MAX_DISCOVERED] if len(name) <= _MAX_NAME]
        known = dict.fromkeys((*row.aliases, *row.models, *found))
        hidden = {name for name in found if _matches(name, row.hidden_models)}
        drawn_or_embedded = (*row.image_models, *row.embedding_models)
        writing = [
            name
            for name in known
            if name not in hidden and not _matches(self._own(name), drawn_or_embedded)
        ]
        self._models = {
            CHAT.name: tuple(writing),
            TEXT_COMPLETIONS.name: self._picked(row.text_models, writing),
            EMBEDDINGS.name: self._picked(row.embedding_models, known),
            IMAGES.name: self._picked(row.image_models, known),
        }
        self.vision_models = dict.fromkeys(
            name for name in self.models(CHAT) if _matches(self._own(name), row.vision_models)
        )
        self._names = {name: frozenset(models) for name, models in self._models.items()}
        self._listed = frozenset().union(*self._names.values())
        self._operations = {
            name: [operation for operation in operations.ALL if name in self._names[operation.name]]
            for name in dict.fromkeys(name for models in self._models.values() for name in models)
        }

    def models(self, operation: Operation) -> tuple[str, ...]:
        """The models that it is known to have for an operation."""
        return self._models[operation.name]

    def operations(self) -> Mapping[str, Sequence[Operation]]:
        """All the models that it is known to have, each with what it does."""
        return self._operations

    def does(self, operation: Operation, model: str) -> bool:
        """Whether it is known to have a model for an operation."""
        return model in self._names[operation.name]

    def _picked(self, names: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
        """The models that a row names, and of those known the ones that its globs pick."""
        literal = [name for name in names if not _is_pattern(name)]
        matching = [name for name in known if _matches(self._own(name), names)]
        return tuple(dict.fromkeys([*literal, *matching]))

    def _own(self, name: str) -> str:
        """The provider's own name of a model."""
        return self.row.aliases.get(name, name)

    def target(self, model: str) -> Target:
        """Where an attempt with this public model name goes."""
        return Target(self.row, self._own(model), self.key)

    def has(self, model: str) -> bool:
        """Whether it is known to have a model."""
        return model in self._listed

    def may_have(self, model: str, operation: Operation) -> bool:
        """Whether the provider, when named, should be asked for a model.

        An upstream's list is a hint (it may leave out dated names and variants): the upstream itself
        says whether it has the model. A list in the row, without discovery, is the whole truth.
        """
        if operation is CHAT and self.row.discover:
            return True
        return self.does(operation, model) or _matches(model, self.row.models_of(operation))


class Roster:
    """All providers, by priority."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._all = {provider.id: provider for provider in providers}
        self._by_case = {name.lower(): provider for name, provider in self._all.items()}

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._all.values())

    @property
    def enabled(self) -> list[Provider]:
        """Those that requests go to."""
        return [provider for provider in self if provider.enabled]

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
        having = [provider for provider in self if provider.does(operation, model)]
        if enabled := [provider.id for provider in having if provider.enabled]:
            return f" {' and '.join(enabled[:3])} has it."
        if having:
            return f" {having[0].id} has it, but is not enabled: {having[0].reason}."
        for other in operations.ALL:
            if any(provider.does(other, model) for provider in self.enabled):
                return f" {model} is not {_a(operation.noun)}, it is {_a(other.noun)}."
        known = {name for provider in self.enabled for name in provider.models(operation)}
        alike = sorted(known, key=lambda name: _unlike(name, model))[:_MAX_COMPARED]
        close = difflib.get_close_matches(model[:_MAX_NAME], alike, n=3, cutoff=0.5)
        return f" Did you mean {' or '.join(close)}?" if close else ""

    def _closest(self, name: str) -> str:
        if (same := self._by_case.get(name.lower())) is not None:
            return f" Did you mean {same.id}?"
        folded = {provider_id.lower(): provider_id for provider_id in self._all}
        close = difflib.get_close_matches(name.lower()[:_MAX_NAME], folded, n=3, cutoff=0.5)
        return f" Did you mean {' or '.join(folded[item] for item in close)}?" if close else ""


def _unlike(name: str, other: str) -> int:
    """How many characters one has and the other has not: cheap, to find those worth comparing."""
    return len(set(name) ^ set(other))


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
