"""Asks Bedrock over HTTP, and says whether anybody is there to ask as."""

from server.drivers.base import Dialect, Listed, Target
from server.drivers.bedrock import models
from server.drivers.bedrock.signing import Signer
from server.drivers.http import HttpDriver
from server.transport import Transport


class BedrockDriver(HttpDriver):
    """Answers with what Bedrock answers."""

    def __init__(self, dialect: Dialect, transport: Transport) -> None:
        signer = Signer()
        super().__init__(dialect, transport, signer)
        self._signer = signer

    async def models(self, target: Target) -> list[Listed]:
        """The models and profiles of the region, where the row wants to know: that takes permissions of its
        own.

        Raises `AttemptFailed`, too, where there are no credentials.
        """
        await self._signer.check(target)
        if not target.row.discover:
            return []
        known = await self._fetch(models.request(target), target)
        return models.read_all(known, await self._fetch(models.profiles_request(target), target))
