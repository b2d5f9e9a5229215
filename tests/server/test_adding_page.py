"""The page about adding providers: its rows are valid, and its dialect is one, as far as its text says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interference.v1.chat_pb2 import CreateCompletionRequest
from server import drivers, rows, transport
from server.drivers.base import Target
from server.errors import AttemptFailed, RequestRefused
from server.transport import HttpAnswer
from tests.calls import plain
from tests.conformance import hearing
from tests.conformance.said import Said, Spoken
from tests.conformance.stage import Stage, staged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
BLOCKS = {
    kind: re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for kind in ("python", "yaml")
}
[SOURCE] = BLOCKS["python"]
WHY = {"stop": "end", "length": "full", "content_filter": "unsafe"}
ASKED: dict[str, Any] = {
    "model": "alto",
    "messages": [{"role": "user", "content": [{"text": "Hi"}], "extra_json": '{"mood":"calm"}'}],
    "temperature": 0.5,
    "max_completion_tokens": 7,
    "stop": ["END"],
    "n": 1,
    "extra_json": '{"key":"C"}',
}


def module() -> Any:
    made = ModuleType("talk")
    code = compile(SOURCE, "talk.py", "exec", dont_inherit=True)
    exec(code, made.__dict__)  # noqa: S102 - our own page
    return made


TALK = module()


class TalkSpeaker:
    """Speaks the dialect of the page."""

    name = "talk"
    row: dict[str, Any] = {"driver": "talk"}  # noqa: RUF012 - never changed
    faults: dict[str, int] = {"too_busy": 503, "bad_key": 401, "bad_turn": 400}  # noqa: RUF012

    def streams(self, path: str, body: Any) -> bool:  # noqa: ARG002 - others look at it
        return "stream" in body

    def whole(self, said: Said) -> Spoken:
        return Spoken("application/json", [json.dumps(said_of(said)).encode()])

    def stream(self, said: Said) -> Spoken:
        last = {**said_of(said), "says": said.text[5:]}
        return Spoken("text/event-stream", [event(says=said.text[:5], pitch=440), event(**last)])

    def fault(self, word: str) -> Spoken:
        body = {"error": {"type": word, "message": "No."}}
        return Spoken("application/json", [json.dumps(body).encode()], self.faults[word])

    def breaks(self, said: Said, word: str) -> Spoken:
        error = {"type": word, "message": "No."}
        return Spoken("text/event-stream", [event(says=said.text), event(error=error)])


def said_of(said: Said) -> dict[str, Any]:
    counts = {"read": said.prompt_tokens, "wrote": said.completion_tokens}
    return {"says": said.text, "why": WHY[said.finish], "pitch": 440, **counts}


def event(**data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def target(base_url: str = "https://api.talk.example/v1") -> Target:
    """A row as it is read: without a list of parameters it has the dialect's."""
    row = {"id": "Talk", "driver": "talk", "base_url": base_url}
    file = rows.File(providers=(row,))
    return Target(rows.read(file, "page", {"talk": TALK.KIND})["Talk"], "alto-1", "the-key")


def request(**more: Any) -> CreateCompletionRequest:
    return CreateCompletionRequest(**{**ASKED, **more})


@asynccontextmanager
async def driver() -> AsyncIterator[Any]:
    async with transport.connect(2**20) as client:
        yield TALK.KIND.make(client)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged(TalkSpeaker()) as running:
        yield running


@pytest.mark.parametrize("text", BLOCKS["yaml"], ids=["a row", "a row of the dialect"])
def test_its_rows_are_valid(text: str) -> None:
    kinds = {**drivers.KINDS, "talk": TALK.KIND}
    assert len(rows.read(rows.parse(text, "page"), "page", kinds)) == 1


def test_its_dialect_is_written_as_all_are(tmp_path: Path) -> None:
    file = tmp_path / "talk.py"
    file.write_text(SOURCE, encoding="utf-8")
    for command in (["check", "--ignore", "ARG002"], ["format", "--check"]):
        ruff = [str(Path(sys.executable).with_name("ruff")), *command]
        settings = ["--config", str(ROOT / "pyproject.toml")]
        subprocess.run([*ruff, *settings, str(file)], check=True, timeout=30, cwd=tmp_path)


def test_its_dialect_asks_in_the_vendors_words() -> None:
    made = TALK.ChatTranslator().request(request(), target(), stream=False)
    assert (made.method, made.url) == ("POST", "https://api.talk.example/v1/talk")
    assert made.headers == {"x-talk-key": "the-key", "content-type": "application/json"}
    assert json.loads(made.body) == {
        "model": "alto-1",
        "turns": [{"by": "user", "says": [{"type": "text", "text": "Hi"}], "mood": "calm"}],
        "heat": 0.5,
        "most": 7,
        "until": ["END"],
        "key": "C",
    }


@pytest.mark.parametrize("finish", WHY)
async def test_its_dialect_reads_whole_answers(stage: Stage, finish: str) -> None:
    said = Said("Hello there", finish=finish)
    stage.says(said)
    async with driver() as talk:
        answer = await talk.answer(request(), target(stage.url))
    assert hearing.heard([plain(answer)]) == hearing.expected(said, usage=True)
    assert plain(answer)["choices"][0]["message"]["extra"] == {"pitch": 440}


@pytest.mark.parametrize("usage", [True, False], ids=["with usage", "without"])
async def test_its_dialect_reads_streams(stage: Stage, usage: bool) -> None:
    said = Said("Hello there")
    stage.says(said)
    asked = request(stream_options={"include_usage": usage})
    async with driver() as talk:
        chunks = [plain(chunk) async for chunk in talk.stream(asked, target(stage.url))]
    hearing.check_stream(chunks, usage=usage)
    assert hearing.heard(chunks) == hearing.expected(said, usage=usage)


@pytest.mark.parametrize(
    ("word", "cause"), [("too_busy", "server_error"), ("bad_key", "key_refused"), ("bad_turn", "")]
)
async def test_its_dialect_reads_errors(stage: Stage, word: str, cause: str) -> None:
    stage.fails(word)
    async with driver() as talk:
        with pytest.raises((AttemptFailed, RequestRefused)) as raised:
            await talk.answer(request(), target(stage.url))
    assert getattr(raised.value, "cause", "") == cause


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["says", "why", "read", "x"]), inner),
    max_leaves=8,
)


@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_an_answer_or_the_dialects_own_error(body: bytes) -> None:
    translator = TALK.ChatTranslator()
    try:
        translator.answer(HttpAnswer(200, {}, body), request(), target())
        decoder = translator.decoder(request(), target())
        assert list(decoder.feed([body]))
    except (AttemptFailed, RequestRefused):
        pass
