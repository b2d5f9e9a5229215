"""Who there is to ask: each provider with its key, its driver, and the models that it is known to have."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from server.drivers.base import Driver, Target
from server.errors import NotFound
from server.rows import Row

_MAX_DISCOVERED = 5000  # models; no provider has as many
_MAX_NAME = 256  # characters
_MAX_COMPARED = 200  # names that a misspelt one is compared with, which takes a while


class Provider:
    """A catalog row at run time, with the models that it is known to have, by public name.

    `chat_models` and `image_models` are all of them, `vision_models` those of the first that read images.
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
        return self.unreachable

    @property
    def enabled(self) -> bool:
        """Whether requests go to it."""
        return not self.reason

    def learn(self, discovered: Sequence[str]) -> None:
        """Takes the upstream's own list of models, in place of the last one."""
        row = self.row
        found = [name for name in discovered[:_MAX_DISCOVERED] if len(name) <= _MAX_NAME]
        chat = [name for name, own in row.aliases.items() if not self._draws(own)]
        images = [name for name, own in row.aliases.items() if self._draws(own)]
        chat += [name for name in (*row.models, *found) if not self._draws(name)]
        images += [name for name in row.image_models if not _is_pattern(name)]
        images += [name for name in found if self._draws(name)]
        hidden = {name for name in found if _matches(name, row.hidden_models)}
        self.chat_models = tuple(name for name in dict.fromkeys(chat) if name not in hidden)
        self.image_models = tuple(dict.fromkeys(images))
        self.vision_models = tuple(
            name for name in self.chat_models if _matches(row.aliases.get(name, name), row.vision_models)
        )
        self._listed = frozenset((*self.chat_models, *self.image_models))

    def target(self, model: str) -> Target:
        """Where an attempt with this public model name goes."""
        return Target(self.row, self.row.aliases.get(model, model), self.key)

    def has(self, model: str) -> bool:
        """Whether it is known to have a model."""
        return model in self._listed

    def may_have(self, model: str, *, images: bool) -> bool:
        """Whether the provider, when named, should be asked for a model.

        An upstream's list is a hint (it may leave out dated names and variants): the upstream itself
        says whether it has the model. A list in the row, without discovery, is the whole truth.
        """
        if images:
            return model in self.image_models or self._draws(model)
        return self.row.discover or model in self.chat_models

    def _draws(self, name: str) -> bool:
        return _matches(name, self.row.image_models)


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

    def suggest_chat_model(self, model: str) -> str:
        """A hint for a chat model that nobody who was asked has: who has it, or what comes close."""
        return self._suggest(model, "a chat model", lambda p: p.chat_models, "it makes images")

    def suggest_image_model(self, model: str) -> str:
        """The same for a model that is to make images."""
        return self._suggest(model, "an image model", lambda p: p.image_models, "it chats")

    def _suggest(
        self, model: str, kind: str, models: Callable[[Provider], Sequence[str]], otherwise: str
    ) -> str:
        having = [provider for provider in self if model in models(provider)]
        if enabled := [provider.id for provider in having if provider.enabled]:
            return f" {' and '.join(enabled[:3])} has it."
        if having:
            return f" {having[0].id} has it, but is not enabled: {having[0].reason}."
        if any(provider.has(model) for provider in self.enabled):
            return f" {model} is not {kind}: {otherwise}."
        known = {name for provider in self.enabled for name in models(provider)}
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


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
