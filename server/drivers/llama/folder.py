"""Finds the models in a folder, and what their files say they can do."""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from server.drivers.base import Listed
from server.drivers.llama import gguf
from server.drivers.llama.gguf import Head
from server.drivers.llama.options import LlamaOptions
from server.errors import AttemptFailed
from server.operations import CHAT, EMBEDDINGS, TEXT_COMPLETIONS

_log = logging.getLogger(__name__)
_MOST = 1000  # files of a folder that are looked at
_DEPTHS = ("*.gguf", "*/*.gguf", "*/*/*.gguf")  # LM Studio keeps models as publisher/model/file
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})")
# llama.cpp's names of how the vectors of a text's tokens become one (enum llama_pooling_type in llama.h).
_NO_POOLING, _RANK = 0, 4
_ENCODERS = re.compile(r"bert|eurobert|.*-bert.*|t5|t5encoder|gemma-embedding|.*-embed.*")
THINKS = "<think>"
_Stamp = tuple[int, int]  # a file's size and the time of its last change


@dataclass(frozen=True)
class ModelFile:
    """A model: its name, its (first) file and what that says. `stamp` is another when the file is."""

    name: str
    path: Path
    stamp: _Stamp
    head: Head

    @property
    def template(self) -> str:
        """How a conversation is written for it; empty for models that were not taught to converse."""
        return self.head.text("tokenizer.chat_template")

    @property
    def embeds(self) -> bool:
        """Whether it says how a text becomes one vector."""
        return self.head.own("pooling_type") not in (None, _NO_POOLING, _RANK)

    @property
    def writes(self) -> bool:
        """Whether it goes on with a text."""
        is_causal = self.head.own("attention.causal") != 0
        return is_causal and not _ENCODERS.fullmatch(self.head.architecture) and not self._ranks

    @property
    def _ranks(self) -> bool:
        return self.head.own("pooling_type") == _RANK

    def context(self, most: int) -> int:
        """How many tokens it reads and writes in all."""
        return min(self.head.own("context_length") or most, most)

    def listed(self, options: LlamaOptions) -> Listed:
        """The model as it is told of."""
        does = [CHAT.name] if self.writes and self.template else []
        does += [TEXT_COMPLETIONS.name] if self.writes else []
        does += [EMBEDDINGS.name] if self.embeds else []
        words = {"tools": "tools" in self.template, "reasoning": _reasons(self.template), "vision": False}
        return Listed(
            self.name,
            capabilities=frozenset([*does, *(word for word, has in words.items() if has)]),
            lacks=frozenset(word for word, has in words.items() if not has),
            context_length=self.context(options.context),
        )


def _reasons(template: str) -> bool:
    return any(sign in template for sign in (THINKS, "enable_thinking", "reasoning_effort"))


class Folder:
    """The models of a folder. A file is read once, and again when it has changed."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[_Stamp, Head | None]] = {}

    def models(self, path: Path) -> dict[str, ModelFile]:
        """The models by name, as they are now. Raises `AttemptFailed` where there is no such folder."""
        found: dict[str, ModelFile] = {}
        seen: set[Path] = set()
        for name, file in _files(path):
            stamp, head = self._head(file)
            seen.add(file)
            if head is not None and head.architecture:
                model = ModelFile(name, file, stamp, head)
                if model.writes or model.embeds:
                    found.setdefault(name, model)
        self._read = {file: read for file, read in self._read.items() if file in seen}
        return found

    def _head(self, file: Path) -> tuple[_Stamp, Head | None]:
        try:
            status = file.stat()
        except OSError:  # it has gone meanwhile
            return (0, 0), None
        stamp = (status.st_size, status.st_mtime_ns)
        known = self._read.get(file)
        if known is None or known[0] != stamp:
            known = self._read[file] = stamp, _head_of(file)
        return known


def _head_of(file: Path) -> Head | None:
    """What a file says; None where it holds no model, such as an adapter or the eyes of another model."""
    try:
        head = gguf.read(file)
    except (gguf.NotGgufError, OSError) as error:
        _log.warning("%s: %s", file, error)
        return None
    is_model = head.text("general.type") in ("", "model") and head.architecture != "clip"
    return head if is_model else None


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The names and (first) files of models. One whose parts are not all there is not there yet."""
    if not folder.is_dir():
        raise AttemptFailed("not_enabled", f"there is no folder {folder}")
    try:
        paths = sorted(path for depth in _DEPTHS for path in folder.glob(depth))[:_MOST]
    except OSError as error:
        raise AttemptFailed("not_enabled", f"cannot read {folder}: {error.strerror}") from None
    there = set(paths)
    for path in paths:
        part = _PART.fullmatch(path.stem)
        if part is None:
            yield path.stem, path
        elif int(part[2]) == 1 and all(one in there for one in _parts(path, part)):
            yield part[1], path


def _parts(path: Path, part: re.Match[str]) -> Iterator[Path]:
    name, _, of = part.groups()
    count = min(int(of), _MOST)
    return (path.with_name(f"{name}-{number:05}-of-{of}.gguf") for number in range(1, count + 1))


def place(options: LlamaOptions, environment: Mapping[str, str]) -> Path:
    """Where a row's models are. Raises `AttemptFailed` where it has yet to be said."""
    named = environment.get(options.folder_env, "").strip() or options.folder
    if not named:
        wanted = options.folder_env or "options.folder of its row"
        raise AttemptFailed("not_enabled", f"set {wanted} to a folder of GGUF models")
    return Path(named).expanduser()
