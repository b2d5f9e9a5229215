"""Typed settings. The only reader of files and of the environment."""

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

from interference_edge import LOOPBACK_ORIGINS
from server import routes, rows
from server.errors import SettingsError
from server.kinds import Kind
from server.routes import Catalog, Route

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
MIB = 2**20
Bytes = Annotated[int, msgspec.Meta(ge=1024, le=2**30 - MIB)]  # gRPC counts twice as much in 32 bits
OWN_KEY = "INTERFERENCE_API_KEY"  # what callers must show: one key, or several with spaces between
DEFAULT_FILE = "interference.yaml"


class Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where images that are given by address are kept."""

    dir: str = ""  # default: interference/media under the user's cache folder
    max_bytes: Bytes = 512 * MIB  # beyond it the oldest images go


class Load(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much a worker takes on."""

    max_calls: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1000  # at a time; 0: all there are
    max_queued: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 200  # that wait for their turn
    queue_wait: Annotated[float, msgspec.Meta(gt=0, le=60)] = 1.0  # seconds; then: come again
    hedge_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1  # of the calls: those that may hedge


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be set, in a YAML file of these names; the command line overrides some."""

    host: str = "127.0.0.1"  # where REST and gRPC arrive, and where the workers listen
    port: Port = 1337  # REST and gRPC; 0 takes a free one
    grpc_port: Port = 50051  # the first worker; the others take the ports after it; 0 takes free ones
    workers: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0  # processes; 0: one a core
    providers: str = ""  # a catalog file of your own rows
    require: tuple[str, ...] = ()  # ids of providers without whose keys the server must not start
    open: bool = False  # serve on other than loopback addresses without a key
    public_url: str = ""  # how callers reach this server, for image addresses; default: as they did
    cors_origins: tuple[str, ...] = LOOPBACK_ORIGINS  # web pages that may call; "*": any
    max_body_bytes: Bytes = 32 * MIB  # of a REST request; a gRPC message may have twice as much
    max_answer_bytes: Bytes = 64 * MIB  # of an upstream's whole answer, and of ours
    grace: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 30  # seconds for running calls at the end
    media: Media = Media()
    load: Load = Load()
    log_calls: bool = True  # one line of JSON a call, on stderr
    batch_scheduling: bool = True  # on Linux: a worker interrupts no other program, which costs all less

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def worker_count(self) -> int:
        """How many worker processes to run."""
        return self.workers or _cores()

    @property
    def media_dir(self) -> Path:
        """The folder for images."""
        if self.media.dir:
            return Path(self.media.dir).expanduser()
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return Path(cache).expanduser() / "interference" / "media"


class Secrets:
    """The keys, read once from the environment or from files. Never printed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.own = frozenset((self.key(OWN_KEY) or "").split())

    def key(self, name: str) -> str | None:
        """The key in the variable `name`, or in the file that `name`_FILE names; None where unset."""
        if value := self._environment.get(name, "").strip():
            return self._checked(name, value)
        if not (path := self._environment.get(f"{name}_FILE", "")):
            return None
        value = _read(Path(path), f"{name}_FILE").strip()
        if not value:
            raise SettingsError(f"{name}_FILE: {path} is empty")
        return self._checked(f"{name}_FILE", value)

    @staticmethod
    def _checked(name: str, value: str) -> str:
        if not value.isprintable() or not value.isascii():
            raise SettingsError(f"{name}: a key is one line of ASCII characters, and this is not")
        return value

    def __repr__(self) -> str:
        return "Secrets()"


def load_settings(path: str | None, overrides: Mapping[str, Any]) -> Settings:
    """Reads the settings file (`interference.yaml` here, where none is named and it is there)."""
    if path is None and not Path(DEFAULT_FILE).exists():
        return _convert({}, overrides, "command line")
    file = Path(path or DEFAULT_FILE)
    try:
        values = yaml.safe_load(_read(file, "settings")) or {}
    except yaml.YAMLError as error:
        raise SettingsError(f"{file}: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{file}: must be a mapping of names to values")
    if isinstance(own := values.get("providers"), str) and own:
        values["providers"] = str(file.parent / Path(own).expanduser())
    return _convert(values, overrides, str(file))


