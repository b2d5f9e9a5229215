"""Whether there is something to ask."""

from server.verify.case import Case, expect
from server.verify.peer import Peer
from server.verify.services import SERVICES

_LISTS = {"models"}  # which answers no request


async def _services(peer: Peer) -> str:
    for service in SERVICES.values():
        missing = [method.name for method in service.methods if method not in peer.had]
        half = 0 < len(missing) < len(service.methods)
        expect(not half, f"UNIMPLEMENTED: {', '.join(missing)}")
    there = peer.wanted - peer.lacking.keys()
    reasons = dict.fromkeys(peer.lacking[name] for name in SERVICES if name in peer.wanted - there)
    expect(there - _LISTS or (there and peer.wanted == _LISTS), "; ".join(reasons))
    return ", ".join(service.label for name, service in SERVICES.items() if name in there)


CASES = (
    Case(
        "services",
        "",
        asks="each method of the contract, with an empty request",
        wants="one of Chat, Completions, Embeddings and Images at least, each with all of its methods",
        mend="register the service under `interference.v1`; have CreateCompletion and StreamCompletion "
        "both, as callers ask either",
        check=_services,
    ),
)
