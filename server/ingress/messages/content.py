"""Anthropic's conversation as the contract has it: blocks become parts, tool calls and tool messages.

What only marks a block (`cache_control`, `citations`, a thought's `signature`) does not change what is said
and is passed over. What other providers cannot be told is refused by its name.
https://platform.claude.com/docs/en/api/messages
"""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from interference.v1.message_pb2 import ChatMessage, ContentPart, ImageUrl, InputFile
from interference.v1.tool_pb2 import FunctionCall, ToolCall
from server.errors import InvalidRequest
from server.ingress.additions import give_back
from server.ingress.chat import Parts, one_text, tool_message
from server.ingress.wire import Members, begins, extra_json, fault

_PartReader = Callable[[Members], Parts]

_HINTS = ("cache_control", "citations", "transformations", "caller", "toolset_name", "parsed_output")
# What a document is called that has no title, by its type: providers read the type off the name.
_NAMES = {
    "application/pdf": "document.pdf",
    "application/json": "document.json",
    "application/msword": "document.doc",
    "application/rtf": "document.rtf",
    "application/vnd.ms-excel": "document.xls",
    "application/vnd.ms-powerpoint": "document.ppt",
    "application/vnd.oasis.opendocument.text": "document.odt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "document.pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "document.xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "document.docx",
    "text/csv": "document.csv",
    "text/html": "document.html",
    "text/markdown": "document.md",
    "text/plain": "document.txt",
}


def system(request: Members) -> Iterator[ChatMessage]:
    """The system prompt, which chat has as a first message."""
    if request.has("system") and (blocks := _blocks(request, "system")):
        yield _instructions("system", blocks)
    request.skip("system")


def conversation(request: Members) -> Iterator[ChatMessage]:
    """The messages, in their order. The results of tools stand before what else their message says."""
    messages = request.objects("messages")
    if messages is None:
        raise fault("messages", "is required: a list of at least one message")
    for message in messages:
        role = message.required_text("role")
        blocks = _blocks(message, "content")
        if role == "user":
            told = _user(blocks)
        elif role == "assistant":
            told = [_assistant(blocks)]
        elif role in ("system", "developer"):
            told = [_instructions(role, blocks)]
        else:
            raise fault(message.where("role"), "must be user, assistant or system")
        message.leave(told[-1])
        yield from told


def _blocks(holder: Members, name: str) -> list[tuple[str, Members]]:
    """The type and the members of each block; a string is one block of text."""
    content = holder.text_or_parts(name)
    if content is None:
        raise fault(holder.where(name), "is required: a string or a list of blocks")
    if isinstance(content, str):
        return [("text", Members({"text": msgspec.Raw(msgspec.json.encode(content))}))]
    return [(block.required_text("type"), block) for block in content]


# --- Messages --------------------------------------------------------------------------------------


def _instructions(role: str, blocks: list[tuple[str, Members]]) -> ChatMessage:
    parts = [part for kind, block in blocks for part in _parts(kind, block, _TEXT_READERS)]
    return ChatMessage(role=role, content=one_text(parts, "\n"))


def _user(blocks: list[tuple[str, Members]]) -> list[ChatMessage]:
    """A user's message: a `tool` message for each result, then the rest, where there is any."""
    results: list[ChatMessage] = []
    parts: Parts = []
    rest: Parts = []
    for kind, block in blocks:
        if kind == "tool_result":
            result, seen = _tool_result(block)
            results.append(result)
            parts += seen
        else:
            rest += _parts(kind, block, _READERS)
    parts += rest
    if results and not parts:
        return results
    return [*results, ChatMessage(role="user", content=parts or [ContentPart(text="")])]


def _tool_result(block: Members) -> tuple[ChatMessage, Parts]:
    """The `tool` message, and what it cannot hold."""
    call = block.required_text("tool_use_id")
    failed = block.flag("is_error") or False
    parts = _inner(block, _READERS) if block.has("content") else []
    block.skip(*_HINTS, "content")
    told, seen = tool_message(call, parts, failed=failed)
    block.leave(told)
    return told, seen


def _assistant(blocks: list[tuple[str, Members]]) -> ChatMessage:
    """An assistant's message: its texts as one, all its thoughts, all its calls.

    Thoughts are a text of the message in chat, and what nobody knows of them is the message's own.
    """
    parts: Parts = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    extra: dict[str, msgspec.Raw] = {}
    for kind, block in blocks:
        if kind == "thinking":
            thoughts.append(block.required_text("thinking"))
            block.skip(*_HINTS, "signature")
            extra |= block.unknown(ChatMessage)
        elif kind == "tool_use":
            calls.append(_tool_use(block))
        elif kind not in ("redacted_thinking", "fallback") and not _is_search(kind, block):
            parts += _parts(kind, block, _ASSISTANT_READERS)
    if not parts and not calls:
        parts = [ContentPart(text="")]  # chat wants one of them
    reasoning = "\n".join(filter(None, thoughts)) or None
    told = ChatMessage(role="assistant", content=one_text(parts, ""), reasoning=reasoning, tool_calls=calls)
    extra_json(told, extra)
    return told


