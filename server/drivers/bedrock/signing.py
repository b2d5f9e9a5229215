"""Who asks, in AWS's way: credentials, region and signature, all from AWS's own library.

Credentials are looked for where every AWS tool looks (the environment, shared files, single sign-on, a
container, the machine), which may read files, run programs and ask servers: in a thread, once, and again
when they are due.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from server.drivers.bedrock import options
from server.drivers.bedrock.address import REGION
from server.errors import AttemptFailed
from server.transport import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.drivers.base import Target

_log = logging.getLogger(__name__)
_LARGE: Final = 512 * 1024  # bytes of a body whose digest takes longer than everybody else should wait
_REGION: Final = re.compile(r"[a-z0-9-]{1,64}")  # it becomes part of a host's name
_NO_REGION: Final = "it is not known in which AWS region: set AWS_REGION, or options.region of its row"
_NO_CREDENTIALS: Final = "no AWS credentials were found"
# Variables that say that there are credentials, and where: the library's own, without those of one request.
# https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html
_TELLING: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


class Signer:
    """Completes the address of a request, and signs it where the provider has no key of its own."""

    def __init__(self) -> None:
        self._found: dict[tuple[Callable[[str], Any], str], asyncio.Task[Any]] = {}

    async def __call__(self, request: HttpRequest, target: Target) -> HttpRequest:
        """Raises `AttemptFailed` where region or credentials cannot be had."""
        region = await self._place(request.url, target)
        url = request.url.replace(REGION, region)
        request = HttpRequest(request.method, url, request.headers, request.body)
        if target.key:
            return request
        keys = await self._keys(target)
        sign = partial(_signed, request, keys, region, options.of(target.row).service)
        return await asyncio.to_thread(sign) if len(request.body) > _LARGE else sign()

    async def check(self, target: Target) -> None:
        """Raises `AttemptFailed` where nobody can be asked: there is no region, no key and no credentials.

        Where nothing in the environment tells of credentials, none are looked for: a machine outside AWS
        would wait for an answer that cannot come. Who is not probed has them looked for all the same.
        """
        named = target.key or options.of(target.row).profile
        if not named and not any(map(os.environ.get, _TELLING)):
            wanted = (target.row.key_env, *_TELLING[:2])
            raise AttemptFailed("not_enabled", f"set {' or '.join(filter(None, wanted))}")
        try:
            await self._place(target.row.base_url or REGION, target)
            if not target.key:
                await self._keys(target)
        except AttemptFailed as error:
            raise AttemptFailed("not_enabled", error.message) from None

    async def _place(self, url: str, target: Target) -> str:
        """The region that an address or a signature wants."""
        told = options.of(target.row)
        if told.region or (target.key and REGION not in url):
            return told.region
        region = await self._once(_region, told.profile)
        if not isinstance(region, str) or not _REGION.fullmatch(region):
            raise AttemptFailed("not_enabled", _NO_REGION)
        return region

    async def _keys(self, target: Target) -> Any:
        """The credentials as they are now, which may have been due."""
        credentials = await self._once(_credentials, options.of(target.row).profile)
        if credentials is None:
            raise AttemptFailed("key_refused", _NO_CREDENTIALS)
        due = getattr(credentials, "refresh_needed", None)
        if due is not None and due():
            return await _in_thread(credentials.get_frozen_credentials)
        return credentials.get_frozen_credentials()

    async def _once(self, find: Callable[[str], Any], profile: str) -> Any:
        """What is found for a profile, looked for once for all. What was not found is looked for again."""
        key = find, profile
        task = self._found.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() or not task.result())):
            task = self._found[key] = asyncio.create_task(_in_thread(find, profile))
        try:
            return await asyncio.shield(task)
        except AttemptFailed as error:  # each who waits gets one of its own
            raise AttemptFailed(error.cause, error.message) from None


async def _in_thread(function: Callable[..., Any], *given: str) -> Any:
    try:
        return await asyncio.to_thread(function, *given)
    except Exception as error:  # files, programs and servers that are not ours: anything can be wrong
        _log.warning("AWS credentials: %s", type(error).__name__)
        told = f"its AWS credentials cannot be had ({type(error).__name__})"
        raise AttemptFailed("connect_failed", told) from None


def _session(profile: str) -> Any:
    # Only who asks AWS pays for its library.
    from botocore.session import Session

    return Session(profile=profile or None)


def _region(profile: str) -> str:
    """AWS_REGION is what its other libraries read; this one reads AWS_DEFAULT_REGION and the profile's."""
    return os.environ.get("AWS_REGION") or _session(profile).get_config_variable("region") or ""


def _credentials(profile: str) -> Any:
    return _session(profile).get_credentials()


def _signed(request: HttpRequest, keys: Any, region: str, service: str) -> HttpRequest:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    headers = {**request.headers, "host": _host(request.url)}
    made = AWSRequest(request.method, request.url, headers, request.body)
    SigV4Auth(keys, service, region).add_auth(made)
    sent = {name: value for name, value in made.headers.items() if name.lower() != "host"}
    return HttpRequest(request.method, request.url, sent, request.body)


def _host(url: str) -> str:
    """The host as the transport says it."""
    parts = urlsplit(url)
    return "localhost" if parts.scheme == "http+unix" else parts.netloc.rpartition("@")[2]
