"""Gradio's dialect, as Hugging Face Spaces and Gradio apps anywhere speak it.

The translators are pure; `driver` follows a job, which takes several requests. Which inputs an endpoint has
is said in the row. https://www.gradio.app/guides/querying-gradio-apps-with-curl
"""

from server.drivers.gradio.driver import GradioDriver
from server.drivers.gradio.options import GradioOptions
from server.kinds import Kind

KIND = Kind(
    make=GradioDriver,
    options=GradioOptions,
    params={
        "chat": (
            "max_tokens",
            "max_completion_tokens",
            "temperature",
            "top_p",
            "presence_penalty",
            "frequency_penalty",
            "seed",
            "reasoning_effort",
        ),
        "text_completions": (),
        "embeddings": (),
        "images": (
            "n",
            "size",
            "width",
            "height",
            "seed",
            "quality",
            "style",
            "output_format",
            "negative_prompt",
            "num_inference_steps",
            "guidance_scale",
            "aspect_ratio",
            "resolution",
        ),
    },
    refuses={"content": ("image_url", "input_audio", "file", "refusal")},
)
