"""Who is asked, and in what order."""

from typing import Any

import pytest

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completions_pb2 import CreateTextCompletionRequest
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from server.drivers.echo import EchoDriver
from server.errors import InvalidRequest, NotFound, Unavailable
from server.operations import Request
from server.routing import plan
from server.routing.roster import Provider, Roster
from server.rows import Row


def provider(
    name: str, key: str | None = None, discovered: tuple[str, ...] | None = None, **row: Any
) -> Provider:
    made = Provider(Row(**{"id": name, "driver": "echo", "models": ("m",)} | row), EchoDriver(), key)
    made.learn(discovered or ())
    return made


ROSTER = Roster(
    [
        provider("A", aliases={"public": "own"}),
        provider("B", models=("m", "b"), params=("seed",)),
        provider("C", "key", key_env="C_KEY", discover=True, models=(), discovered=("found", "pic-1")),
        provider("D", key_env="D_KEY", models=("m", "d")),
        provider("I", models=(), image_models=("i",)),
        provider("E", models=("e",), embedding_models=("vec", "vec-*"), text_models=("*",)),
        provider("P", "key", discover=True, models=(), discovered=("pic-1",), image_models=("pic-*",)),
    ]
)


def chat(**fields: Any) -> list[tuple[str, str]]:
    made = plan.make(CreateCompletionRequest(**fields), ROSTER)
    return [(candidate.provider.id, candidate.model) for candidate in made.candidates]


def images(**fields: Any) -> list[tuple[str, str]]:
    made = plan.make(GenerateImagesRequest(**fields), ROSTER)
    return [(candidate.provider.id, candidate.model) for candidate in made.candidates]


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        pytest.param(
            {"model": "m", "providers": ["B", "A"]}, [("B", "m"), ("A", "m")], id="in the order given"
        ),
        pytest.param(
            {"model": "m", "providers": ["A", "A", "B", "A"]}, [("A", "m"), ("B", "m")], id="once each"
        ),
        pytest.param({"model": "m"}, [("A", "m"), ("B", "m")], id="anyone"),
        pytest.param({"model": "found"}, [("C", "found")], id="a discovered model"),
        pytest.param({"model": "public"}, [("A", "public")], id="an alias"),
        pytest.param({"model": "b", "providers": ["A", "B"]}, [("B", "b")], id="passed over"),
        pytest.param({"model": "new", "providers": ["C"]}, [("C", "new")], id="a list is a hint"),
        pytest.param({"model": "m", "providers": ["D", "A"]}, [("A", "m")], id="without its key"),
        pytest.param({"model": "m", "seed": 1, "top_p": 0.5}, [("A", "m")], id="who takes the parameters"),
        pytest.param({"model": "m", "seed": 1}, [("A", "m"), ("B", "m")], id="who takes the parameter"),
        pytest.param({"model": "m", "n": 1}, [("A", "m"), ("B", "m")], id="one answer is no parameter"),
        pytest.param({"model": "A/m"}, [("A", "m")], id="a provider before a slash"),
        pytest.param({"model": "B/b"}, [("B", "b")], id="another one"),
        pytest.param({"model": "C/x/y"}, [("C", "x/y")], id="a slash within the model's name"),
        pytest.param({"model": "A/m", "providers": ["C"]}, [("C", "A/m")], id="a name goes first"),
        pytest.param({"model": "A/m", "providers": ["A"]}, [("A", "m")], id="a name and its prefix"),
    ],
)
def test_a_chat_is_planned(fields: dict[str, Any], asked: list[tuple[str, str]]) -> None:
    assert chat(**fields) == asked


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        pytest.param({}, [("I", "i"), ("P", "pic-1")], id="the first model of each"),
        pytest.param({"model": "i"}, [("I", "i")], id="by name"),
        pytest.param({"model": "pic-1"}, [("P", "pic-1")], id="by a pattern"),
        pytest.param({"model": "pic-9", "providers": ["P"]}, [("P", "pic-9")], id="one not discovered yet"),
        pytest.param({"providers": ["A", "I"]}, [("I", "i")], id="who makes no images is passed over"),
    ],
)
def test_images_are_planned(fields: dict[str, Any], asked: list[tuple[str, str]]) -> None:
    assert images(prompt="p", **fields) == asked


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        pytest.param({"model": "m", "providers": ["a"]}, NotFound, "Did you mean A?", id="case"),
        pytest.param({"model": "m", "providers": ["A", "Zzz"]}, NotFound, "'Zzz'", id="unknown name"),
        pytest.param({"model": "d"}, NotFound, "D has it, but is not enabled: set D_KEY", id="no key"),
        pytest.param({"model": "b", "providers": ["A"]}, NotFound, "b. B has it.", id="who has it"),
        pytest.param({"model": "i"}, NotFound, "i is not a chat model, it is an image model", id="images"),
        pytest.param({"model": "fuond"}, NotFound, "Did you mean found?", id="misspelt"),
        pytest.param({"model": "x", "providers": ["A", "B"]}, NotFound, "A: no chat model x", id="model"),
        pytest.param({"model": "a/m"}, NotFound, "a/m", id="a slash after no provider's id"),
        pytest.param({"model": "m", "providers": ["D"]}, Unavailable, "set D_KEY", id="no key at all"),
        pytest.param(
            {"model": "b", "top_p": 0.5}, InvalidRequest, "B: does not take top_p", id="parameter"
        ),
        pytest.param(
            {"model": "b", "top_p": 0.5}, InvalidRequest, "E would take them, none known to", id="takers"
        ),
        pytest.param({"model": ""}, InvalidRequest, "model is required", id="no model"),
    ],
)
def test_where_nobody_can_be_asked_the_error_says_why(
    fields: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error) as raised:
        chat(**fields)
    assert told in str(raised.value)


def test_where_parameters_are_refused_the_first_is_named() -> None:
    with pytest.raises(InvalidRequest) as raised:
        chat(model="b", seed=1, top_p=0.5, temperature=1)
    assert raised.value.param == "temperature"


def test_who_drops_a_parameter_is_not_said_to_take_it() -> None:
    roster = Roster(
        [
            provider("Strict", models=("s",), params=("seed",)),
            provider("Loose", models=("s",), params=("seed",), unsupported="drop"),
            provider("Able", models=("s",), params=("seed", "top_p")),
        ]
    )
    request = CreateCompletionRequest(model="s", providers=["Strict"], top_p=0.5)
    with pytest.raises(InvalidRequest, match=r"top_p\. Able would take them\."):
        plan.make(request, roster)


def test_embeddings_and_texts_are_planned_by_models_of_their_own() -> None:
    def asked(request: Request) -> list[tuple[str, str]]:
        made = plan.make(request, ROSTER)
        return [(candidate.provider.id, candidate.model) for candidate in made.candidates]

    assert asked(CreateEmbeddingsRequest(model="vec")) == [("E", "vec")]
    assert asked(CreateEmbeddingsRequest(model="vec-2", providers=["E"])) == [("E", "vec-2")]
    assert asked(CreateTextCompletionRequest(model="e")) == [("E", "e")]
    with pytest.raises(NotFound, match="vec is not a text model, it is an embedding model"):
        asked(CreateTextCompletionRequest(model="vec"))
    with pytest.raises(NotFound, match="E: no embedding model m"):
        asked(CreateEmbeddingsRequest(model="m", providers=["E"]))


def test_who_was_passed_over_is_remembered() -> None:
    made = plan.make(CreateCompletionRequest(model="m", providers=["D", "C", "A"]), ROSTER)
    assert [(a.provider, a.cause) for a in made.passed_over] == [("D", "not_enabled")]
