"""What a call carries on to providers that are servers like this one, and how a circle of them is found.

Each server adds its name to `cdn-loop`, and refuses a request that it has seen, or that comes from afar.
https://www.rfc-editor.org/rfc/rfc8586
"""

import re
from collections.abc import Mapping

from server.drivers.http import LOOP_HEADER
from server.errors import LoopDetected
from server.services.call import Call, Context

_AS_IT_CAME = ("x-request-id", "traceparent", "tracestate")  # https://www.w3.org/TR/trace-context/
_MAX_HOPS = 8
_MAX_LOOP = 1024  # bytes of the header
_MAX_VALUE = 512  # bytes of a header that is carried on: what W3C has vendors keep of `tracestate`
_MEMBER = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')  # of a list, in which a comma may be quoted


def carried(call: Call, context: Context, name: str) -> Mapping[str, str]:
    """The headers that go along. Raises `LoopDetected` where this server, `name`, is not to answer."""
    headers = call.headers
    found = {}
    for key in _AS_IT_CAME:
        # What is longer is no trace, and could make a provider refuse the call for its headers.
        if (value := headers.get(key)) and len(value) <= _MAX_VALUE:
            found[key] = value
    if LOOP_HEADER in headers:
        found[LOOP_HEADER] = _followed(_before(context), name)
    elif name:
        found[LOOP_HEADER] = name
    return found


def _followed(before: str, name: str) -> str:
    """Who has had the request, up to this server."""
    if len(before) > _MAX_LOOP:  # looked at first, for long ones take long to read
        raise _loop(f"The request has passed more than {_MAX_HOPS} servers.")
    passed = [member.partition(";")[0].strip() for member in _MEMBER.findall(before)]
    passed = [one for one in passed if one]
    if name in passed:
        raise _loop("The request has been here before: servers ask each other in a circle.")
    if len(passed) > _MAX_HOPS:
        raise _loop(f"The request has passed more than {_MAX_HOPS} servers.")
    return ", ".join(filter(None, (before if passed else "", name)))


def _loop(message: str) -> LoopDetected:
    return LoopDetected(message, http_status=508)  # https://www.rfc-editor.org/rfc/rfc5842#section-7.2


def _before(context: Context) -> str:
    """Who has had the request before, in however many headers they say so."""
    return ", ".join(str(value) for key, value in context.invocation_metadata() or () if key == LOOP_HEADER)
