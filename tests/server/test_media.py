"""Images kept for a time."""

import os
from pathlib import Path

import pytest

from server.errors import Unavailable
from server.media import Media

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        pytest.param(PNG, "image/png", id="PNG"),
        pytest.param(b"\xff\xd8\xff\xe0", "image/jpeg", id="JPEG"),
        pytest.param(b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp", id="WebP"),
        pytest.param(b"GIF89a", "image/gif", id="GIF"),
        pytest.param(b"<svg onload='alert(1)'>", "application/octet-stream", id="a script"),
        pytest.param(b"", "application/octet-stream", id="nothing"),
    ],
)
async def test_a_file_is_given_back_with_its_kind(tmp_path: Path, data: bytes, content_type: str) -> None:
    media = Media(tmp_path / "media", 2**20)
    [name] = await media.put(data)
    item = await media.get(name)
    assert item is not None
    assert (item.data, item.content_type) == (data, content_type)


async def test_names_cannot_be_guessed_and_never_repeat(tmp_path: Path) -> None:
    media = Media(tmp_path, 2**20)
    names = set(await media.put(*[PNG] * 20))
    assert len(names) == 20
    assert all(len(name) == len("x" * 32 + ".png") for name in names)


@pytest.mark.parametrize(
    "name", ["", "..", "../secret.png", "a.png", "x" * 32, f"{'x' * 32}.png", "/etc/passwd"]
)
async def test_other_names_give_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    assert await Media(tmp_path / "media", 2**20).get(name) is None


async def test_the_oldest_go_where_there_is_no_room(tmp_path: Path) -> None:
    media = Media(tmp_path, 3 * len(PNG))
    names = []
    for age in range(5):
        names += await media.put(PNG)
        os.utime(tmp_path / names[-1], (1000 + age, 1000 + age))
    kept = [await media.get(name) is not None for name in names]
    assert kept == [False, False, True, True, True]


async def test_the_folder_is_the_users_own(tmp_path: Path) -> None:
    await Media(tmp_path / "media", 2**20).put(PNG)
    assert (tmp_path / "media").stat().st_mode & 0o077 == 0


async def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_bytes(PNG * 10)
    (tmp_path / "folder").mkdir()
    media = Media(tmp_path, 2 * len(PNG))
    for _ in range(5):
        await media.put(PNG)
    assert (tmp_path / "thesis.docx").exists()
    assert (tmp_path / "folder").exists()


async def test_what_is_together_more_than_the_folder_may_hold_is_refused(tmp_path: Path) -> None:
    media = Media(tmp_path, 1024)
    [kept] = await media.put(PNG)
    with pytest.raises(Unavailable, match="more than the folder"):
        await media.put(*[bytes(600)] * 2)
    assert await media.get(kept) is not None


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="cannot be stored"):
        await Media(tmp_path / "file" / "media", 2**20).put(PNG)
