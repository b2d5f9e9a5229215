"""Picks tokens: the samplers of llama.cpp in a chain, with a grammar beside it."""

import ctypes
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from server.drivers.llama.library import Library
from server.errors import AttemptFailed

_SEED = 0xFFFFFFFF  # LLAMA_DEFAULT_SEED: another one each time


@dataclass(frozen=True)
class Sampling:
    """How to pick. What is not said is as llama-server has it.

    `grammar` is in GBNF; `logprobs` is how many likely tokens to tell of beside each, None for none at all.
    https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None
    bias: Mapping[int, float] = field(default_factory=dict)
    grammar: str = ""
    logprobs: int | None = None

    def bound(self, grammar: str) -> "Sampling":
        """The same, with a grammar."""
        return replace(self, grammar=grammar)


@dataclass(frozen=True)
class Likely:
    """A token's id and the natural logarithm of its probability."""

    token: int
    logprob: float


@dataclass(frozen=True)
class Picked:
    """A token, and what else was likely in its place; `logprob` where that was asked for."""

    token: int
    logprob: float | None = None
    others: tuple[Likely, ...] = ()


class BadGrammarError(Exception):
    """The grammar is none that llama.cpp takes."""


class Sampler:
    """Picks the tokens of one answer. It must be closed."""

    def __init__(self, library: Library, vocabulary: Any, context_length: int, how: Sampling) -> None:
        self._api = library.api
        self._numpy = library.numpy
        self._how = how
        self._size: int = self._api.llama_vocab_n_tokens(vocabulary)
        self._grammar: Any = None
        self._candidates: Any = None
        if how.grammar:
            self._grammar = self._api.llama_sampler_init_grammar(vocabulary, how.grammar.encode(), b"root")
            if not self._grammar:
                raise BadGrammarError
        self._chain = self._api.llama_sampler_chain_init(self._api.llama_sampler_chain_default_params())
        for one in self._samplers(context_length):
            self._api.llama_sampler_chain_add(self._chain, one)

    def close(self) -> None:
        """Frees what the library holds."""
        self._api.llama_sampler_free(self._chain)
        if self._grammar:
            self._api.llama_sampler_free(self._grammar)

    def pick(self, context: Any, *, free: bool) -> Picked:
        """The next token, after the last that was computed. `free` from the grammar, where it is not its
        turn yet. Raises `AttemptFailed` where nothing fits.
        """
        bound = bool(self._grammar) and not free
        if not bound and self._how.logprobs is None:
            return Picked(self._api.llama_sampler_sample(self._chain, context, -1))
        logits = self._logits(context)
        token = self._choose(logits, bound=False)
        if bound and not self._fits(token):
            token = self._choose(logits, bound=True)
        if bound:
            self._api.llama_sampler_accept(self._grammar, token)
        self._api.llama_sampler_accept(self._chain, token)
        return self._told(token, logits)

    def _samplers(self, context_length: int) -> list[Any]:
        api, how = self._api, self._how
        made = []
        if how.bias:
            bias = (api.llama_logit_bias * len(how.bias))(*how.bias.items())
            made.append(api.llama_sampler_init_logit_bias(self._size, len(how.bias), bias))
        if how.repeat_penalty != 1 or how.frequency_penalty or how.presence_penalty:
            penalties = how.repeat_penalty, how.frequency_penalty, how.presence_penalty
            made.append(api.llama_sampler_init_penalties(self._size, context_length, *penalties))
        if how.temperature <= 0:
            return [*made, api.llama_sampler_init_greedy()]
        made.append(api.llama_sampler_init_top_k(how.top_k))
        made.append(api.llama_sampler_init_top_p(how.top_p, 1))
        made.append(api.llama_sampler_init_min_p(how.min_p, 1))
        made.append(api.llama_sampler_init_temp(how.temperature))
        seed = _SEED if how.seed is None else how.seed % _SEED
        return [*made, api.llama_sampler_init_dist(seed)]

    def _logits(self, context: Any) -> Any:
        pointer = self._api.llama_get_logits_ith(context, -1)
        return self._numpy.ctypeslib.as_array(pointer, shape=(self._size,))

    def _choose(self, logits: Any, *, bound: bool) -> int:
        """What the chain chooses of all tokens, or of those that the grammar lets through."""
        candidates = self._filled(logits)
        data = candidates.ctypes.data_as(ctypes.POINTER(self._api.llama_token_data))
        array = self._api.llama_token_data_array(data, len(candidates), -1, False)
        if bound:
            self._api.llama_sampler_apply(self._grammar, ctypes.byref(array))
        self._api.llama_sampler_apply(self._chain, ctypes.byref(array))
        chosen = array.data[array.selected]
        # llama.cpp ends the process where a grammar is given what it does not let through.
        if bound and (math.isinf(chosen.logit) or not self._fits(chosen.id)):
            raise AttemptFailed("broken_answer", "has no token that would go on with the form asked for")
        return int(chosen.id)

    def _filled(self, logits: Any) -> Any:
        numpy = self._numpy
        if self._candidates is None:
            kinds = [("id", numpy.int32), ("logit", numpy.float32), ("p", numpy.float32)]
            self._candidates = numpy.zeros(self._size, dtype=kinds)
        self._candidates["id"] = numpy.arange(self._size, dtype=numpy.int32)
        self._candidates["logit"] = logits
        return self._candidates

    def _fits(self, token: int) -> bool:
        """Whether the grammar lets a token through."""
        alone = (self._api.llama_token_data * 1)((token, 1.0, 0.0))
        array = self._api.llama_token_data_array(alone, 1, -1, False)
        self._api.llama_sampler_apply(self._grammar, ctypes.byref(array))
        return not math.isinf(alone[0].logit)

    def _told(self, token: int, logits: Any) -> Picked:
        if self._how.logprobs is None:
            return Picked(token)
        numpy, most = self._numpy, min(self._how.logprobs, self._size)
        highest = logits.max()
        all_of_them = float(highest + numpy.log(numpy.exp(logits - highest).sum()))
        best = numpy.argpartition(logits, -most)[-most:] if most else []
        others = [Likely(int(one), float(logits[one]) - all_of_them) for one in best]
        others.sort(key=lambda one: (-one.logprob, one.token))
        return Picked(token, float(logits[token]) - all_of_them, tuple(others))
