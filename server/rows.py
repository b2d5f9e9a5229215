"""What a catalog row may say, and how rows are read and merged."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
import yaml

from server import operations
from server.errors import SettingsError
from server.kinds import Kind
from server.operations import Operation
from server.profile import Profile

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# How the addresses of a scheme look, and in which words a fault says so.
_BASE_URLS = {
    "http": (
        re.compile(r"https?://[^/@?#\s]+(/[^?#\s]*)?"),
        "http(s)://host/path, without a user, a query or a fragment",
    ),
    "grpc": (
        re.compile(r"grpcs?://(\[[0-9A-Fa-f:.]+\]|[^/@?#:\[\]\s]+):[0-9]{1,5}/?|unix:(//)?/(?!/)[^?#\s]+"),
        "grpc(s)://host:port or unix:/path",
    ),
}
# The two names of the most tokens to write; vendors know one or both, and either stands for the other.
TWINS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}

_SIZES = frozenset({"size", "width", "height"})  # of an image: each stands for the others
# What a row may say of some of its chat models: see `server.capabilities`.
STATED = ("stream", "tools", "json_schema", "reasoning", "logprobs")

# Parameters that say nothing where they are 1, their default, which some clients always send.
ONES = ("n", "best_of")


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long an attempt may take, in seconds."""

    connect: Seconds = 5  # until the connection stands, TLS included
    first_content: Seconds = 120  # of a stream, until its first content
    idle: Seconds = 60  # of a stream, between two chunks
    total: Seconds = 600  # of the whole attempt


class Breaker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a provider that fails is left alone, for each of its models."""

    enabled: bool = True  # false: it is always asked, also after a 401 or a 429
    failures: Count = 5  # attempts in a row that failed
    rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5  # of the attempts in the window, that failed
    least: Count = 10  # attempts in the window from which on the share counts
    window: Seconds = 30
    slow: Seconds = 60  # a first content that takes longer counts as a failure
    patience: Seconds = 10  # a caller's, that counts as a failure while it is not known how long it takes
    cool_down: Seconds = 5  # until one request finds out; twice as long after each that fails
    longest: Seconds = 300  # cool-down
    longest_wait: Seconds = 3600  # that a Retry-After gets of us


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a provider is asked once more before the next is: see `server.routing.retry`."""

    times: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    base: Seconds = 0.1  # the backoff before the first is at most this; it doubles
    longest: Seconds = 2  # backoff
    budget: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.2  # retries, as a share of the requests


class Concurrency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many requests a provider answers at a time, shared out among the workers and rounded up."""

    limit: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0  # 0: as many as there are
    queue: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 100  # those that may wait for their turn
    wait: Seconds = 1  # the longest that they do


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
MOST_TOKENS = 2**31 - 1  # what the contract's numbers hold
Tokens = Annotated[int, msgspec.Meta(ge=1, le=MOST_TOKENS)]


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One provider. What the fields mean stands at the top of `catalog/providers.yaml`."""

    id: str
    driver: str
    label: str = ""
    url: str = ""
    base_url: str = ""
    base_url_env: str = ""
    key_env: str = ""
    key_optional: bool = False
    probe: bool = False
    discover: bool = False
    models: tuple[Name, ...] = ()
    text_models: tuple[Name, ...] = ()
    embedding_models: tuple[Name, ...] = ()
    image_models: tuple[Name, ...] = ()
    vision_models: tuple[str, ...] = ()
    capabilities: dict[str, tuple[str, ...]] = {}
    context_lengths: dict[Name, Tokens] = {}
    hidden_models: tuple[str, ...] = ()
    aliases: dict[Name, Name] = {}
    params: tuple[str, ...] = operations.CHAT.fields
    text_params: tuple[str, ...] = operations.TEXT_COMPLETIONS.fields
    embedding_params: tuple[str, ...] = operations.EMBEDDINGS.fields
    image_params: tuple[str, ...] = operations.IMAGES.fields
    unsupported: Literal["refuse", "drop"] = "refuse"
    profile: Profile = Profile()
    options: dict[str, Any] = {}
    limits: Limits = Limits()
    breaker: Breaker = Breaker()
    retry: Retry = Retry()
    concurrency: Concurrency = Concurrency()
    priority: int = 100

    def models_of(self, operation: Operation) -> tuple[str, ...]:
        """The names and globs of the models that do this."""
        models: tuple[str, ...] = getattr(self, operation.models)
        return models

    def is_capable(self, word: str, name: str) -> bool | None:
        """Whether it says that a model, by the provider's own name, can do this; None: it says nothing."""
        capable = self.capabilities.get(word)
        return None if capable is None else matches(name, capable)

    def context_length(self, name: str) -> int | None:
        """How many tokens it says that a model, by the provider's own name, can have before it at most."""
        return next((most for glob, most in self.context_lengths.items() if matches(name, (glob,))), None)

    def params_of(self, operation: Operation) -> tuple[str, ...]:
        """The parameters of this that it honours."""
        params: tuple[str, ...] = getattr(self, operation.params)
        return params


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A catalog file: named sets of parameters, and rows and routes that are read one by one."""

    params: dict[str, tuple[str, ...]] = {}
    providers: tuple[dict[str, Any], ...] = ()
    routes: tuple[dict[str, Any], ...] = ()


def parse(text: str, source: str) -> File:
    """A catalog file of this text. A fault names the file."""
    try:
        return msgspec.convert(yaml.safe_load(text) or {}, File)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise SettingsError(f"{source}: {_one_line(error)}") from None


def read(file: File, source: str, kinds: Mapping[str, Kind]) -> dict[str, Row]:
    """Reads a catalog file's rows by id. A fault names the file, the row and the field."""
    rows: dict[str, Row] = {}
    for index, raw in enumerate(file.providers):
        where = f"{source}: row {raw.get('id', index + 1)}"
        kind = _kind(raw, kinds, where)
        row = _row(raw, kind, file.params, where)
        _check(row, kind, where)
        if row.id in rows:
            raise SettingsError(f"{where}: id: stands twice in this file")
        rows[row.id] = row
    return rows


