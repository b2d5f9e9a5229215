"""The `llm` command and its Python API, with the models of a person's `extra-openai-models.yaml`."""
# mypy: disable-error-code="import-not-found"

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import llm
from pydantic import BaseModel


class Review(BaseModel):
    zeal: Literal["low", "high"]
    kind: Literal["review"]
    age: Literal[7]


@contextmanager
def _configured(base_url: str, model: str) -> Iterator[None]:
    """A person's folder with the file: https://llm.datasette.io/en/stable/other-models.html"""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LLM_USER_PATH"] = folder
        fields = {"model_id": "mine", "model_name": model, "api_base": base_url}
        # Without the name of a key it sends none, whatever it is given.
        fields |= {"api_key_name": "mine"}
        able = {"supports_schema": True, "supports_tools": True}
        # JSON is YAML.
        Path(folder, "extra-openai-models.yaml").write_text(json.dumps([fields | able]), encoding="utf-8")
        yield


def chat(base_url: str, key: str, model: str, prompt: str) -> str:
    with _configured(base_url, model):
        return str(llm.get_model("mine").prompt(prompt, key=key, stream=False).text())


def stream(base_url: str, key: str, model: str, prompt: str) -> Iterator[str]:
    with _configured(base_url, model):
        yield from llm.get_model("mine").prompt(prompt, key=key)


def tools(base_url: str, key: str, model: str, prompt: str, result: str, streamed: bool) -> dict[str, Any]:
    called: list[Any] = []

    def get_weather(unit: str, exact: bool) -> str:
        """The weather."""
        called.append({"unit": unit, "exact": exact})
        return result

    with _configured(base_url, model):
        answers = llm.get_model("mine").chain(prompt, tools=[get_weather], key=key, stream=streamed)
        return {"called": called, "text": answers.text()}


def structured(base_url: str, key: str, model: str, prompt: str) -> Any:
    with _configured(base_url, model):
        answer = llm.get_model("mine").prompt(prompt, schema=Review, key=key, stream=False)
        return json.loads(answer.text())


def command(base_url: str, key: str, model: str, prompt: str) -> str:
    with _configured(base_url, model):
        piped: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
        asked = [sys.executable, "-m", "llm", "--model", "mine", "--key", key, prompt]
        return str(subprocess.run(asked, check=True, **piped).stdout)
