"""A model loaded by llama.cpp, which reads, writes and embeds. All of it is used by one thread alone.

Computing is done in C without Python's lock, so that the event loop goes on meanwhile.
https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h
"""

import codecs
import ctypes
import math
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.drivers.llama.folder import THINKS, ModelFile
from server.drivers.llama.library import Library
from server.drivers.llama.machine import Halt
from server.drivers.llama.options import LlamaOptions
from server.drivers.llama.reading import MARKS, Stops
from server.drivers.llama.sampling import Picked, Sampler, Sampling
from server.errors import AttemptFailed

_BATCH: Final = 512  # tokens of a prompt that are read in one go
_LONGEST: Final = 8192  # tokens of a text to embed, which is read in one go
_ABORTED: Final = 2  # llama_decode's word for it
_THOUGHT: Final = MARKS[1]


class TooLongError(Exception):
    """The prompt does not fit into the context: so many tokens, of so many."""

    def __init__(self, tokens: int, most: int) -> None:
        super().__init__(tokens, most)
        self.tokens = tokens
        self.most = most


@dataclass(frozen=True)
class Begun:
    """The prompt has been read: so many tokens, of which so many were known from the last one.

    `thinking` says whether it has begun a thought.
    """

    prompt: int
    cached: int
    thinking: bool = False


@dataclass(frozen=True)
class Told:
    """A token as text, with its bytes, and how likely it was."""

    text: bytes
    logprob: float


@dataclass(frozen=True)
class Wrote:
    """What is new, after one more token; and what is known of that, where it was asked for."""

    text: str
    token: Told | None = None
    others: tuple[Told, ...] = ()


@dataclass(frozen=True)
class Ended:
    """The answer is whole: `stop` or `length`, after so many tokens."""

    reason: str
    tokens: int


Progress = Begun | Wrote | Ended


@dataclass(frozen=True)
class Writing:
    """What to write: after which tokens, how, until which of these texts, and how much at most."""

    prompt: Sequence[int]
    sampling: Sampling
    stops: tuple[str, ...] = ()
    most: int | None = None
    thinking: bool = False  # whether the prompt has begun a thought, which no grammar binds


