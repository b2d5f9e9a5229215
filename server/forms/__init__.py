"""How the contract looks in OpenAI's JSON: `lower` writes requests, `printed` answers; `lift` reads it, and
`check` finds faults.

Driven by the descriptors and the `form` and `discriminator` options of `form.proto`, so that a new
field of the contract needs no code here. The edge does the same lifting for REST callers in Lua.
"""

from server.forms.faults import check
from server.forms.lifting import Spellings, lift
from server.forms.lowering import lower, plain
from server.forms.printing import printed
from server.forms.shapes import JSON_FAULTS, case

__all__ = ["JSON_FAULTS", "Spellings", "case", "check", "lift", "lower", "plain", "printed"]
