"""What Bedrock's errors mean, as answers and as events of a stream.

https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from server.drivers import answers, failures
from server.drivers.base import Target
from server.errors import AttemptFailed, Cause
from server.transport import HttpAnswer

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
# An error's word: the status that it comes with, which an event of a stream does not say.
_STATUSES: Final = {
    "ValidationException": 400,
    "ThrottlingException": 429,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}
# Words that mean something else than their status does elsewhere.
_CAUSES: Final[Mapping[str, Cause]] = {
    "ModelErrorException": "server_error",
    "ModelStreamErrorException": "server_error",
    "ServiceQuotaExceededException": "quota_exceeded",
    "RequestTimeTooSkewed": "key_refused",
}
# Words of AWS's that tell of credentials, and what is wrong with them.
# https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html
_CREDENTIALS: Final = {
    "ExpiredTokenException": "they have expired",
    "ExpiredToken": "they have expired",
    "UnrecognizedClientException": "they are not known",
    "InvalidClientTokenId": "they are not known",
    "InvalidSignatureException": "the signature does not match: is the secret key right, and the clock?",
    "SignatureDoesNotMatch": "the signature does not match: is the secret key right, and the clock?",
    "IncompleteSignature": "the signature is not whole",
    "MissingAuthenticationToken": "there were none",
    "MissingAuthenticationTokenException": "there were none",
    "NotAuthorized": "they are not allowed this",
}
# Words in a ValidationException that say what the model lacks, not what is wrong with the request.
_NO_MODEL: Final = re.compile(
    r"model identifier is invalid|on-demand throughput isn.t supported"
    r"|model .{0,200}(?:end of its life|not found)"
)
_LACKS: Final = re.compile(r"(?:model|operation) (?:does ?n.t|does not|is not|isn.t) support")
_BAD_KEY: Final = re.compile(r"API [Kk]ey|[Bb]earer|security token")
# What only a key or a token looks like: a hostile server may say what it was sent.
_SECRET: Final = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|[A-Za-z0-9+/=%_-]{100,}")


def of_answer(answer: HttpAnswer, target: Target) -> Exception:
    """Reads an answer that is no success: its word is in a header, or in the body."""
    body = answers.try_decode(answer.body)
    word = answer.headers.get("x-amzn-errortype", "") or (
        body.get("__type", "") if isinstance(body, dict) else ""
    )
    word = word.partition(":")[0].rpartition("#")[2] if isinstance(word, str) else ""
    return _read(answer.status, word, _message(body), target, answer.headers)


def of_event(name: str, payload: bytes, target: Target) -> Exception:
    """Reads an event that ends a stream with an error."""
    word = name[:1].upper() + name[1:]
    body = answers.try_decode(payload)
    return _read(_STATUSES.get(word, 500), word, _message(body), target, _NO_HEADERS)


def _message(body: Any) -> str:
    """What is said, and what the model itself said of it."""
    if not isinstance(body, dict):
        return ""
    said = (body.get("message"), body.get("Message"), body.get("originalMessage"))
    return _SECRET.sub("[key]", " ".join(dict.fromkeys(one for one in said if isinstance(one, str))))


def _read(status: int, word: str, message: str, target: Target, headers: Mapping[str, str]) -> Exception:
    if word in _CREDENTIALS or (status == 403 and _BAD_KEY.search(message)):
        return _of_credentials(status, word, message, target)
    body = {"error": {"message": message, "type": word}}
    cause = _CAUSES.get(word) or (_lack(message) if status == 400 else None)
    if cause is None:
        return failures.read(status, headers, body, target)
    return AttemptFailed(cause, str(failures.read(500, headers, body, target)), status=status)


def _lack(message: str) -> Cause | None:
    if _NO_MODEL.search(message):
        return "no_such_model"
    return "parameter_unsupported" if _LACKS.search(message) else None


def _of_credentials(status: int, word: str, message: str, target: Target) -> Exception:
    """AWS's own words may repeat all that was signed, a token included: known words get ours instead."""
    if target.key:
        told = {"error": {"message": "" if word in _CREDENTIALS else message}}
        return AttemptFailed(
            "key_refused", str(failures.read(401, _NO_HEADERS, told, target)), status=status
        )
    why = _CREDENTIALS.get(word) or str(failures.read(500, _NO_HEADERS, {"message": message}, target))
    return AttemptFailed("key_refused", f"it refused the AWS credentials: {why}", status=status)
