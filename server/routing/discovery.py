"""Keeps each provider's list of models fresh, and finds out which keyless servers are there."""

import asyncio
import logging
from contextlib import suppress

from server.errors import AttemptFailed, InterferenceError
from server.routing.roster import Provider, Roster

_log = logging.getLogger(__name__)
_FRESH = 300.0  # seconds that a list is good for
_RETRY = 20.0  # seconds until one that could not be had, or a probed server, is asked again
_ABSENT = 2.0  # seconds until a server that was not there is looked for again
_LIMIT = 10.0  # seconds for one list
_PROBES = 1.5  # seconds that the start waits for servers on this machine


class Discovery:
    """Asks the providers that can be asked for their models, at the start and from time to time."""

    def __init__(self, roster: Roster) -> None:
        self._providers = [
            provider
            for provider in roster
            if (provider.row.probe or provider.row.discover) and not provider.lacking
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begins to keep the lists fresh; returns when servers on this machine answered or did not."""
        self._tasks = [asyncio.create_task(self._keep(provider)) for provider in self._providers]
        await self.first(_PROBES, probes_only=True)

    async def first(self, limit: float = _LIMIT, *, probes_only: bool = False) -> None:
        """Asks everybody once, for at most `limit` seconds."""
        asked = [refresh(p) for p in self._providers if p.row.probe or not probes_only]
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await asyncio.gather(*asked)

    async def stop(self) -> None:
        """Ends it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, provider: Provider) -> None:
        if provider.row.probe:  # `start` has just asked
            await asyncio.sleep(_pause(provider))
        while True:
            fresh = await refresh(provider) and not provider.row.probe
            await asyncio.sleep(_FRESH if fresh else _pause(provider))


async def refresh(provider: Provider) -> bool:
    """Asks one provider for its models. A list once known stays when a later try fails."""
    try:
        async with asyncio.timeout(_LIMIT):
            models = await provider.driver.models(provider.target(""))
    except Exception as error:  # whatever it is, it must not end the asking
        if not isinstance(error, AttemptFailed | InterferenceError | TimeoutError):
            _log.exception("%s: a defect in reading its models", provider.id)
        if provider.row.probe:
            provider.unreachable = _why(error, provider)
        return False
    provider.unreachable = ""
    if provider.row.discover:
        provider.learn(models)
    return True


def _pause(provider: Provider) -> float:
    """Seconds until a provider is asked again; to see whether a server is there costs next to nothing."""
    return _ABSENT if provider.unreachable and provider.row.base_url else _RETRY


def _why(error: Exception, provider: Provider) -> str:
    """Why a provider cannot be asked, in the words of its driver where it is more than out of reach."""
    if isinstance(error, InterferenceError):
        return error.message
    if isinstance(error, AttemptFailed) and error.cause not in ("connect_failed", "connection_lost"):
        return error.message
    return f"nothing answers at {provider.row.base_url}" if provider.row.base_url else "nothing answers"
