"""A real Gradio app: FLUX's endpoint as the Space has it, chats, and endpoints that do what Spaces do.

Run by an interpreter that has Gradio, with the port to listen on. An image follows from prompt and seed.
"""
# mypy: disable-error-code="import-not-found"

import asyncio
import hashlib
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import gradio as gr
import numpy as np

MAX_SEED = 2**31 - 1
MAX_SIZE = 2048
WAITING = 3  # jobs that the queue holds
ANSWER = "Hello from a tiny space."
DRAFTS = ("Thinking", "Thinking ...", ANSWER)


def infer(
    prompt: str,
    seed: int = 42,
    randomize_seed: bool = False,
    width: int = 1024,
    height: int = 1024,
    num_inference_steps: int = 4,
    progress: Any = gr.Progress(track_tqdm=True),  # noqa: B008 - so Gradio wants it
) -> tuple[Any, int]:
    """Draws as FLUX.1-schnell is asked to: the image, and the seed that was taken."""
    if "nsfw" in prompt:
        raise gr.Error("blocked")
    if "quota" in prompt:
        raise gr.Error(
            "You have exceeded your GPU quota. Try again in 0:12:34", title="ZeroGPU quota exceeded"
        )
    if "crash" in prompt:
        raise RuntimeError("boom")
    if randomize_seed:
        seed = random.randint(0, MAX_SEED)  # noqa: S311
    for step in range(num_inference_steps):
        progress((step + 1) / num_inference_steps, desc="step")
    return _drawn(prompt, seed, width, height), seed


def gallery(prompt: str, count: int) -> list[tuple[Any, str]]:
    """Draws several at once, each with a caption."""
    gr.Warning("few steps")
    return [(_drawn(prompt, seed, 64, 64), f"number {seed}") for seed in range(int(count))]


def chat(message: str, history: list[dict[str, Any]]) -> Iterator[str]:  # noqa: ARG001
    """Answers word by word: with the message, where it begins with `say`."""
    words = (message.removeprefix("say ") if message.startswith("say ") else ANSWER).split(" ")
    for end in range(len(words)):
        yield " ".join(words[: end + 1])


def drafts(message: str) -> Iterator[str]:  # noqa: ARG001
    """Writes anew what it has written."""
    yield from DRAFTS


def recite(message: str, history: list[Any], system: str, temperature: float) -> str:
    """Says what it was given."""
    return f"{system}|{history}|{message}|{temperature}"


async def forever(prompt: str) -> AsyncIterator[str]:
    """Never ends, and says when it is ended."""
    print(f"began {prompt}", flush=True)  # noqa: T201
    try:
        while True:
            yield "."
            await asyncio.sleep(0.05)
    finally:
        print(f"ended {prompt}", flush=True)  # noqa: T201


def _drawn(prompt: str, seed: int, width: int, height: int) -> Any:
    digest = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big")
    squares = np.random.default_rng([seed, digest]).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return np.kron(squares, np.ones((height // 8, width // 8, 1), dtype=np.uint8))


def build() -> Any:
    """The app with all of its endpoints."""
    with gr.Blocks() as app:
        prompt, seed, taken = gr.Text(), gr.Slider(0, MAX_SEED, step=1), gr.Number()
        randomize, steps = gr.Checkbox(value=True), gr.Slider(1, 50, value=4, step=1)
        width = gr.Slider(256, MAX_SIZE, value=1024, step=32)
        height = gr.Slider(256, MAX_SIZE, value=1024, step=32)
        count, history = gr.Number(), gr.JSON()
        system, temperature, text = gr.Text(), gr.Number(), gr.Text()
        image, images, run = gr.Image(), gr.Gallery(), gr.Button()
        inputs = [prompt, seed, randomize, width, height, steps]
        run.click(infer, inputs, [image, taken], api_name="infer")
        run.click(gallery, [prompt, count], images, api_name="gallery")
        run.click(drafts, prompt, text, api_name="drafts")
        run.click(recite, [prompt, history, system, temperature], text, api_name="recite")
        run.click(forever, prompt, text, api_name="forever", concurrency_limit=1)
        gr.ChatInterface(chat, api_name="chat")
    return app.queue(max_size=WAITING)


def main(port: int) -> None:
    """Serves until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    app = build()
    app.launch(server_name="127.0.0.1", server_port=port, quiet=True, prevent_thread_lock=True)
    print("Ready", flush=True)  # noqa: T201
    signal.sigwait([signal.SIGTERM])
    app.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
