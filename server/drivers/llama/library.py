"""Brings in llama-cpp-python, which is no dependency: it is compiled where it is installed."""

import ctypes
import importlib
import importlib.util
import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from server.errors import AttemptFailed

_log = logging.getLogger(__name__)
MISSING: Final = "llama-cpp-python is not installed: run `make local`"
_WARNING, _ERROR = 3, 4  # enum ggml_log_level
_lock = threading.Lock()
_loaded: "list[Library]" = []  # one, or none yet


@dataclass(frozen=True)
class Library:
    """The library: llama.h's functions (`api`), its chat templates and grammars, and numpy, which it needs.

    `complaints` are the last errors that it told of.
    """

    api: Any
    chat_format: Any
    grammars: Any
    numpy: Any
    complaints: deque[str]
    hears: Any  # the callback, which must live as long as the library


def is_there() -> bool:
    """Whether it is installed; it is not brought in for that."""
    return importlib.util.find_spec("llama_cpp") is not None


def load() -> Library:
    """The library; the first time that takes a second. Raises `AttemptFailed` where it is not there."""
    with _lock:
        if not _loaded:
            _loaded.append(_load())
        return _loaded[0]


def _load() -> Library:
    try:
        api = importlib.import_module("llama_cpp")
        chat_format = importlib.import_module("llama_cpp.llama_chat_format")
        grammars = importlib.import_module("llama_cpp.llama_grammar")
        numpy = importlib.import_module("numpy")
    except ImportError as error:
        if error.name and error.name.startswith("llama_cpp"):
            raise AttemptFailed("not_enabled", MISSING) from None
        raise AttemptFailed("not_enabled", f"llama-cpp-python cannot be used: {error}") from None
    except (OSError, RuntimeError) as error:  # its shared library is missing, or does not fit this machine
        raise AttemptFailed("not_enabled", f"llama-cpp-python cannot be used: {error}") from None
    complaints: deque[str] = deque(maxlen=4)

    @api.llama_log_callback  # type: ignore[untyped-decorator]
    def hears(level: int, text: bytes | None, _: object) -> None:
        line = (text or b"").decode("utf-8", "replace").strip()
        if level == _ERROR and line:
            complaints.append(line)
        if line and level in (_WARNING, _ERROR):
            _log.debug("llama.cpp: %s", line)

    api.llama_log_set(hears, ctypes.c_void_p(0))
    api.llama_backend_init()
    return Library(api, chat_format, grammars, numpy, complaints, hears)
