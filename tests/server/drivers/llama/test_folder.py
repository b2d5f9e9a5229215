"""The models of a folder, and what their files say of them."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.drivers.base import Listed
from server.drivers.llama import folder, gguf
from server.drivers.llama.folder import Folder
from server.drivers.llama.options import LlamaOptions
from server.errors import AttemptFailed
from tests.server.drivers.llama.files import CHAT, EMBEDS, head, write

OPTIONS = LlamaOptions()


def listed(path: Path, **entries: Any) -> Listed:
    write(path / "m.gguf", {name.replace("__", "."): value for name, value in entries.items()})
    return Folder().models(path)["m"].listed(OPTIONS)


def test_models_are_found_by_their_names(tmp_path: Path) -> None:
    for name in ("a.gguf", "publisher/model/b-Q4_K_M.gguf", "notes.txt", "x/y/z/too-deep.gguf"):
        write(tmp_path / name, CHAT)
    assert list(Folder().models(tmp_path)) == ["a", "b-Q4_K_M"]


def test_a_model_in_parts_is_one_once_all_are_there(tmp_path: Path) -> None:
    models = Folder()
    write(tmp_path / "big-00001-of-00002.gguf", CHAT)
    assert models.models(tmp_path) == {}
    write(tmp_path / "big-00002-of-00002.gguf", {"split.no": 1})
    assert [(name, one.path.name) for name, one in models.models(tmp_path).items()] == [
        ("big", "big-00001-of-00002.gguf")
    ]


def test_what_holds_no_model_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "adapter.gguf", {**CHAT, "general.type": "adapter"})
    write(tmp_path / "mmproj.gguf", {"general.architecture": "clip"})
    write(tmp_path / "ranks.gguf", {**EMBEDS, "nomic-bert.pooling_type": 4})
    write(tmp_path / "empty.gguf", {})
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    (tmp_path / "nothing.gguf").write_bytes(b"")
    (tmp_path / "gone.gguf").symlink_to(tmp_path / "nowhere")
    assert Folder().models(tmp_path) == {}


def test_a_file_that_changed_is_another_model(tmp_path: Path) -> None:
    models = Folder()
    write(tmp_path / "m.gguf", CHAT)
    before = models.models(tmp_path)["m"]
    assert models.models(tmp_path)["m"] == before
    write(tmp_path / "m.gguf", {**CHAT, "llama.context_length": 99})
    os.utime(tmp_path / "m.gguf", ns=(1, 1))
    after = models.models(tmp_path)["m"]
    assert (before.context(8192), after.context(8192)) == (4096, 99)
    assert before.stamp != after.stamp
    (tmp_path / "m.gguf").unlink()
    assert models.models(tmp_path) == {}


def test_a_chat_model_chats_and_continues(tmp_path: Path) -> None:
    write(tmp_path / "m.gguf", CHAT)
    found = Folder().models(tmp_path)["m"].listed(OPTIONS)
    assert found.capabilities == frozenset({"chat", "text_completions", "tools", "reasoning"})
    assert found.lacks == {"vision"}
    assert found.context_length == 4096


def test_a_base_model_continues_alone(tmp_path: Path) -> None:
    found = listed(tmp_path, general__architecture="llama")
    assert found.capabilities == frozenset({"text_completions"})
    assert found.lacks == {"vision", "tools", "reasoning"}
    assert found.context_length == OPTIONS.context


def test_an_embedding_model_embeds_alone(tmp_path: Path) -> None:
    write(tmp_path / "m.gguf", EMBEDS)
    found = Folder().models(tmp_path)["m"].listed(OPTIONS)
    assert found.capabilities == frozenset({"embeddings"})
    assert found.context_length == 2048


@pytest.mark.parametrize(
    ("options", "environment", "path"),
    [
        pytest.param(LlamaOptions(folder="/a"), {}, "/a", id="of the row"),
        pytest.param(LlamaOptions(folder="/a", folder_env="V"), {"V": "/b"}, "/b", id="of the variable"),
        pytest.param(LlamaOptions(folder="/a", folder_env="V"), {"V": " "}, "/a", id="an empty variable"),
    ],
)
def test_the_folder_is_the_variables_before_the_rows(
    options: LlamaOptions, environment: dict[str, str], path: str
) -> None:
    assert folder.place(options, environment) == Path(path)


def test_who_has_no_folder_is_told_what_to_set() -> None:
    with pytest.raises(AttemptFailed, match="set V to a folder") as failed:
        folder.place(LlamaOptions(folder_env="V"), {})
    assert failed.value.cause == "not_enabled"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AttemptFailed, match=r"there is no folder .*/nowhere"):
        Folder().models(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        pytest.param(b"", "is cut short", id="empty"),
        pytest.param(b"PK\3\4" + bytes(60), "is no GGUF file", id="another format"),
        pytest.param(head({}, version=9), "version 9", id="another version"),
        pytest.param(head(CHAT)[:-5], "is cut short", id="cut"),
        pytest.param(head({})[:16] + b"\xff" * 8, "more than can be", id="too many entries"),
        pytest.param(
            head({"a": [1]}).replace(b"\x01" + bytes(7) + b"\x01\0\0\0", b"\xff" * 12),
            "more than can be",
            id="too long a list",
        ),
    ],
)
def test_a_file_that_is_no_model_says_why(tmp_path: Path, data: bytes, fault: str) -> None:
    (tmp_path / "m.gguf").write_bytes(data)
    with pytest.raises(gguf.NotGgufError, match=fault):
        gguf.read(tmp_path / "m.gguf")


@given(
    places=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 400),
)
def test_no_bytes_make_the_reader_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(head(CHAT)[: cut or None])
    for at, byte in places:
        if at < len(data):
            data[at] = byte
    path = tmp_path_factory.getbasetemp() / "any.gguf"
    path.write_bytes(data)
    with suppress(gguf.NotGgufError):
        assert isinstance(gguf.read(path).architecture, str)
