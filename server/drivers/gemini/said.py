"""What a candidate says: the parts of its content as OpenAI's message, and how likely its tokens were."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from server.drivers import answers
from server.drivers.openai.calls import new_id
from server.errors import AttemptFailed

Json = dict[str, Any]
_MOST = 1000  # calls of a choice; nobody answers more
_SIGNATURE = "thoughtSignature"


@dataclass(slots=True)
class Calls:
    """The calls of tools of one choice so far."""

    made: int = 0
    _ids: set[str] = field(default_factory=set)

    def begin(self, theirs: Any) -> tuple[int, str]:
        """The place of the next call, and its id: Gemini's, or where it has none a new one."""
        if self.made == _MOST:
            raise AttemptFailed(answers.BROKEN, f"called more than {_MOST} tools at once")
        call_id = theirs if isinstance(theirs, str) and theirs and theirs not in self._ids else new_id()
        self._ids.add(call_id)
        self.made += 1
        return self.made - 1, call_id


def read(content: Any, calls: Calls) -> Json:
    """The members of a message, or of a delta. Raises `AttemptFailed` for what is of another shape.

    What the contract does not know is where `server.drivers.gemini.contents` finds it again: `images` and
    signatures (`extra_content`) as Google's own OpenAI-compatible API has them, other parts in `parts`.
    """
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise AttemptFailed(answers.BROKEN, "answered with content of another shape")
    parts = content.get("parts") or []
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise AttemptFailed(answers.BROKEN, "answered with parts of another shape")
    message: Json = {}
    for part in parts:
        _add(message, dict(part), calls)
    rest = {name: value for name, value in content.items() if name not in ("parts", "role")}
    return message | ({"extra": rest} if rest else {})


def _add(message: Json, part: Json, calls: Calls) -> None:
    """Adds a part, which is used up."""
    if "functionCall" in part:
        message.setdefault("tool_calls", []).append(_call(part, calls))
        return
    is_thought = part.get("thought") is True
    if "inlineData" in part and not is_thought and _add_media(message, part):
        return
    if "text" not in part and part.keys() - {_SIGNATURE, "thought"}:
        message.setdefault("parts", []).append(part)  # given back, it is sent as it came
        return
    text = part.pop("text", "")
    if not isinstance(text, str):
        raise AttemptFailed(answers.BROKEN, "answered with a text that is none")
    part.pop("thought", None)
    name = "reasoning" if is_thought else "content"
    if text or name == "content":
        message[name] = message.get(name, "") + text
    if isinstance(signature := part.get(_SIGNATURE), str):
        del part[_SIGNATURE]
        if earlier := message.get("extra_content"):
            message.setdefault("part_extras", []).append(earlier)
        message["extra_content"] = _signed(signature)
    if part:
        message.setdefault("part_extras", []).append(part)


def _call(part: Json, calls: Calls) -> Json:
    called = part.pop("functionCall")
    name = called.get("name") if isinstance(called, dict) else None
    arguments = called.get("args") if isinstance(called, dict) else None
    if not isinstance(name, str) or not name or not isinstance(arguments, dict | None):
        raise AttemptFailed(answers.BROKEN, "called a tool in another shape")
    index, call_id = calls.begin(called.get("id"))
    function: Json = {"name": name, "arguments": msgspec.json.encode(arguments or {}).decode()}
    rest = {key: value for key, value in called.items() if key not in ("id", "name", "args")}
    if rest:
        function["extra"] = rest
    made: Json = {"index": index, "id": call_id, "type": "function", "function": function}
    if isinstance(signature := part.pop(_SIGNATURE, None), str):
        part["extra_content"] = _signed(signature)
    return made | ({"extra": part} if part else {})


def _add_media(message: Json, part: Json) -> bool:
    """Adds an image or a piece of sound; not what is neither."""
    blob = part["inlineData"]
    kind = blob.get("mimeType") if isinstance(blob, dict) else None
    data = blob.get("data") if isinstance(blob, dict) else None
    if not isinstance(kind, str) or not isinstance(data, str):
        raise AttemptFailed(answers.BROKEN, "answered with data of another shape")
    if kind.startswith("image/"):
        image: Json = {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
        if isinstance(signature := part.get(_SIGNATURE), str):
            image["extra_content"] = _signed(signature)
        message.setdefault("images", []).append(image)
        return True
    if kind.startswith("audio/") and "audio" not in message:
        message["audio"] = {"id": new_id().replace("call_", "audio_"), "data": data, "mime_type": kind}
        return True
    return False


def _signed(signature: str) -> Json:
    return {"google": {"thought_signature": signature}}


class _Token(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    logprob: float = msgspec.field(name="logProbability", default=0.0)
    token: str = ""
    token_id: int | None = msgspec.field(name="tokenId", default=None)

    def told(self) -> Json:
        made: Json = {"token": self.token, "logprob": self.logprob, "bytes": list(self.token.encode())}
        return made if self.token_id is None else made | {"token_id": self.token_id}


class _Top(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    candidates: list[_Token] = []


class _Logprobs(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    chosen: list[_Token] = msgspec.field(name="chosenCandidates", default_factory=list)
    top: list[_Top] = msgspec.field(name="topCandidates", default_factory=list)
    total: float | None = msgspec.field(name="logProbabilitySum", default=None)


def logprobs(told: Any) -> Json | None:
    """OpenAI's logprobs of Gemini's (https://ai.google.dev/api/generate-content#LogprobsResult); None for
    what is none.
    """
    try:
        read = msgspec.convert(told, _Logprobs)
    except msgspec.ValidationError:
        return None
    content = [token.told() for token in read.chosen]
    for item, top in zip(content, read.top, strict=False):
        item["top_logprobs"] = [token.told() for token in top.candidates]
    return {"content": content} | ({} if read.total is None else {"log_probability_sum": read.total})
