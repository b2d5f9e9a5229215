"""What it means that an app does not answer, or that its job has failed."""

import re
from collections.abc import Mapping
from typing import Any, Final

from server.drivers import answers, failures
from server.drivers.base import Target
from server.errors import AttemptFailed, RequestRefused
from server.transport import HttpAnswer

# https://huggingface.co/docs/hub/spaces-zerogpu#usage-tiers, as in: `You have exceeded your GPU quota (60s
# requested vs. 40s left). Try again in 0:12:34`.
_QUOTA: Final = re.compile(r"\bquota\b", re.IGNORECASE)
_AGAIN: Final = re.compile(
    r"(?:again|retry)\D{0,20}?(?:(\d{1,3}) days?, )?(\d{1,3}):(\d{2}):(\d{2})", re.IGNORECASE
)
# What Gradio's own inputs say of a value that is wrong, in the words of its components: Slider, Number,
# Dropdown, Radio, CheckboxGroup.
_WRONG: Final = re.compile(
    r"Value:? .* is (?:greater than maximum|less than minimum|not in the list of choices)", re.DOTALL
)
_FULL: Final = re.compile(r"\bqueue is full\b", re.IGNORECASE)
_DAY: Final = 86_400.0
_NO_WORDS: Final = (
    "its app failed and gave no reason: a crash, a value of the wrong kind, or on ZeroGPU perhaps a quota "
    "that is used up"
)
# Hugging Face's own pages in the place of an app that does not run.
_PAGES: Final = {
    404: "there is no such Space, or it is private and the key may not see it",
    502: "the Space does not answer: it may be starting or have crashed",
    503: "the Space does not run: it sleeps, is paused, or is being built",
    504: "the Space does not answer in time",
}


def broken(message: str) -> AttemptFailed:
    """What an app answers is not what its API promises."""
    return AttemptFailed(answers.BROKEN, message)


def of_job(message: Any, title: Any, target: Target) -> Exception:
    """Why a job failed, in the words of the app where it has any.

    An app's own error (`gr.Error`) says little of whose fault it is, so that another provider is asked and
    the app is not blamed. That a quota is used up and a value out of range is known by Gradio's words.
    """
    told = message if isinstance(message, str) else ""
    heading = title if isinstance(title, str) and title != "Error" else ""
    words = failures.words(": ".join(filter(None, (heading, told))), target)
    if not told.strip():
        return AttemptFailed("server_error", f"{_NO_WORDS} ({words})" if words else _NO_WORDS)
    if _QUOTA.search(words):
        return AttemptFailed("quota_exceeded", words, retry_after=_retry_after(words))
    if _WRONG.search(words):
        return RequestRefused(
            f"{target.row.id} refused the request: {words}", provider=target.row.id, model=target.model
        )
    return AttemptFailed("server_error", words, blame=False)


def of_answer(answer: HttpAnswer, target: Target) -> Exception:
    """Why a request was not taken: in the app's words, or by Hugging Face's page in its place."""
    body = answers.try_decode(answer.body)
    told = body.get("detail") if isinstance(body, Mapping) else None
    if isinstance(told, str) and _FULL.search(told):
        words = failures.words(told, target)
        return AttemptFailed("rate_limited", words, status=answer.status)
    error = failures.read(answer.status, answer.headers, body, target)
    if body is None and isinstance(error, AttemptFailed) and answer.status in _PAGES:
        error.message = _PAGES[answer.status]
    return error


def _retry_after(words: str) -> float | None:
    found = _AGAIN.search(words)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return min(days * _DAY + hours * 3600 + minutes * 60 + seconds, _DAY)
