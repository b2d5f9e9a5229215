"""The output that is the answer, whichever shape it has, and the files of images."""

import struct
import zlib
from typing import Any

import pytest

from interference.v1.completion_pb2 import ChatCompletionChunk
from server.drivers.gradio import app, chat, outputs, pictures
from server.drivers.gradio.app import App
from server.drivers.gradio.events import Output, Queued, Said
from server.drivers.gradio.outputs import File
from server.errors import AttemptFailed
from tests.server.drivers.gradio.spaces import CHAT, FLUX, KEY, picture, space, target

CAT = {"path": "/tmp/cat.png", "url": "https://up/gradio_api/file=/tmp/cat.png"}  # noqa: S108
CAT_FILE = File(*CAT.values())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(CAT, [CAT_FILE], id="an image"),
        pytest.param([{"image": CAT, "caption": "A"}, {"image": CAT}], [CAT_FILE] * 2, id="a gallery"),
        pytest.param([CAT], [CAT_FILE], id="files"),
        pytest.param({"__type__": "update", "value": CAT}, [CAT_FILE], id="a change"),
        pytest.param({"path": "/a", "url": None}, [File("/a", "")], id="a path"),
    ],
)
def test_files_are_found(value: Any, expected: list[File]) -> None:
    assert outputs.files(value) == expected


@pytest.mark.parametrize(
    "value",
    [None, "x", 1, {}, [], {"path": 1}, {"path": "x" * 5000}, [[[[[CAT]]]]], [CAT] * 101],
    ids=["null", "text", "number", "empty", "none", "no text", "long", "deep", "many"],
)
def test_what_holds_no_files_is_a_broken_answer(value: Any) -> None:
    with pytest.raises(AttemptFailed) as raised:
        outputs.files(value)
    assert raised.value.cause == "broken_answer"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("Hi", "Hi", id="text"),
        pytest.param(None, "", id="nothing yet"),
        pytest.param([["A", "B"], ["C", "D"]], "D", id="pairs"),
        pytest.param([["A", None]], "", id="an open pair"),
        pytest.param({"role": "assistant", "content": "Hi"}, "Hi", id="a message"),
        pytest.param({"text": "Hi", "files": []}, "Hi", id="a multimodal text"),
        pytest.param({"content": [{"type": "text", "text": "H"}, "i"]}, "Hi", id="parts"),
        pytest.param(
            [
                {"role": "assistant", "content": "old"},
                {"role": "user", "content": "?"},
                {"role": "assistant", "content": "A"},
                {"role": "assistant", "content": "B"},
            ],
            "A\n\nB",
            id="a history",
        ),
    ],
)
def test_texts_are_found(value: Any, expected: str) -> None:
    assert outputs.text(value) == expected


@pytest.mark.parametrize("value", [1, True, [1], {"content": {"path": "/a"}}, [["A", 1]], {"content": [1]}])
def test_what_is_no_text_is_a_broken_answer(value: Any) -> None:
    with pytest.raises(AttemptFailed, match="text"):
        outputs.text(value)


def test_an_output_that_is_not_there_is_a_broken_answer() -> None:
    with pytest.raises(AttemptFailed, match="gave 1 outputs"):
        outputs.chosen(["x"], space({**CHAT, "output": 1}))


def chunks(*told: Any, **said: Any) -> list[ChatCompletionChunk]:
    reader = chat.ChunkReader(space({**CHAT, **said}), target(CHAT))
    return [chunk for event in told for chunk in reader.read(event)]


def test_what_is_new_of_a_text_goes_out() -> None:
    made = chunks(Output(["H"], False), Output(["H"], False), Output(["Hi"], False), Output(["Hi!"], True))
    assert [chunk.choices[0].delta.content for chunk in made] == ["H", "i", "!", ""]
    assert [chunk.choices[0].delta.role for chunk in made] == ["assistant", "", "", ""]
    assert made[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in made}) == 1


def test_places_in_the_queue_are_told_when_they_change() -> None:
    made = chunks(Queued(2, 3, 9.5), Queued(2, 3, 9.0), Queued(0, 1, None), Output(["Hi"], True))
    told = [dict(chunk.extra["queue"]) for chunk in made[:2]]  # type: ignore[arg-type]
    assert told == [{"position": 2, "size": 3, "eta": 9.5}, {"position": 0, "size": 1}]
    assert "".join(chunk.choices[0].delta.content for chunk in made) == "Hi"


