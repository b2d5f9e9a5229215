"""Text completions in OpenAI's dialect: bytes in, bytes out."""

from typing import Any

import pytest

from interference.v1.completions_pb2 import CreateTextCompletionRequest
from interference.v1.input_pb2 import TextInput
from server.errors import AttemptFailed
from tests.server.drivers.openai.dialect import DIALECT, body, event, read, sent, target

ASKED = CreateTextCompletionRequest(
    model="public", prompt=[TextInput(text="Once")], max_tokens=5, logprobs=1
)


def test_a_request_is_sent_to_its_own_path() -> None:
    assert sent(ASKED).url == "https://up/v1/completions"
    expected = {"model": "own-name", "prompt": "Once", "max_tokens": 5, "logprobs": 1}
    assert body(ASKED) == expected
    assert body(ASKED, stream=True) == {**expected, "stream": True}


def test_a_completion_is_read_and_completed() -> None:
    logprobs = {"tokens": ["a"], "token_logprobs": [None], "top_logprobs": [None], "text_offset": [0]}
    raw = {"choices": [{"text": " upon", "finish_reason": "length", "logprobs": logprobs}], "x": 1}
    completion = read(ASKED, raw)
    choice = completion.choices[0]
    assert completion.id.startswith("cmpl-")
    assert (completion.object, completion.model, completion.provider) == (
        "text_completion",
        "own-name",
        "Up",
    )
    assert (choice.index, choice.text, choice.finish_reason) == (0, " upon", "length")
    assert choice.logprobs["token_logprobs"][0] is None
    assert completion.extra["x"] == 1


@pytest.mark.parametrize("raw", [{}, {"choices": []}, {"choices": [1]}, {"choices": [{}]}])
def test_an_answer_without_text_is_broken(raw: Any) -> None:
    with pytest.raises(AttemptFailed):
        read(ASKED, raw)


def test_a_stream_is_read() -> None:
    decoder = DIALECT.streams[CreateTextCompletionRequest].decoder(ASKED, target())
    events = [
        event(choices=[{"index": 0, "text": " up"}]),
        event(choices=[{"index": 0, "text": "on", "finish_reason": "stop"}], usage={"total_tokens": 2}),
        b"[DONE]",
    ]
    chunks: list[Any] = [*decoder.feed(events), *decoder.end()]
    assert [chunk.choices[0].text for chunk in chunks] == [" up", "on"]
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    assert decoder.done
