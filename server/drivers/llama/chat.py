"""Chat completions: what the model writes, as the messages of the contract."""

from collections.abc import Iterator

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import (
    AnswerMessage,
    Choice,
    ChunkChoice,
    Logprobs,
    TokenLogprob,
    TopLogprob,
)
from interference.v1.tool_pb2 import FunctionCall, ToolCall
from server.drivers.llama import prompts
from server.drivers.llama.engine import Begun, Ended, Progress, Told, Wrote
from server.drivers.llama.reading import Call, Piece, Splitter, Text
from server.drivers.openai.calls import new_id


class ChatReader:
    """Reads what is written of one choice, and gives the pieces of its message."""

    def __init__(self, request: CreateCompletionRequest, index: int) -> None:
        self._index = index
        self._tools = bool(prompts.tools(request))
        self._single = request.HasField("parallel_tool_calls") and not request.parallel_tool_calls
        self._splitter = Splitter(tools=self._tools)
        self._calls = 0
        self._role: str | None = "assistant"  # said in the first piece
        self.done = False

    def feed(self, progress: Progress) -> Iterator[ChunkChoice]:
        """Takes what happened next."""
        if isinstance(progress, Begun):
            self._splitter = Splitter(thinking=progress.thinking, tools=self._tools)
            yield self._piece(AnswerMessage(content=""))
        elif isinstance(progress, Wrote):
            yield from self._wrote(progress)
        else:
            yield from self._ended(progress)

    def _wrote(self, wrote: Wrote) -> Iterator[ChunkChoice]:
        choices = list(self._pieces(self._splitter.feed(wrote.text)))
        if wrote.token is not None:
            if not choices:
                choices.append(self._piece(AnswerMessage()))
            choices[0].logprobs.CopyFrom(_logprobs(wrote.token, wrote.others))
        yield from choices
        if self.done:
            yield self._finished("tool_calls")

    def _ended(self, ended: Ended) -> Iterator[ChunkChoice]:
        yield from self._pieces(self._splitter.end())
        self.done = True
        yield self._finished("tool_calls" if self._calls and ended.reason == "stop" else ended.reason)

    def _pieces(self, pieces: list[Piece]) -> Iterator[ChunkChoice]:
        for piece in pieces:
            if isinstance(piece, Call):
                yield self._piece(AnswerMessage(tool_calls=[self._call(piece)]))
                if self._single:
                    self.done = True
                    return
            elif isinstance(piece, Text):
                yield self._piece(AnswerMessage(content=piece.text))
            else:
                yield self._piece(AnswerMessage(reasoning=piece.text))

    def _call(self, call: Call) -> ToolCall:
        self._calls += 1
        return ToolCall(
            index=self._calls - 1,
            id=new_id(),
            type="function",
            function=FunctionCall(name=call.name, arguments=call.arguments),
        )

    def _piece(self, delta: AnswerMessage) -> ChunkChoice:
        if self._role is not None:
            delta.role, self._role = self._role, None
        return ChunkChoice(index=self._index, delta=delta)

    def _finished(self, reason: str) -> ChunkChoice:
        return ChunkChoice(index=self._index, delta=AnswerMessage(), finish_reason=reason)


def whole(pieces: list[ChunkChoice]) -> Choice:
    """The pieces of one choice put together."""
    choice = Choice(index=pieces[0].index, message=AnswerMessage(role="assistant"))
    message = choice.message
    for piece in pieces:
        for call in piece.delta.tool_calls:
            call.ClearField("index")
            message.tool_calls.append(call)
        choice.logprobs.content.extend(piece.logprobs.content)
        if piece.HasField("finish_reason"):
            choice.finish_reason = piece.finish_reason
    if not choice.logprobs.content:
        choice.ClearField("logprobs")
    content = "".join(piece.delta.content for piece in pieces)
    if content or not message.tool_calls:
        message.content = content
    if reasoning := "".join(piece.delta.reasoning for piece in pieces):
        message.reasoning = reasoning
    return choice


def _logprobs(token: Told, others: tuple[Told, ...]) -> Logprobs:
    top = [TopLogprob(token=_text(one), bytes=list(one.text), logprob=one.logprob) for one in others]
    told = TokenLogprob(token=_text(token), bytes=list(token.text), logprob=token.logprob, top_logprobs=top)
    return Logprobs(content=[told])


def _text(token: Told) -> str:
    return token.text.decode("utf-8", "replace")