class LlamaEngine:
    """One model. Where something that was asked for is too long, `TooLongError` is raised."""

    def __init__(self, library: Library, file: ModelFile, options: LlamaOptions) -> None:
        self.library = library
        self.file = file
        self._options = options
        self._api = library.api
        self._model = _load(library, file, options)
        self._vocabulary = self._api.llama_model_get_vocab(self._model)
        self._writing: Any = None  # the contexts, each made when it is first wanted
        self._embedding: Any = None
        self._held: list[int] = []  # the tokens that the writing context knows
        self._formatter: Any = None
        self._pieces: dict[int, bytes] = {}
        self.size: int = self._api.llama_vocab_n_tokens(self._vocabulary)
        self.context_length = file.context(options.context)

    def close(self) -> None:
        """Lets go of the model."""
        for context in (self._writing, self._embedding):
            if context is not None:
                self._api.llama_free(context)
        self._api.llama_model_free(self._model)

    def formatter(self) -> Any:
        """What writes a conversation by the model's template, which runs in a sandbox of Jinja's."""
        if self._formatter is None:
            made = self.library.chat_format.Jinja2ChatFormatter
            self._formatter = made(self.file.template, self.mark("eos"), self.mark("bos"))
        return self._formatter

    def mark(self, name: str) -> str:
        """The text of a special token, `bos` or `eos`; empty where there is none."""
        token = getattr(self._api, f"llama_vocab_{name}")(self._vocabulary)
        return "" if token < 0 else self._piece(token, special=True).decode("utf-8", "replace")

    def tokens(self, text: str, *, begin: bool = True) -> list[int]:
        """A text as tokens; special ones are known by their texts. `begin` adds those that begin a text."""
        data = text.encode()
        room = len(data) + 8
        tokens = (self._api.llama_token * room)()
        count = self._api.llama_tokenize(self._vocabulary, data, len(data), tokens, room, begin, True)
        if count < 0:
            raise AttemptFailed("server_error", "could not cut the text into tokens")
        return list(tokens[:count])

    def write(self, writing: Writing, halt: Halt) -> Generator[Progress, None, None]:
        """Reads the prompt, and writes token by token until it is told to halt."""
        if self._writing is None:
            self._writing = self._context(embeds=False)
        if len(writing.prompt) >= self.context_length:
            raise TooLongError(len(writing.prompt), self.context_length)
        self._api.llama_set_abort_callback(self._writing, *_look(self._api, halt))
        sampler = Sampler(self.library, self._vocabulary, self.context_length, writing.sampling)
        try:
            cached = self._rewind(writing.prompt)
            if self._read(writing.prompt[cached:], halt):
                yield Begun(len(writing.prompt), cached, writing.thinking)
                yield from self._written(writing, sampler, halt)
        finally:
            sampler.close()

    def embed(self, text: Sequence[int], halt: Halt) -> Generator[list[float], None, None]:
        """The vector of a text, of length 1, as OpenAI's are; nothing where it is told to halt."""
        if len(text) > (most := min(self.context_length, _LONGEST)):
            raise TooLongError(len(text), most)
        if self._embedding is None:
            self._embedding = self._context(embeds=True)
        self._api.llama_set_abort_callback(self._embedding, *_look(self._api, halt))
        if not halt.told and (vector := self._vector(text, halt)):
            yield vector

    def _written(self, writing: Writing, sampler: Sampler, halt: Halt) -> Generator[Progress, None, None]:
        stops, decoder = Stops(writing.stops), codecs.getincrementaldecoder("utf-8")("replace")
        most = min(writing.most or self.context_length, self.context_length - len(writing.prompt))
        free, seen = writing.thinking, ""
        for count in range(1, most + 1):
            picked = sampler.pick(self._writing, free=free)
            if self._api.llama_vocab_is_eog(self._vocabulary, picked.token):
                yield from _rest(stops.feed(decoder.decode(b"", final=True)) + stops.end())
                yield Ended("stop", count)
                return
            text = decoder.decode(self._visible(picked.token))
            if free:
                seen = (seen + text)[-64:]
                free = _THOUGHT not in seen
            yield self._told(stops.feed(text), picked)
            if stops.hit:
                yield Ended("stop", count)
                return
            if count < most and not self._read([picked.token], halt):
                return
        yield from _rest(stops.feed(decoder.decode(b"", final=True)) + stops.end())
        yield Ended("length", most)

    def _told(self, text: str, picked: Picked) -> Wrote:
        if picked.logprob is None:
            return Wrote(text)
        others = (Told(self._visible(one.token), one.logprob) for one in picked.others)
        return Wrote(text, Told(self._visible(picked.token), picked.logprob), tuple(others))

    def _rewind(self, prompt: Sequence[int]) -> int:
        """Goes back to where what is known and the prompt part; at least one token is left to read."""
        memory = self._api.llama_get_memory(self._writing)
        common = 0
        for known, wanted in zip(self._held, prompt[:-1], strict=False):
            if known != wanted:
                break
            common += 1
        if not self._api.llama_memory_seq_rm(memory, 0, common, -1):  # it cannot go back a part of the way
            self._api.llama_memory_clear(memory, True)
            common = 0
        del self._held[common:]
        return common

    def _read(self, tokens: Sequence[int], halt: Halt) -> bool:
        """Has the model read on. Whether it did, and was not halted."""
        for at in range(0, len(tokens), _BATCH):
            if halt.told:
                return False
            some = tokens[at : at + _BATCH]
            code = self._decode(self._writing, some)
            if code:
                self._forget()
            if code == _ABORTED and halt.told:
                return False
            if code:
                raise AttemptFailed("server_error", f"could not compute (llama_decode gave {code})")
            self._held += some
        return True

    def _decode(self, context: Any, tokens: Sequence[int]) -> int:
        held = (self._api.llama_token * len(tokens))(*tokens)  # the batch points to it
        code: int = self._api.llama_decode(context, self._api.llama_batch_get_one(held, len(tokens)))
        return code

    def _forget(self) -> None:
        self._api.llama_memory_clear(self._api.llama_get_memory(self._writing), True)
        self._held.clear()

    def _vector(self, text: Sequence[int], halt: Halt) -> list[float]:
        api, context = self._api, self._embedding
        if (memory := api.llama_get_memory(context)) is not None:
            api.llama_memory_clear(memory, True)
        code = self._decode(context, text)
        if halt.told:
            return []
        if code or not (found := api.llama_get_embeddings_seq(context, 0)):
            raise AttemptFailed("server_error", f"could not compute (llama_decode gave {code})")
        values: list[float] = found[: api.llama_model_n_embd_out(self._model)]
        length = math.sqrt(sum(value * value for value in values))
        return [value / length for value in values] if length else values

    def _context(self, *, embeds: bool) -> Any:
        params = self._api.llama_context_default_params()
        params.n_ctx = self.context_length
        params.n_seq_max = 1
        params.n_threads = params.n_threads_batch = self._options.threads or max(1, _cores() - 1)
        params.no_perf = True
        if embeds:  # a text that becomes one vector is read in one go
            params.n_ctx = params.n_batch = params.n_ubatch = min(self.context_length, _LONGEST)
            params.embeddings = True
        context = self._api.llama_init_from_model(self._model, params)
        if not context:
            raise AttemptFailed("server_error", f"no room for a context{_complaint(self.library)}")
        return context

    def _visible(self, token: int) -> bytes:
        """A token as text. Special ones have none, but for the marks that are read in an answer."""
        if (piece := self._pieces.get(token)) is None:
            piece = self._piece(token, special=False)
            if (
                not piece
                and (special := self._piece(token, special=True)).decode("utf-8", "replace") in MARKS
            ):
                piece = special
            self._pieces[token] = piece
        return piece

    def _piece(self, token: int, *, special: bool) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            length = self._api.llama_token_to_piece(self._vocabulary, token, buffer, room, 0, special)
            if length >= 0:
                return buffer.raw[:length]
            room = -length


def _rest(text: str) -> Generator[Wrote, None, None]:
    if text:
        yield Wrote(text)


def _load(library: Library, file: ModelFile, options: LlamaOptions) -> Any:
    params = library.api.llama_model_default_params()
    if options.gpu_layers >= 0:
        params.n_gpu_layers = options.gpu_layers
    library.complaints.clear()
    model = library.api.llama_model_load_from_file(os.fsencode(file.path), params)
    if not model:
        raise AttemptFailed("server_error", f"{file.path.name} cannot be loaded{_complaint(library)}")
    return model


def _complaint(library: Library) -> str:
    return f": {library.complaints[0][:300]}" if library.complaints else ""


def _look(api: Any, halt: Halt) -> tuple[Any, Any]:
    """What llama.cpp calls after each step of a computation, and with what: whether to give up.

    It is C's own strlen, of a text that is empty until the halt is told: a function of ours would wait for
    Python's lock some thousand times a token.
    """
    strlen = ctypes.cast(ctypes.CDLL(None).strlen, api.ggml_abort_callback)
    return strlen, ctypes.cast(halt.flag, ctypes.c_void_p)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def opens_thought(prompt: str) -> bool:
    """Whether a prompt ends within a thought that the model is to go on with."""
    return prompt.rstrip().endswith(THINKS)
