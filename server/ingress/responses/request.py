"""OpenAI's Responses API on the way in: its requests as the contract has them.

https://platform.openai.com/docs/api-reference/responses/create

Nothing is stored, so that what refers to something stored is refused, and `store` decides nothing;
`metadata` labels the answer alone. Defaults go without saying, so that nobody is passed over for one.
"""

from typing import Any, Final
from uuid import uuid4

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.message_pb2 import ChatMessage, ContentPart
from interference.v1.options_pb2 import (
    Moderation,
    ModerationAction,
    ModerationPolicy,
    PromptCacheOptions,
    StreamOptions,
)
from server.forms import JSON_FAULTS
from server.ingress.base import Asked
from server.ingress.responses.events import ResponsesAnswer
from server.ingress.responses.items import messages
from server.ingress.responses.output import Told
from server.ingress.responses.tools import text_format, tool_choice, tools
from server.ingress.steering import steer
from server.ingress.wire import Members, body, fault

_LOGPROBS: Final = "message.output_text.logprobs"
# What `include` may ask for. All but the logprobs concern tools that are not run here, or reasoning that is
# encrypted, and add nothing.
_INCLUDABLE: Final = (
    _LOGPROBS,
    "reasoning.encrypted_content",
    "message.input_image.image_url",
    "web_search_call.results",
    "web_search_call.action.sources",
    "file_search_call.results",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
)
_SEND_ALL: Final = "is not served: nothing is stored here; send the whole conversation in `input`"
_STORED: Final = ("previous_response_id", "conversation")
# What the contract's fields are called here, where that is something else.
_NAMES: Final = {
    "logprobs": "include",
    "max_completion_tokens": "max_output_tokens",
    "messages": "input",
    "providers": "provider",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "web_search_options": "tools",
}
# What agents send with every request, whatever the model.
_DISPENSABLE: Final = ("reasoning_effort", "parallel_tool_calls")
# What a response says of its request, and what it says where the request does not.
_ECHO: Final[dict[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "reasoning": None,
    "safety_identifier": None,
    "service_tier": None,
    "temperature": None,
    "text": None,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "user": None,
}


def read(text: bytes) -> Asked:
    """Reads a request. Raises `InvalidRequest`."""
    request = body(text)
    echo = _echo(request)
    _refuse_stored(request)
    stream = request.flag("stream") or False
    found = CreateCompletionRequest(
        model=request.text("model") or "",
        messages=_messages(request),
        max_completion_tokens=request.whole("max_output_tokens"),
        temperature=request.number("temperature"),
        top_p=request.number("top_p"),
        presence_penalty=request.number("presence_penalty"),
        frequency_penalty=request.number("frequency_penalty"),
        user=request.text("user"),
        safety_identifier=request.text("safety_identifier"),
        prompt_cache_key=request.text("prompt_cache_key"),
        prompt_cache_retention=request.text("prompt_cache_retention"),
        prompt_cache_options=_prompt_cache(request),
        moderation=_moderation(request),
    )
    if (tier := request.text("service_tier")) not in (None, "auto"):
        found.service_tier = tier or ""
    _tools(request, found)
    _logprobs(request, found)
    _text(request, found)
    summed_up = _reasoning(request, found)
    options = _stream_options(request)
    if stream:
        found.stream_options.CopyFrom(options)
    _decide_nothing(request)
    steer(request, found)
    request.leave(found)
    told = Told(token=uuid4().hex, model=found.model, summed_up=summed_up, echo=echo)
    return Asked(found, stream, ResponsesAnswer(told), names=_NAMES, hints=_DISPENSABLE)


def _messages(request: Members) -> list[ChatMessage]:
    instructions = request.text("instructions")
    said = messages(request)
    if instructions is not None:
        said.insert(0, ChatMessage(role="system", content=[ContentPart(text=instructions)]))
    if not said:
        raise fault("input", "must hold at least one message")
    return said


def _tools(request: Members, found: CreateCompletionRequest) -> None:
    """Chat refuses what is said about tools where there are none."""
    given = tools(request)
    searching = given.web_search is not None and request.peek_text("tool_choice") != "none"
    choice = tool_choice(request, given)
    found.tools.extend(given.tools)
    if given.web_search is not None and searching:
        found.web_search_options.CopyFrom(given.web_search)
    if choice is not None:
        found.tool_choice.CopyFrom(choice)
    if request.flag("parallel_tool_calls") is False and given.tools:
        found.parallel_tool_calls = False
    if request.whole("max_tool_calls") is not None and searching:
        raise fault("max_tool_calls", "is not served beside web search: searches are not counted")


def _logprobs(request: Members, found: CreateCompletionRequest) -> None:
    included = request.texts("include") or []
    for index, name in enumerate(included):
        if name not in _INCLUDABLE:
            raise fault(f"include[{index}]", f"must be one of {', '.join(_INCLUDABLE)}")
    top = request.whole("top_logprobs") or 0
    if top or _LOGPROBS in included:
        found.logprobs = True
    if top:
        found.top_logprobs = top


def _text(request: Members, found: CreateCompletionRequest) -> None:
    text = request.object("text")
    if text is None:
        return
    form = text_format(text)
    if form is not None:
        found.response_format.CopyFrom(form)
    if (verbosity := text.text("verbosity")) not in (None, "medium"):
        found.verbosity = verbosity or ""
    request.put_back("text", text)


def _reasoning(request: Members, found: CreateCompletionRequest) -> bool:
    """Whether the reasoning is to be told as its summary: clients that ask for a summary show nothing else.

    `context` decides nothing: what the conversation holds is sent.
    """
    reasoning = request.object("reasoning")
    if reasoning is None:
        return False
    if (effort := reasoning.text("effort")) is not None:
        found.reasoning_effort = effort
    if reasoning.text("mode") not in (None, "standard"):
        raise fault("reasoning.mode", "must be standard")
    asked = [reasoning.text(name) for name in ("summary", "generate_summary")]
    reasoning.skip("context")
    request.put_back("reasoning", reasoning)
    return any(asked)


def _stream_options(request: Members) -> StreamOptions:
    """The usage is always asked for, because the last event tells it."""
    options = StreamOptions(include_usage=True)
    if (given := request.object("stream_options")) is not None:
        given.flag("include_usage")
        if (padded := given.flag("include_obfuscation")) is not None:
            options.include_obfuscation = padded
        given.leave(options)
    return options


def _prompt_cache(request: Members) -> PromptCacheOptions | None:
    given = request.object("prompt_cache_options")
    if given is None:
        return None
    options = PromptCacheOptions(mode=given.text("mode"), ttl=given.text("ttl"))
    given.leave(options)
    return options


def _moderation(request: Members) -> Moderation | None:
    given = request.object("moderation")
    if given is None:
        return None
    found = Moderation(model=given.required_text("model"))
    if (policy := given.object("policy")) is not None:
        found.policy.CopyFrom(
            ModerationPolicy(input=_moderate(policy, "input"), output=_moderate(policy, "output"))
        )
        policy.leave(found.policy)
    given.leave(found)
    return found


def _moderate(policy: Members, side: str) -> ModerationAction | None:
    given = policy.object(side)
    if given is None:
        return None
    action = ModerationAction(mode=given.required_text("mode"))
    given.leave(action)
    return action


def _refuse_stored(request: Members) -> None:
    """Refuses what would have to be kept between two requests."""
    for name in _STORED:
        if request.has(name):
            raise fault(name, _SEND_ALL)
    if request.has("prompt"):
        raise fault(
            "prompt", "is not served: no templates are stored here; send `instructions` and `input`"
        )
    if request.flag("background"):
        raise fault(
            "background", "cannot be true: nothing is stored here; wait for the answer, or stream it"
        )
    request.skip(*_STORED, "prompt", "background_options")


def _decide_nothing(request: Members) -> None:
    """Takes what has no meaning here, and refuses it where it would have had one."""
    request.flag("store")
    request.labels("metadata")
    if request.text("truncation") not in (None, "disabled"):
        raise fault("truncation", "must be disabled: no input is dropped")
    if request.objects("context_management"):
        raise fault("context_management", "is not served: no input is made shorter")
    if (image := request.object("image")) is not None:
        if image.text("context_compression") == "enabled":
            raise fault("image.context_compression", "cannot be enabled: images are sent as they are")
        request.put_back("image", image)


def _echo(request: Members) -> dict[str, Any]:
    """What the answer says of the request: `request` with nothing taken from it yet."""
    echo = {name: request.peek(name) or default for name, default in _ECHO.items()}
    for name, defaults in (
        ("text", {"format": {"type": "text"}}),
        ("reasoning", {"effort": None, "summary": None}),
    ):
        given = echo[name]
        echo[name] = defaults | (_members(given) if given is not None else {})
    return echo


def _members(value: msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The members of what may be an object; what is none is refused where it is read."""
    try:
        return msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except JSON_FAULTS:
        return {}
