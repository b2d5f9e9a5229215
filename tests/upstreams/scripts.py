"""More scripts of the scripted upstream: what real clients are shown that the tiny model cannot do."""

from tests.upstream import Call, script

THINKS, HALF_JSON, CUT_JSON = "thinks", "half-json", "cut-json"  # what rows call them

THOUGHTS = ["Let me", " ponder"]
WORDS = ["Forty", " deux"]
HALF_OBJECT = '{"zeal": "low", '


@script
async def thinks(call: Call) -> None:
    """Reasoning before the answer, as DeepSeek sends it: https://api-docs.deepseek.com/guides/reasoning_model"""
    if call.stream:
        call.begin()
        for thought in THOUGHTS:
            call.delta(reasoning_content=thought)
        for word in WORDS:
            call.delta(content=word)
        call.delta(finish_reason="stop")
        call.end()
    else:
        message = {"role": "assistant", "content": "".join(WORDS), "reasoning_content": "".join(THOUGHTS)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        call.answer({"id": "up-1", "object": "chat.completion", "created": 5, "choices": [choice]})


@script
async def half_json(call: Call) -> None:
    """Half of a JSON object, and then nothing until the caller leaves."""
    call.begin()
    call.delta(role="assistant", content=HALF_OBJECT)
    await call.gone.wait()


@script
async def cut_json(call: Call) -> None:
    """A stream whose connection drops in the middle of a JSON object."""
    call.begin()
    call.delta(role="assistant", content=HALF_OBJECT)
    await call.writer.drain()
    call.cut()
