"""All faults by name. Each goes on where the good answer has been sent up to its stage; `table` says what
callers must see then. Those of the connection, which can come anywhere, are here.
"""

from tests.hostile import bodies, heads, lengths
from tests.hostile.call import Call
from tests.hostile.fault import Faults, into

FAULTS: Faults = {**heads.FAULTS, **lengths.FAULTS, **bodies.FAULTS}
fault = into(FAULTS)


@fault
async def reset(call: Call) -> None:
    """RST."""
    call.reset()


@fault
async def close(call: Call) -> None:
    """FIN."""
    call.close()


@fault
async def silence(call: Call) -> None:
    """Nothing more."""
    await call.silence()


@fault
async def drip(call: Call) -> None:
    """The rest, a byte at a time."""
    for byte in call.answer.after(call.stage):
        await call.send(bytes([byte]))
        await call.pause(0.2)
