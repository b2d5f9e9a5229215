"""Whether a provider is worth asking once more before the next one is, and after which pause."""

import random

from server.errors import AttemptFailed
from server.rows import Retry

_PATIENCE = 1.0  # seconds to wait for a provider while there is another to ask


def pause(
    settings: Retry, error: AttemptFailed, tries: int, *, last: bool, remaining: float | None
) -> float | None:
    """Seconds until the next try; None where there is to be none.

    A connection that could not be made is tried again after an exponential backoff with full jitter
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). A provider that says when
    to return is waited for where that is soon, or, if it is the last one, within the `remaining` seconds
    that the caller gave.
    """
    if tries >= settings.times:
        return None
    backoff = random.uniform(0, min(settings.base * 2.0**tries, settings.longest))  # noqa: S311 - no secret
    if error.cause == "connect_failed":
        return backoff if remaining is None or backoff < remaining else None
    if error.retry_after is None or not (error.cause == "rate_limited" or error.status == 503):
        return None
    if error.status is None and not last:  # it was not called: it is known to want to be left alone
        return None
    patience = remaining if last and remaining is not None else _PATIENCE
    wait = error.retry_after + backoff
    fits = error.retry_after <= patience and (remaining is None or wait < remaining)
    return wait if fits else None
