"""The messages made of what a model writes."""

from typing import Any

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChunkChoice
from server.drivers.llama import chat
from server.drivers.llama.chat import ChatReader
from server.drivers.llama.engine import Begun, Ended, Progress, Told, Wrote
from server.drivers.llama.tally import Tally

CALL = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'
TOOLS: Any = [{"function": {"name": "f"}}]


def read(*progress: Progress, index: int = 0, **fields: Any) -> list[ChunkChoice]:
    reader = ChatReader(CreateCompletionRequest(model="m", **fields), index)
    return [choice for one in progress for choice in reader.feed(one)]


def test_the_first_piece_has_the_role_and_the_last_the_reason() -> None:
    pieces = read(Begun(3, 0), Wrote("Hi"), Wrote(" there"), Ended("stop", 3), index=2)
    assert [piece.index for piece in pieces] == [2] * 4
    assert [piece.delta.role for piece in pieces] == ["assistant", "", "", ""]
    assert [piece.delta.content for piece in pieces] == ["", "Hi", " there", ""]
    assert [piece.finish_reason for piece in pieces] == ["", "", "", "stop"]


def test_a_whole_message_is_its_pieces_put_together() -> None:
    thought = read(Begun(3, 0), Wrote("<think>Hm"), Wrote("</think>Hi"), Ended("length", 3))
    choice = chat.whole(thought)
    assert (choice.message.role, choice.message.reasoning, choice.message.content) == (
        "assistant",
        "Hm",
        "Hi",
    )
    assert choice.finish_reason == "length"
    assert not choice.HasField("logprobs")


def test_a_prompt_may_have_begun_the_thought() -> None:
    choice = chat.whole(
        read(Begun(3, 0, thinking=True), Wrote("Hm</think>"), Wrote("Hi"), Ended("stop", 3))
    )
    assert (choice.message.reasoning, choice.message.content) == ("Hm", "Hi")


def test_calls_are_numbered_in_a_stream_and_not_in_a_message() -> None:
    pieces = read(Begun(3, 0), Wrote(CALL), Wrote(CALL), Ended("stop", 9), tools=TOOLS)
    calls = [call for piece in pieces for call in piece.delta.tool_calls]
    assert [call.index for call in calls] == [0, 1]
    assert len({call.id for call in calls}) == 2
    choice = chat.whole(pieces)
    assert [call.HasField("index") for call in choice.message.tool_calls] == [False, False]
    assert not choice.message.HasField("content")
    assert choice.finish_reason == "tool_calls"


def test_one_call_is_enough_where_no_more_are_wanted() -> None:
    reader = ChatReader(CreateCompletionRequest(model="m", tools=TOOLS, parallel_tool_calls=False), 0)
    pieces = [choice for one in (Begun(3, 0), Wrote(CALL + CALL)) for choice in reader.feed(one)]
    assert reader.done
    choice = chat.whole(pieces)
    assert (len(choice.message.tool_calls), choice.finish_reason) == (1, "tool_calls")


def test_calls_are_text_where_none_may_be_made() -> None:
    none: Any = {"mode": "none"}
    choice = chat.whole(read(Begun(3, 0), Wrote(CALL), Ended("stop", 9), tools=TOOLS, tool_choice=none))
    assert (choice.message.content, choice.finish_reason) == (CALL, "stop")


def test_how_likely_a_token_was_is_told_with_its_piece() -> None:
    told, other = Told(b"\xe2\x82", -0.1), Told(b"Hi", -2.5)
    pieces = read(Begun(3, 0), Wrote("", told, (told, other)), Wrote("€", other), Ended("stop", 3))
    choice = chat.whole(pieces)
    first, second = choice.logprobs.content
    assert (first.token, list(first.bytes), first.logprob) == ("\ufffd", [0xE2, 0x82], -0.1)
    assert [one.token for one in first.top_logprobs] == ["\ufffd", "Hi"]
    assert (second.token, second.logprob) == ("Hi", -2.5)


def test_a_prompt_counts_once_and_what_is_written_always() -> None:
    tally = Tally()
    for again in (False, True):
        tally.prompt(again=again)
        for progress in (Begun(5, 2), Wrote("a"), Wrote("b"), Ended("stop", 3)):
            tally.see(progress)
    tally.prompt(again=False)
    for cut in (Begun(7, 0), Wrote("a")):
        tally.see(cut)
    usage = tally.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (12, 7, 19)
    assert usage.prompt_tokens_details.cached_tokens == 2