def reachable(host: str) -> str:
    """The address on which this machine reaches a listener on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}.get(host, host)


def address(host: str, port: int) -> str:
    """`host:port`, as it stands in addresses."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_addresses(settings: Settings) -> None:
    """Refuses addresses and ports that nothing could listen on, and origins that no browser sends."""
    try:
        ipaddress.ip_address(settings.host)
    except ValueError:
        raise SettingsError(f"host: {settings.host!r} must be an IP address or localhost") from None
    ports = range(settings.grpc_port, settings.grpc_port + settings.worker_count)
    if settings.grpc_port and ports[-1] > 65_535:
        raise SettingsError(f"grpc_port: the {len(ports)} workers need the ports up to {ports[-1]}")
    if settings.grpc_port and settings.port in ports:
        raise SettingsError(f"port: {settings.port} is a worker's port too; see grpc_port")
    if settings.public_url and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", settings.public_url):
        raise SettingsError(f"public_url: {settings.public_url!r} must begin with http(s)://host")
    for origin in settings.cors_origins:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/]+", origin):
            raise SettingsError(f"cors_origins: {origin!r} must be scheme://host[:port], or *")


def load_catalog(settings: Settings, kinds: Mapping[str, Kind]) -> Catalog:
    """The shipped catalog with the user's own file over it."""
    text = resources.files("server.catalog").joinpath("providers.yaml").read_text()
    shipped = _catalog_file(text, "catalog/providers.yaml", kinds)
    source = settings.providers or "catalog/providers.yaml"
    text = _read(Path(settings.providers), "providers") if settings.providers else ""
    own = _catalog_file(text, source, kinds)
    providers = rows.merge(shipped[0], own[0], source)
    return Catalog(providers, routes.merge(shipped[1], own[1], providers, source))


def _catalog_file(
    text: str, source: str, kinds: Mapping[str, Kind]
) -> tuple[dict[str, rows.Row], dict[str, Route]]:
    """The rows and the routes of a file."""
    file = rows.parse(text, source)
    return rows.read(file, source, kinds), routes.read(file.routes, source)


def with_base_url(row: rows.Row, secrets: Secrets) -> rows.Row:
    """The row with the base URL that its environment variable gives, where that is set."""
    url = secrets.key(row.base_url_env) if row.base_url_env else None
    if not url:
        return row
    rows.check_base_url(url, row.base_url_env)
    return msgspec.structs.replace(row, base_url=url)


def check_keys(settings: Settings, catalog: Iterable[rows.Row], secrets: Secrets) -> None:
    """Refuses to start where a key is missing that the settings call for."""
    known = {row.id: row for row in catalog}
    for row in known.values():
        if row.key_env:
            secrets.key(row.key_env)
        with_base_url(row, secrets)
    for name in settings.require:
        if name not in known:
            raise SettingsError(f"require: no provider has the id {name}")
        row = known[name]
        if row.key_env and not row.key_optional and not secrets.key(row.key_env):
            raise SettingsError(f"require: {name} needs a key: set {row.key_env}")
    if not (settings.loopback or settings.open or secrets.own):
        raise SettingsError(
            f"host: {settings.host} is open to other machines and no key is asked of callers: "
            "set INTERFERENCE_API_KEY, or `open: true` (--open) if that is meant"
        )


def _cores() -> int:
    """The cores that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _convert(values: Mapping[str, Any], overrides: Mapping[str, Any], source: str) -> Settings:
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = msgspec.convert({**values, **given}, Settings)
    except msgspec.ValidationError as error:
        message, _, field = str(error).partition(" - at `$.")
        prefix = f"{source}: {field.rstrip('`')}" if field else source
        raise SettingsError(f"{prefix}: {message}") from None
    if settings.host == "localhost":
        settings = msgspec.structs.replace(settings, host="127.0.0.1")
    check_addresses(settings)
    return settings


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"{what}: cannot read {path}: {reason}") from None
