"""Other gateways, to run the same loads on: each from a folder of its own, as its lock file says.

`python -m tests.bench.peers install` installs them; the benchmark takes those that are there.
"""

from collections.abc import Mapping

from tests.bench.peers.peer import Peer
from tests.bench.peers.setups import GPT4FREE, LITELLM, PORTKEY, TENSORZERO

PEERS: Mapping[str, Peer] = {peer.name: peer for peer in (TENSORZERO, PORTKEY, GPT4FREE, LITELLM)}
