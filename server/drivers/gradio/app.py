"""A running Gradio app as one model is asked of it: its addresses, and the requests that it takes.

https://www.gradio.app/guides/querying-gradio-apps-with-curl. A job's events are those of the queue, which
tell its position: a job without a session of its own has its own id for one.
"""

import re
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from server.drivers import answers, options
from server.drivers.base import Target
from server.drivers.gradio.options import GradioOptions, Space, host
from server.errors import AttemptFailed
from server.transport import HttpAnswer, HttpRequest

PREFIX: Final = "/gradio_api"  # of all apps since Gradio 5; those before have none
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9_-]{1,64}){0,8}")
_PORTS: Final = {"http": 80, "https": 443}


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int


class App(NamedTuple):
    """An app: what the row says of it, where it begins, and where its API does below that, each without a
    slash at the end.
    """

    space: Space
    address: str
    prefix: str = PREFIX

    def url(self, path: str) -> str:
        """The address of a path of its API."""
        return f"{self.address}{self.prefix}{path}"


class Config(NamedTuple):
    """What an app tells of itself: where its API begins, and its functions' numbers by their endpoints."""

    prefix: str
    functions: dict[str, int]


def of(target: Target) -> App:
    """The app that has a model. Raises `AttemptFailed` where the row has none."""
    space = options.of(target.row, GradioOptions).models.get(target.model)
    if space is None:
        raise AttemptFailed("no_such_model", f"its row has no Space for {target.model}")
    address = space.address or target.row.base_url
    if not address:
        found = host(space.space or target.model)
        if not found:
            raise AttemptFailed("no_such_model", f"its row does not say where {target.model} is")
        address = f"https://{found}"
    return App(space, address.rstrip("/"))


def join(app: App, data: list[Any], target: Target) -> HttpRequest:
    """Puts a job into the queue; the answer has its id."""
    body = msgspec.json.encode({"data": data})
    return _request("POST", app.url(f"/call/{quote(app.space.endpoint)}"), target, body)


def watch(app: App, job: str, target: Target) -> HttpRequest:
    """Asks for the events of a job."""
    return _request("GET", app.url(f"/queue/data?session_hash={quote(job, safe='')}"), target)


def cancel(app: App, job: str, function: int, target: Target) -> HttpRequest:
    """Takes a job out of the queue, or stops it where its function can be stopped."""
    body = msgspec.json.encode({"session_hash": job, "event_id": job, "fn_index": function})
    return _request("POST", app.url("/cancel"), target, body)


def config(app: App, target: Target) -> HttpRequest:
    """Asks what the app tells of itself."""
    return _request("GET", f"{app.address}/config", target)


def told(answer: HttpAnswer) -> Config | None:
    """What an app tells of itself; None where that cannot be read."""
    config = answers.try_decode(answer.body) if answer.status == 200 else None
    if not isinstance(config, dict) or not isinstance(config.get("dependencies"), list):
        return None
    prefix = config.get("api_prefix") or ""
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        return None
    named = [one for one in config["dependencies"] if isinstance(one, dict)]
    numbers = {one["api_name"]: one.get("id") for one in named if isinstance(one.get("api_name"), str)}
    return Config(prefix, {name: id_ if type(id_) is int else 0 for name, id_ in numbers.items()})


def file(app: App, path: str, url: str, target: Target) -> HttpRequest:
    """Asks for a file that the app made, at the address that it gives, or that follows from the path.

    An address leads to one of several replicas of a Space. Raises `AttemptFailed` where it is not the
    app's own host: neither a request nor the key goes anywhere else.
    """
    is_plain = bool(path) and "://" not in path and not path.startswith("//")
    given = url or ("" if is_plain else path)
    if given:
        ours, theirs = _origin(app.address), _origin(given)
        if theirs is None or ours is None or theirs.host != ours.host:
            raise AttemptFailed("broken_answer", "gave a file of another host, which is not fetched")
        if theirs == ours:
            return _request("GET", given, target)
    if not is_plain:
        raise AttemptFailed("broken_answer", "gave a file without a path that can be fetched")
    return _request("GET", app.url(f"/file={quote(path, safe='/')}"), target)


def _request(method: str, url: str, target: Target, body: bytes = b"") -> HttpRequest:
    headers = {"content-type": "application/json"} if body else {}
    if target.key:
        headers["authorization"] = f"Bearer {target.key}"
    return HttpRequest(method, url, headers, body)


def _origin(url: str) -> _Origin | None:
    """Where a URL leads to; None for one that is none, or that names a user."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
            return None
        return _Origin(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])
    except ValueError:
        return None
