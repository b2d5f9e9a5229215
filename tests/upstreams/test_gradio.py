"""A real Gradio app behind the running service: images, chats, and what becomes of its failures."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from PIL import Image

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.images_pb2 import GenerateImagesRequest
from interference.v1.images_pb2_grpc import ImagesStub
from tests.calls import TIMEOUT
from tests.programs import wait_until
from tests.service import Service, serving
from tests.upstreams.gradio_space import LocalSpace, other_row, shipped_row, space_running, token
from tests.upstreams.python_environment import python_of
from tests.upstreams.test_api_page import BLOCKS, printed_by

ANSWER = "Hello from a tiny space."
SMALL = {"model": "flux", "provider": "HuggingSpace", "size": "256x256"}


@pytest.fixture(scope="module")
def space(
    made: Callable[[Callable[[], Path]], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalSpace]:
    """The app."""
    made(lambda: python_of("gradio"))
    with space_running(tmp_path_factory.mktemp("space")) as running:
        yield running


@pytest.fixture(scope="module")
def asked(space: LocalSpace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose HuggingSpace is the shipped row, with the app in the place of the Space."""
    rows = [shipped_row(space.url) | {"breaker": {"enabled": False}}, other_row(space.url)]
    with serving(tmp_path_factory.mktemp("asked"), rows, {"HF_TOKEN": token()}) as service:
        yield service


@pytest.fixture(scope="module")
def channel(asked: Service) -> Iterator[grpc.Channel]:
    """A channel through Envoy, which takes as large a message as an image is."""
    options = [("grpc.max_receive_message_length", 2**26)]
    with grpc.insecure_channel(asked.envoy, options) as channel:
        yield channel


@pytest.fixture
def full_queue(space: LocalSpace) -> Iterator[None]:
    """One job runs and as many wait as may."""
    jobs = [space.join("forever", "crowd")]
    space.says("began crowd")
    jobs += [space.join("forever", "crowd") for _ in range(3)]
    yield
    for job in reversed(jobs):
        space.cancel(job)
    space.says("ended crowd")


def test_the_image_block_of_the_api_page_runs_unchanged(asked: Service) -> None:
    (line,) = printed_by(asked, BLOCKS[4])
    address = line.removeprefix("Image URL: ")  # at the port that the page asks
    fetched = requests.get(address, proxies={"http": asked.url}, timeout=TIMEOUT)
    assert fetched.headers["content-type"] == "image/webp"
    assert opened(fetched.content).size == (1024, 1024)


def test_an_image_comes_in_base64_of_the_size_asked_for(asked: Service) -> None:
    (image,) = drawn(asked, prompt="a cat", response_format="b64_json", size="512x256")["data"]
    assert opened(base64.b64decode(image["b64_json"])).size == (512, 256)


def test_a_seed_draws_the_same_image_again_and_says_so(asked: Service) -> None:
    first, second, other = (seeded(asked, seed) for seed in (7, 7, 8))
    assert first == second
    assert first["b64_json"] != other["b64_json"]
    assert first["extra"] == {"seed": 7}


def test_without_a_seed_each_image_is_another(asked: Service) -> None:
    one, two = drawn(asked, prompt="a cat", n=2, response_format="b64_json")["data"]
    assert one["b64_json"] != two["b64_json"]
    assert one["extra"]["seed"] != two["extra"]["seed"]


def test_several_images_take_the_seeds_that_follow(asked: Service) -> None:
    made = drawn(asked, prompt="a cat", n=3, seed=7, response_format="b64_json")["data"]
    assert [image["extra"]["seed"] for image in made] == [7, 8, 9]


def test_an_image_is_given_in_the_format_asked_for(asked: Service) -> None:
    made = drawn(asked, prompt="a cat", output_format="png", response_format="b64_json")
    assert made["output_format"] == "png"
    assert opened(base64.b64decode(made["data"][0]["b64_json"])).format == "PNG"


def test_an_image_is_drawn_over_grpc(channel: grpc.Channel) -> None:
    request = GenerateImagesRequest(
        prompt="a cat", model="flux", providers=["HuggingSpace"], width=256, height=512, seed=1
    )
    request.response_format = "b64_json"
    made = ImagesStub(channel).GenerateImages(request, timeout=TIMEOUT)
    assert (made.provider, made.output_format) == ("HuggingSpace", "webp")
    assert opened(base64.b64decode(made.data[0].b64_json)).size == (256, 512)


def test_a_gallery_gives_all_images_of_one_job_with_the_notes_of_the_app(asked: Service) -> None:
    made = drawn(asked, prompt="a cat", model="gallery", provider="Talk", size=None, n=3)
    assert len(made["data"]) == 3
    (note,) = made["data"][0]["extra"]["notes"]
    assert note == {"level": "warning", "text": "few steps"}


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        pytest.param({"prompt": "nsfw"}, 503, "blocked", id="the app's own error"),
        pytest.param({"prompt": "crash"}, 503, "gave no reason", id="a crash"),
        pytest.param({"prompt": "quota"}, 503, "exceeded your GPU quota", id="a quota"),
        pytest.param({"size": "4096x256"}, 400, "greater than maximum value 2048", id="a size"),
        pytest.param({"guidance_scale": 2}, 400, "guidance_scale", id="an input that it lacks"),
        pytest.param({"output_format": "svg"}, 400, "png, jpeg, webp, gif", id="a format"),
        pytest.param({"style": "x", "provider": "Talk", "model": "gallery"}, 400, "size", id="no size"),
    ],
)
def test_what_the_app_cannot_do_is_told(
    asked: Service, fields: dict[str, Any], status: int, words: str
) -> None:
    answer = generate(asked, **{"prompt": "a cat", **fields})
    assert answer.status_code == status, answer.text
    assert words in answer.text


