"""What upstreams say in ways of their own, mended before it is read: the same thing in OpenAI's words."""

from typing import Any

import msgspec

from interference.v1.completion_pb2 import AnswerMessage, Choice, ChunkChoice
from server.drivers.openai import calls
from server.profile import Profile

# Other spellings of the contract's `reasoning` (DeepSeek, vLLM, llama.cpp, xAI ...).
SPELLINGS = (("reasoning_content", "reasoning"), ("provider", ""))  # the latter is ours to say


def mend(decoded: dict[str, Any], member: str, profile: Profile) -> None:
    """Mends a whole answer (`member` is `message`), a chunk (`delta`) or a text (none) in place."""
    choices = decoded.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            _mend_choice(choice, member, profile)
            if usage := choice.pop("usage", None):  # Moonshot
                decoded["usage"] = usage
    groq = decoded.get("x_groq")
    if isinstance(groq, dict) and groq.get("usage") and not decoded.get("usage"):
        decoded["usage"] = groq["usage"]


def _mend_choice(choice: dict[str, Any], member: str, profile: Profile) -> None:
    reason = choice.get("finish_reason")
    if profile.finish_reasons and isinstance(reason, str):
        ours = profile.finish_reasons.get(reason, reason)
        choice["finish_reason"] = ours
        if ours == "error":
            choice.setdefault("error", {"message": f"its answer ended with {reason}"})
    message = choice.get(member)
    if not isinstance(message, dict):
        return
    if member == "delta":
        choice.pop("message", None)  # Perplexity's: all that was said so far, once more
    if isinstance(message.get("content"), list):
        _join_parts(message)
    if "reasoning_content" in message and message["reasoning_content"] == message.get("reasoning"):
        del message["reasoning_content"]
    called = message.get("tool_calls")
    for call in called if isinstance(called, list) else ():
        if isinstance(call, dict):
            _mend_call(call)


def _mend_call(call: dict[str, Any]) -> None:
    if call.get("id") == "null":  # Mistral's default
        del call["id"]
    function = call.get("function")
    if isinstance(function, dict) and isinstance(function.get("arguments"), dict):
        function["arguments"] = msgspec.json.encode(function["arguments"]).decode()


def finished(choice: Choice | ChunkChoice, profile: Profile) -> None:
    """Says that tools were called, where a vendor says no more than that an answer with calls has ended."""
    ended = choice.HasField("finish_reason") and choice.finish_reason in ("", "stop")
    if profile.finish_on_tools and ended:
        choice.finish_reason = "tool_calls"


def name_calls(message: AnswerMessage) -> None:
    """Gives the tool calls of a whole message what callers need to answer them: an id, and their type."""
    taken: set[str] = set()
    for call in message.tool_calls:
        if not call.id or call.id in taken:
            call.id = calls.new_id()
        taken.add(call.id)
        call.type = call.type or calls.kind(call)


def _join_parts(message: dict[str, Any]) -> None:
    """Content in parts (https://docs.mistral.ai/capabilities/reasoning): text, and thinking before it."""
    parts = message["content"]
    if not all(isinstance(part, dict) for part in parts):
        return
    text = [part.get("text") for part in parts if part.get("type") == "text"]
    thinking = [part.get("thinking") for part in parts if part.get("type") == "thinking"]
    thought = [
        inner.get("text") if isinstance(inner, dict) else inner
        for inner in (t for item in thinking for t in (item if isinstance(item, list) else [item]))
    ]
    if len(text) + len(thinking) != len(parts) or not all(isinstance(t, str) for t in (*text, *thought)):
        return
    del message["content"]
    if text:
        message["content"] = "".join(map(str, text))
    if thought:
        name = "thinking" if message.get("reasoning") else "reasoning"
        message[name] = "".join(map(str, thought))
