"""Who there is to ask: each provider with its key, its driver, and the models that it is known to have."""

import difflib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from server.drivers.base import Driver, Target
from server.errors import NotFound
from server.rows import Row


class Provider:
    """A catalog row at run time. `discovered` is the upstream's own list, None while it is not known."""

    def __init__(self, row: Row, driver: Driver, key: str | None) -> None:
        self.row = row
        self.driver = driver
        self.key = key
        self.discovered: tuple[str, ...] | None = None
        self.unreachable = "its list of models has not answered yet" if row.probe else ""

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

    @property
    def chat_models(self) -> list[str]:
        """The models it chats with, by public name."""
        listed = dict.fromkeys([*self.row.models, *(self.discovered or ())])
        chat = [name for name in listed if not self._is_image(name) and not self._is_hidden(name)]
        aliases = [name for name, own in self.row.aliases.items() if not self._is_image(own)]
        return list(dict.fromkeys([*aliases, *chat]))

    @property
    def image_models(self) -> list[str]:
        """The models that make images, by public name."""
        fixed = [name for name in self.row.image_models if not _is_pattern(name)]
        found = [name for name in self.discovered or () if self._is_image(name)]
        aliases = [name for name, own in self.row.aliases.items() if self._is_image(own)]
        return list(dict.fromkeys([*aliases, *fixed, *found]))

    @property
    def vision_models(self) -> list[str]:
        """The chat models that read images, by public name."""
        return [
            name
            for name in self.chat_models
            if _matches(self.row.aliases.get(name, name), self.row.vision_models)
        ]

    def target(self, model: str) -> Target:
        """Where an attempt with this public model name goes."""
        return Target(self.row, self.row.aliases.get(model, model), self.key)

    def may_have(self, model: str, *, images: bool) -> bool:
        """Whether the provider, when named, should be asked for a model.

        An upstream's list is a hint (it may leave out dated names and variants): the upstream itself
        says whether it has the model. A list in the row, without discovery, is the whole truth.
        """
        if images:
            return model in self.image_models or self._is_image(model)
        return self.row.discover or model in self.chat_models

    def _is_image(self, name: str) -> bool:
        return _matches(name, self.row.image_models)

    def _is_hidden(self, name: str) -> bool:
        return _matches(name, self.row.hidden_models)


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

    def suggest_model(self, model: str) -> str:
        """A hint for a model that no enabled provider has: who would have it, or what comes close."""
        for provider in self:
            if not provider.enabled and model in (*provider.chat_models, *provider.image_models):
                return f" {provider.id} has it, but is not enabled: {provider.reason}."
        known = dict.fromkeys(name for p in self.enabled for name in (*p.chat_models, *p.image_models))
        close = difflib.get_close_matches(model, known, n=3, cutoff=0.5)
        return f" Did you mean {' or '.join(close)}?" if close else ""

    def _closest(self, name: str) -> str:
        if (same := self._by_case.get(name.lower())) is not None:
            return f" Did you mean {same.id}?"
        folded = {provider_id.lower(): provider_id for provider_id in self._all}
        close = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.5)
        return f" Did you mean {' or '.join(folded[item] for item in close)}?" if close else ""


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
