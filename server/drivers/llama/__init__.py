"""A provider without a server: llama.cpp computes models of a folder in this process.

A caller waits for a model's turn (`turns`, `machine`). It reads the prompt that its template makes of a
conversation (`prompts`), and picks token after token (`engine`, `sampling`) as the caller wishes
(`wishes`); what it writes is read (`reading`) and told (`chat`, `text`). https://github.com/ggml-org/llama.cpp
"""

import os

from server.drivers.llama.driver import LlamaDriver
from server.drivers.llama.options import LlamaOptions
from server.kinds import Kind

_SAMPLING = (
    *("temperature", "top_p", "n", "stop", "max_tokens", "seed", "presence_penalty"),
    *("frequency_penalty", "logit_bias", "user", "stream_options"),
)

KIND = Kind(
    make=lambda _: LlamaDriver(os.environ),
    options=LlamaOptions,
    params={
        "chat": (
            *_SAMPLING,
            *("max_completion_tokens", "logprobs", "top_logprobs", "tools", "tool_choice"),
            *("parallel_tool_calls", "response_format", "reasoning_effort"),
            *("safety_identifier", "prompt_cache_key"),
        ),
        "text_completions": (*_SAMPLING, "echo"),
        "embeddings": ("user",),
        "images": (),
    },
    refuses={
        "tools": ("custom",),
        "tool_choice": ("custom", "allowed_tools"),
        "content": ("image_url", "input_audio", "file"),
    },
)
