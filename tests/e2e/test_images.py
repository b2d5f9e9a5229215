"""Images through the real service: by address and in base64, and the addresses that it gives out."""

import base64
import io
from typing import Any

import pytest
import requests
from PIL import Image

from tests.calls import TIMEOUT
from tests.service import Service
from tests.upstream import Upstream


def generate(service: Service, path: str = "/v1/images/generate", **fields: Any) -> requests.Response:
    request = {"prompt": "a futuristic cityscape at sunset", "model": "canvas", "size": "64x48", **fields}
    return requests.post(service.url + path, json=request, timeout=TIMEOUT)


def one_url(service: Service) -> str:
    return str(generate(service).json()["data"][0]["url"])


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("path", ["/v1/images/generate", "/v1/images/generations", "/v1/media/generate"])
def test_an_image_is_given_by_an_absolute_address_that_downloads(service: Service, path: str) -> None:
    made = generate(service, path, provider="Canvas").json()
    assert (made["model"], made["provider"], made["size"]) == ("canvas", "Canvas", "64x48")
    [item] = made["data"]
    assert item.keys() == {"url", "revised_prompt"}
    assert item["url"].startswith(f"{service.url}/media/")
    answer = requests.get(item["url"], timeout=TIMEOUT)
    assert answer.headers["content-type"] == "image/png"
    assert opened(answer.content).size == (64, 48)


def test_the_address_is_built_from_the_host_that_was_asked(service: Service) -> None:
    url = f"{service.url}/v1/images/generate"
    request = {"prompt": "dusk", "model": "canvas", "size": "32x32"}
    made = requests.post(url, json=request, headers={"host": "images.example:8080"}, timeout=TIMEOUT)
    assert made.json()["data"][0]["url"].startswith("http://images.example:8080/media/")


def test_an_image_is_given_in_base64(service: Service) -> None:
    made = generate(service, response_format="b64_json", n=2, seed=3).json()
    assert [item.keys() for item in made["data"]] == [{"b64_json", "revised_prompt"}] * 2
    first, second = (base64.b64decode(item["b64_json"]) for item in made["data"])
    assert opened(first).size == opened(second).size == (64, 48)
    assert first != second


def test_the_same_seed_draws_the_same_image(service: Service) -> None:
    images = [generate(service, response_format="b64_json", seed=7).json()["data"] for _ in range(2)]
    assert images[0] == images[1]


def test_without_a_model_the_first_that_draws_is_asked(service: Service) -> None:
    made = generate(service, model=None, provider="Canvas").json()
    assert made["model"] == "canvas"


def test_an_image_may_be_kept_for_ever(service: Service) -> None:
    url = one_url(service)
    answer = requests.get(url, timeout=TIMEOUT)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    tag = answer.headers["etag"]
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = requests.get(url, headers={"if-none-match": known}, timeout=TIMEOUT)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    changed = requests.get(url, headers={"if-none-match": '"other"'}, timeout=TIMEOUT)
    assert (changed.status_code, changed.content) == (200, answer.content)


def test_an_image_of_any_size_comes_through(service: Service) -> None:
    url = generate(service, size="2048x2048").json()["data"][0]["url"]
    assert opened(requests.get(url, timeout=TIMEOUT).content).size == (2048, 2048)


def test_an_address_that_an_upstream_gives_is_passed_on(service: Service, upstream: Upstream) -> None:
    made = generate(service, model="i", provider="image-url", width=64, height=32, size=None).json()
    assert made["data"] == [{"url": "https://images.example/1.png"}]
    assert upstream.last().body["size"] == "64x32"


def test_an_address_is_no_answer_where_base64_was_asked_for(service: Service) -> None:
    answer = generate(service, model="i", provider="image-url", response_format="b64_json")
    assert answer.status_code == 503
    assert "base64" in answer.json()["error"]["message"]


def test_an_image_that_is_none_is_another_providers(service: Service) -> None:
    made = generate(service, model="i", provider="image-odd image-url", size=None).json()
    assert made["provider"] == "image-url"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"prompt": ""}, "prompt", id="no prompt"),
        pytest.param({"n": 11}, "n", id="too many"),
        pytest.param({"size": "big"}, "size", id="a size in words"),
        pytest.param({"size": "99999x1"}, "size", id="a size that Canvas does not draw"),
        pytest.param({"size": None, "width": 5}, "height", id="one side"),
        pytest.param({"width": 5, "height": 5}, "size", id="a size twice"),
        pytest.param({"response_format": "svg"}, "response_format", id="response format"),
        pytest.param({"stream": True}, "stream", id="a stream"),
    ],
)
def test_a_wrong_request_is_refused(service: Service, fields: dict[str, Any], param: str) -> None:
    answer = generate(service, **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
