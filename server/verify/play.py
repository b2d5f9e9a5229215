"""Plays the cases one after the other, each within its time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable

from server.verify.case import Case, Fault, NotHad, Outcome, State
from server.verify.peer import Peer

_SLOW = 1.0  # seconds, after which a line says what is going on


async def played(peer: Peer, cases: Iterable[Case], say: Callable[[str], None]) -> AsyncIterator[Outcome]:
    """What came of each case. `say` is given a line for one that takes long."""
    for case in cases:
        if case.service in peer.lacking:
            yield Outcome(case, "not had", peer.lacking[case.service], 0.0)
        else:
            yield await _played(peer, case, say)


async def _played(peer: Peer, case: Case, say: Callable[[str], None]) -> Outcome:
    begun = time.monotonic()

    def slow() -> None:
        say(f"... {case.name} takes its time (at most {peer.limit:g} s)")

    telling = asyncio.get_running_loop().call_later(_SLOW, slow)
    try:
        state, came = await _result(peer, case)
    finally:
        telling.cancel()
    return Outcome(case, state, came, time.monotonic() - begun)


async def _result(peer: Peer, case: Case) -> tuple[State, str]:
    try:
        async with asyncio.timeout(peer.limit):
            return "ok", await case.check(peer)
    except TimeoutError:
        return "fault", f"nothing more within {peer.limit:g} s"
    except Fault as fault:
        return "fault", str(fault)
    except NotHad as not_had:
        return "not had", str(not_had)
