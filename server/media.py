"""Images kept for a time: a folder of bounded size, in files whose names nobody can guess."""

import asyncio
import errno
import re
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from server.errors import Unavailable

_NAME = re.compile(r"[A-Za-z0-9_-]{32}\.[a-z]{3,4}")
_PART = ".part"  # of a file that is being written
_ABANDONED = 600  # seconds after which nobody is writing it any more
_KINDS = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "bin": "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class Item:
    """A stored file: its bytes, their content type, and the tag that names this content."""

    data: bytes
    content_type: str
    etag: str


class Media:
    """Stores and gives images. Several processes may share the folder."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    async def put(self, *files: bytes) -> list[str]:
        """Stores files and gives their names. The oldest files go where these would not fit.

        Raises `Unavailable` where they cannot be stored, all together.
        """
        return await asyncio.to_thread(self._put, files)

    async def get(self, name: str) -> Item | None:
        """A stored file; None where there is none of this name."""
        if not _NAME.fullmatch(name):
            return None
        try:
            data = await asyncio.to_thread((self._folder / name).read_bytes)
        except OSError:
            return None
        stem, _, suffix = name.partition(".")
        return Item(data, _KINDS.get(suffix, _KINDS["bin"]), f'"{stem}"')

    def _put(self, files: tuple[bytes, ...]) -> list[str]:
        names = [f"{secrets.token_urlsafe(24)}.{kind(data) or 'bin'}" for data in files]
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(sum(map(len, files)))
            for name, data in zip(names, files, strict=True):
                part = self._folder / f"{name}{_PART}"
                part.write_bytes(data)
                part.rename(self._folder / name)
        except OSError as error:
            reason = error.strerror or "the disk refuses it"
            raise Unavailable(
                f"The image cannot be stored ({reason}). Ask for b64_json.", reason="media_not_stored"
            ) from error
        return names

    def _make_room(self, size: int) -> None:
        """Removes the oldest images until there is room. Files that are not ours stay."""
        if size > self._max_bytes:
            raise OSError(errno.EFBIG, "more than the folder may hold")
        files = sorted(self._stored())
        used = sum(file_size for _, file_size, _ in files) + size
        for _, file_size, path in files:
            if used <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            used -= file_size

    def _stored(self) -> Iterator[tuple[int, int, Path]]:
        """Age, size and path of what is stored; of what is being stored only what was left behind."""
        abandoned = time.time_ns() - _ABANDONED * 10**9
        for path in self._folder.iterdir():
            if not _NAME.fullmatch(path.name.removesuffix(_PART)):
                continue
            try:
                found = path.lstat()
            except FileNotFoundError:  # another process was faster
                continue
            is_part = path.name.endswith(_PART)
            if stat.S_ISREG(found.st_mode) and not (is_part and found.st_mtime_ns > abandoned):
                yield found.st_mtime_ns, found.st_size, path


def kind(data: bytes) -> str | None:
    """The kind of an image, by its first bytes; None of what is no image, and is never served as one."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return None