def _is_search(kind: str, block: Members) -> bool:
    """Whether a block is the call of a web search, of which the results beside it tell enough."""
    return kind == "server_tool_use" and block.text("name") == "web_search"


def _tool_use(block: Members) -> ToolCall:
    arguments = block.json("input")
    if arguments is None:
        raise fault(block.where("input"), "is required: an object")
    function = FunctionCall(name=block.required_text("name"), arguments=arguments)
    call = ToolCall(id=block.required_text("id"), type="function", function=function)
    block.skip(*_HINTS)
    give_back(call, block)
    return call


# --- Blocks ----------------------------------------------------------------------------------------


def _parts(kind: str, block: Members, readers: Mapping[str, _PartReader]) -> Parts:
    """What a block says."""
    if kind not in readers:
        raise _unserved(block, kind)
    parts = readers[kind](block)
    block.skip(*_HINTS)
    if parts:
        block.leave(parts[-1])
    return parts


def _inner(holder: Members, readers: Mapping[str, _PartReader]) -> Parts:
    """What the blocks in a block's `content` say."""
    return [part for kind, block in _blocks(holder, "content") for part in _parts(kind, block, readers)]


def _text(block: Members) -> Parts:
    return [ContentPart(text=block.required_text("text"))]


def _image(block: Members) -> Parts:
    source, kind = _source(block)
    if kind == "base64":
        url = _data_url(source)
    elif kind == "url":
        url = source.required_text("url")
    else:
        raise _unserved(source, kind, "send the image as base64 or by url")
    image = ImageUrl(url=url)
    source.leave(image)
    return [ContentPart(image_url=image)]


def _document(block: Members) -> Parts:
    source, kind = _source(block)
    title, context = block.text("title"), block.text("context")
    if kind == "base64":
        name = title or _NAMES.get(source.peek_text("media_type") or "", "document")
        file = InputFile(filename=name, file_data=_data_url(source))
        source.leave(file)
        return [*_texts(context), ContentPart(file=file)]
    if kind == "text":
        source.skip("media_type")
        parts = _texts(title, context, source.required_text("data"))
    elif kind == "content":
        parts = [*_texts(title, context), *_inner(source, _INNER_READERS)]
    else:
        raise _unserved(source, kind, "send the document itself, as base64 or text")
    if parts:
        source.leave(parts[-1])
    return parts


def _search_result(block: Members) -> Parts:
    title = block.required_text("title")
    source = block.required_text("source")
    return one_text([*_texts(title, source), *_inner(block, _TEXT_READERS)], "\n")


def _found_on_the_web(block: Members) -> Parts:
    """What a search of an earlier answer found; its encrypted pages are for Anthropic alone."""
    block.skip("tool_use_id")
    content = block.peek("content")
    if content is not None and begins(content) == b"{":
        failure = block.object("content")
        return _texts(f"The web search failed: {failure.text('error_code') if failure else ''}\n")
    pages = block.parts("content") or []
    lines = [f"- {page.required_text('title')}: {page.required_text('url')}" for page in pages]
    return _texts("Web search results:", *lines, "\n")


def _compaction(block: Members) -> Parts:
    """What stands for the conversation before it. https://platform.claude.com/docs/en/build-with-claude/compaction"""
    block.skip("signature", "encrypted_content", "tool_changes")
    return _texts(block.text("content"))


def _texts(*texts: str | None) -> Parts:
    """Texts that belong together, as one part; none where there is nothing to say."""
    said = "\n".join(filter(None, texts))
    return [ContentPart(text=said)] if said else []


def _source(block: Members) -> tuple[Members, str]:
    source = block.object("source")
    if source is None:
        raise fault(block.where("source"), "is required: an object")
    return source, source.required_text("type")


def _data_url(source: Members) -> str:
    media_type = source.required_text("media_type")
    return f"data:{media_type};base64,{source.required_text('data')}"


def _unserved(holder: Members, kind: str, way_out: str = "leave it out") -> InvalidRequest:
    what = f"is {kind[:64]}, which cannot be told to other providers: {way_out}"
    return fault(holder.where("type"), what)


_TEXT_READERS: Mapping[str, _PartReader] = {"text": _text}
_INNER_READERS: Mapping[str, _PartReader] = {**_TEXT_READERS, "image": _image}
_READERS: Mapping[str, _PartReader] = {
    **_INNER_READERS,
    "document": _document,
    "search_result": _search_result,
}
_ASSISTANT_READERS: Mapping[str, _PartReader] = {
    **_READERS,
    "web_search_tool_result": _found_on_the_web,
    "compaction": _compaction,
}