@pytest.mark.usefixtures("full_queue")
def test_a_full_queue_is_a_429(asked: Service) -> None:
    answer = generate(asked, prompt="a cat")
    assert answer.status_code == 429
    assert "Queue is full. Max size is 3 and size is 3." in answer.text


def test_a_chat_answers_whole_and_in_pieces(asked: Service, channel: grpc.Channel) -> None:
    assert said(asked, "talk", "say one two") == "one two"
    request = chatting("talk", "Hi")
    chunks = list(ChatStub(channel).StreamCompletion(request, timeout=TIMEOUT))
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices]
    assert "".join(pieces) == ANSWER
    assert sum(map(bool, pieces)) > 1
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_conversation_becomes_a_transcript(asked: Service) -> None:
    turns = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Yes?"), ("user", "Why?")]
    whole = chat(asked, "transcript", turns).json()["choices"][0]["message"]["content"]
    assert whole == ANSWER
    assert chat(asked, "talk", turns).status_code == 400


@pytest.mark.parametrize(
    ("model", "history"),
    [
        pytest.param(
            "recite",
            [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}],
            id="messages",
        ),
        pytest.param("pairs", [["Hi", "Yes?"]], id="pairs"),
    ],
)
def test_a_history_goes_in_as_the_row_says(asked: Service, model: str, history: list[Any]) -> None:
    turns = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Yes?"), ("user", "Why?")]
    answer = chat(asked, model, turns, temperature=0.5)
    assert answer.json()["choices"][0]["message"]["content"] == f"Be kind.|{history}|Why?|0.5"


def test_text_that_is_rewritten_is_told_as_a_whole_where_the_row_says_so(
    asked: Service, channel: grpc.Channel
) -> None:
    assert said(asked, "drafts", "Hi") == said(asked, "fair-copy", "Hi") == ANSWER
    chunks = ChatStub(channel).StreamCompletion(chatting("fair-copy", "Hi"), timeout=TIMEOUT)
    assert "".join(c.delta.content for chunk in chunks for c in chunk.choices) == ANSWER


def test_text_that_is_rewritten_ends_a_stream_with_an_error(channel: grpc.Channel) -> None:
    chunks = ChatStub(channel).StreamCompletion(chatting("drafts", "Hi"), timeout=TIMEOUT)
    with pytest.raises(grpc.RpcError, match="appends: false"):
        list(chunks)


def test_an_endpoint_that_is_not_there_is_a_404(asked: Service) -> None:
    answer = chat(asked, "missing", [("user", "Hi")])
    assert answer.status_code == 404
    assert "no endpoint nothing" in answer.text


def test_a_job_ends_when_its_caller_goes(space: LocalSpace, channel: grpc.Channel) -> None:
    stream = ChatStub(channel).StreamCompletion(chatting("forever", "stream"), timeout=TIMEOUT)
    next(stream)
    stream.cancel()
    space.says("ended stream")


def test_a_job_ends_when_the_caller_of_a_whole_answer_goes(
    space: LocalSpace, channel: grpc.Channel
) -> None:
    future = ChatStub(channel).CreateCompletion.future(chatting("forever", "whole"), timeout=TIMEOUT)
    space.says("began whole")
    future.cancel()
    space.says("ended whole")


def test_a_job_leaves_the_queue_when_its_caller_goes(space: LocalSpace, channel: grpc.Channel) -> None:
    running = space.join("forever", "first")
    space.says("began first")
    future = ChatStub(channel).CreateCompletion.future(chatting("forever", "second"), timeout=TIMEOUT)
    wait_until(lambda: space.waiting() == 1, lambda: "it never came into the queue")
    future.cancel()
    wait_until(lambda: space.waiting() == 0, lambda: "it never left the queue")
    space.cancel(running)
    space.says("ended first")
    last = space.join("forever", "last")
    space.says("began last")
    assert "began second" not in space.program.said
    space.cancel(last)
    space.says("ended last")


def drawn(service: Service, **fields: Any) -> Any:
    answer = generate(service, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def seeded(service: Service, seed: int) -> Any:
    return drawn(service, prompt="a cat", seed=seed, response_format="b64_json")["data"][0]


def generate(service: Service, **fields: Any) -> requests.Response:
    body = {name: value for name, value in (SMALL | fields).items() if value is not None}
    return requests.post(f"{service.base_url}/images/generations", json=body, timeout=TIMEOUT)


def chat(service: Service, model: str, turns: list[tuple[str, str]], **fields: Any) -> requests.Response:
    messages = [{"role": role, "content": text} for role, text in turns]
    body = {"model": model, "provider": "Talk", "messages": messages, **fields}
    return requests.post(f"{service.base_url}/chat/completions", json=body, timeout=TIMEOUT)


def said(service: Service, model: str, message: str) -> Any:
    answer = chat(service, model, [("user", message)])
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


def chatting(model: str, message: str) -> CreateCompletionRequest:
    messages: Any = [{"role": "user", "content": [{"text": message}]}]
    return CreateCompletionRequest(model=model, providers=["Talk"], messages=messages)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