def test_a_queue_that_jumps_about_does_not_fill_the_memory() -> None:
    assert len(chunks(*(Queued(place, 9, None) for place in range(10_000)))) == 100


def test_notes_and_other_outputs_are_told_at_the_end() -> None:
    made = chunks(Said("info", "Hm"), Output(["Hi", 7], True), extra={"tokens": 1})
    assert made[-1].choices[0].extra["tokens"] == 7
    assert made[-1].choices[0].extra["notes"][0]["text"] == "Hm"  # type: ignore[index]


def test_a_text_that_is_another_now_ends_the_stream() -> None:
    with pytest.raises(AttemptFailed, match="rewrote"):
        chunks(Output(["Thinking"], False), Output(["Hi"], True))


def test_a_text_that_is_another_now_is_told_in_the_end_where_the_row_says_so() -> None:
    made = chunks(Output(["Thinking"], False), Output(["Hi"], True), appends=False)
    assert [chunk.choices[0].delta.content for chunk in made] == ["Hi", ""]


@pytest.mark.parametrize(
    ("path", "url", "asked"),
    [
        ("/tmp/a b?#%.png", "", "https://up/gradio_api/file=/tmp/a%20b%3F%23%25.png"),  # noqa: S108
        ("/a", "https://up/--replicas/x/gradio_api/file=/a", "https://up/--replicas/x/gradio_api/file=/a"),
        ("/a", "http://up/file=/a", "https://up/gradio_api/file=/a"),
        ("/a", "https://up:8443/file=/a", "https://up/gradio_api/file=/a"),
        ("https://up/file=/a", "", "https://up/file=/a"),
        ("", "https://UP:443/file=/a", "https://UP:443/file=/a"),
    ],
)
def test_a_file_is_asked_for_where_the_app_is(path: str, url: str, asked: str) -> None:
    request = app.file(App(space(FLUX), "https://up"), path, url, target())
    assert (request.method, request.url) == ("GET", asked)
    assert request.headers == {"authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/a", "https://evil/a"),
        ("https://evil/a", ""),
        ("HTTPS://evil/a", ""),
        ("//evil/a", ""),
        ("/a", "//evil/a"),
        ("/a", "https://up@evil/a"),
        ("", "https://evil@up/a"),
        ("", "https://up.evil/a"),
        ("", "https://[up/a"),
        ("", "file:///etc/passwd"),
        ("", "http://up/a"),
        ("", ""),
    ],
)
def test_a_file_of_another_host_is_not_asked_for(path: str, url: str) -> None:
    with pytest.raises(AttemptFailed) as raised:
        app.file(App(space(FLUX), "https://up"), path, url, target())
    assert raised.value.cause == "broken_answer"


@pytest.mark.parametrize("wanted", ["png", "jpeg", "webp", "gif"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
async def test_each_kind_becomes_each_other(kind: str, wanted: str) -> None:
    data, found = await pictures.converted(picture(kind), wanted)
    assert (found, pictures.kind(data)) == (wanted, wanted)


async def test_an_image_stays_as_it_is_where_nothing_else_is_wanted() -> None:
    data = picture("WEBP")
    assert await pictures.converted(data, "") == (data, "webp")
    assert await pictures.converted(data, "webp") == (data, "webp")


@pytest.mark.parametrize(
    "data", [b"", b"<svg/>", b"RIFF....AVI ", b"<html>", b"\x89PNG\r\n\x1a\n", b"GIF89a"], ids=range(6)
)
async def test_what_is_no_image_is_a_broken_answer(data: bytes) -> None:
    with pytest.raises(AttemptFailed) as raised:
        await pictures.converted(data, "jpeg")
    assert raised.value.cause == "broken_answer"


@pytest.mark.parametrize("side", [6_000, 60_000], ids=["more than we convert", "a bomb to Pillow, too"])
async def test_a_small_file_that_is_a_huge_image_is_not_unpacked(side: int) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(AttemptFailed) as raised:
        await pictures.converted(bomb, "jpeg")
    assert raised.value.cause == "broken_answer"