def merge(shipped: dict[str, Row], own: dict[str, Row], source: str) -> tuple[Row, ...]:
    """The shipped rows with a user's own added, or put in place of those with the same id."""
    rows = shipped | own
    folded: dict[str, str] = {}
    for row in rows.values():
        if (other := folded.setdefault(row.id.lower(), row.id)) != row.id:
            raise SettingsError(f"{source}: row {row.id}: id: differs from {other} by case alone")
    return tuple(sorted(rows.values(), key=lambda row: (row.priority, row.id.lower())))


def _kind(raw: dict[str, Any], kinds: Mapping[str, Kind], where: str) -> Kind:
    name = raw.get("driver", "")
    if not isinstance(name, str) or name not in kinds:
        raise SettingsError(f"{where}: driver: {name or 'nothing'} is none of {', '.join(sorted(kinds))}")
    return kinds[name]


def _row(raw: dict[str, Any], kind: Kind, sets: dict[str, tuple[str, ...]], where: str) -> Row:
    raw = {"probe": kind.is_probed and not raw.get("key_env")} | raw
    for operation in operations.ALL:
        field = operation.params
        listed = raw.setdefault(field, list(kind.takes(operation)))
        if isinstance(listed, list):
            raw[field] = _expand(listed, sets, kind.takes(operation), operation, f"{where}: {field}")
    try:
        row = msgspec.convert(raw, Row)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {field_first(error)}") from None
    refuses = {**kind.refuses, **row.profile.refuses}
    return msgspec.structs.replace(row, profile=msgspec.structs.replace(row.profile, refuses=refuses))


def _expand(
    names: list[Any],
    sets: dict[str, tuple[str, ...]],
    translated: tuple[str, ...],
    operation: Operation,
    where: str,
) -> list[str]:
    """The parameters of a list. Those of a set that the driver does not translate are left out."""
    out: dict[str, None] = {}
    for name in names:
        if str(name).startswith("@") and str(name)[1:] not in sets:
            raise SettingsError(f"{where}: no set is named {name}")
        is_set = str(name).startswith("@")
        for param in sets.get(str(name)[1:], ()) if is_set else (name,):
            if param not in operation.fields:
                raise SettingsError(f"{where}: {param} is not a request field")
            if param in translated:
                out[param] = None
            elif not is_set:
                raise SettingsError(f"{where}: {param} is not translated by this driver")
    return list(out)


def _check(row: Row, kind: Kind, where: str) -> None:
    if not _ID.fullmatch(row.id):
        raise SettingsError(f"{where}: id: must be 1 to 64 letters, digits, dots, _ or -")
    try:
        msgspec.convert(row.options, kind.options)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: options: {field_first(error)}") from None
    if kind.has_address and (row.base_url or not row.base_url_env):
        check_base_url(row.base_url, f"{where}: base_url", kind.scheme)
    for field in ("key_env", "base_url_env"):
        name = getattr(row, field)
        if name and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise SettingsError(f"{where}: {field}: must be the name of an environment variable")
    for word in row.capabilities:
        if word not in STATED:
            raise SettingsError(f"{where}: capabilities.{word}: is none of {', '.join(STATED)}")
    if row.breaker.cool_down > row.breaker.longest:
        raise SettingsError(f"{where}: breaker: cool_down must not be longer than longest")
    row.profile.check(f"{where}: profile")


def check_base_url(url: str, where: str, scheme: str = "") -> None:
    """Raises `SettingsError` for an address that no API of this scheme, or of any, begins at."""
    schemes = [_BASE_URLS[scheme]] if scheme else list(_BASE_URLS.values())
    if not any(form.fullmatch(url) for form, _ in schemes):
        raise SettingsError(f"{where}: must be {', or '.join(words for _, words in schemes)}")


@lru_cache(maxsize=4096)  # for each row, which in a large catalog mostly have the same lists
def honoured(listed: tuple[str, ...], ours: frozenset[str]) -> frozenset[str]:
    """The parameters that have their effect where these are listed: themselves, or said in others."""
    twins = {TWINS[name] for name in listed if name in TWINS}
    sizes = _SIZES if _SIZES.intersection(listed) else frozenset[str]()
    return (ours - _SIZES) | sizes | twins | frozenset(listed)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name matches one of these patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def is_glob(name: str) -> bool:
    """Whether a name is a pattern that names may match."""
    return any(sign in name for sign in "*?[")


def field_first(error: Exception) -> str:
    """msgspec says `... - at `$.field``; people look for the field first."""
    message, _, path = str(error).partition(" - at `$.")
    return f"{path.rstrip('`')}: {message}" if path else message


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
