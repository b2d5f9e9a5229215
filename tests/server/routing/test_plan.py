"""Who is asked, and in what order."""

import random
from typing import Any

import pytest

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completions_pb2 import CreateTextCompletionRequest
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from server.drivers.base import Listed
from server.drivers.echo import EchoDriver
from server.errors import InvalidRequest, NotFound, Unavailable
from server.operations import CHAT, EMBEDDINGS, IMAGES, Request
from server.routes import Condition, Hedging, Route, RouteTarget
from server.routing import plan
from server.routing.health import Board
from server.routing.roster import Provider, Roster
from server.rows import Row


def provider(
    name: str, key: str | None = None, discovered: tuple[str, ...] | None = None, **row: Any
) -> Provider:
    made = Provider(Row(**{"id": name, "driver": "echo", "models": ("m",)} | row), EchoDriver(), key)
    made.learn([Listed(name) for name in discovered or ()])
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


# --- Routes -----------------------------------------------------------------------------------------------


def target(name: str, model: str, **fields: Any) -> RouteTarget:
    return RouteTarget(provider=name, model=model, **fields)


def routed(*routes: Route, board: Board | None = None) -> Roster:
    """Three providers of equal priority that have `m`, and one behind them."""
    equals = [provider(name, models=("m", name.lower(), "both")) for name in "ABC"]
    last = provider("Z", models=("m", "both", "fast"), priority=200, embedding_models=("vec",))
    off = provider("Off", key_env="OFF_KEY", models=("m", "off"))
    return Roster([*equals, off, last], routes, board)


FAST = Route(
    model="fast", targets=(target("B", "b"), target("A", "A/a"), target("B", "m"), target("Off", "off"))
)
ROUTED = routed(FAST, Route(model="both", sticky=False), Route(model="m", hedge=Hedging(delay=2)))


def planned(roster: Roster, seed: int = 1, **fields: Any) -> list[str]:
    draw = random.Random(seed).random  # noqa: S311 - no secret
    made = plan.make(CreateCompletionRequest(**fields), roster, draw)
    return [f"{candidate.provider.id}/{candidate.model}" for candidate in made.candidates]


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        pytest.param(
            {"model": "fast"}, ["B/b", "A/a", "B/m"], id="its targets, before a model of its name"
        ),
        pytest.param({"model": "fast", "providers": ["B"]}, ["B/b", "B/m"], id="the targets of one named"),
        pytest.param(
            {"model": "fast", "providers": ["A", "Z", "B"]},
            ["A/a", "Z/fast", "B/b", "B/m"],
            id="those named, in their order; the model itself of one that is no target",
        ),
        pytest.param({"model": "B/fast"}, ["B/b", "B/m"], id="a provider before a slash"),
        pytest.param({"model": "B/b"}, ["B/b"], id="a model beside it"),
    ],
)
def test_a_route_is_planned(fields: dict[str, Any], asked: list[str]) -> None:
    assert planned(ROUTED, **fields) == asked


def test_a_target_that_cannot_be_asked_is_passed_over_with_the_reason() -> None:
    made = plan.make(CreateCompletionRequest(model="fast"), ROUTED)
    assert [(a.provider, a.model, a.cause) for a in made.passed_over] == [("Off", "off", "not_enabled")]
    assert made.model == "fast"


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        pytest.param(
            CreateCompletionRequest(model="fast", providers=["C"]),
            "C: no chat model fast. fast is a route to B and A and Off.",
            id="who is no target",
        ),
        pytest.param(CreateCompletionRequest(model="fats"), "Did you mean fast?", id="misspelt"),
    ],
)
def test_where_a_route_leads_to_nobody_the_error_says_so(request_: Request, told: str) -> None:
    with pytest.raises(NotFound) as raised:
        plan.make(request_, ROUTED)
    assert told in str(raised.value)


def test_where_no_target_takes_a_parameter_those_who_have_its_models_are_named() -> None:
    picky = [provider(name, models=("p",), params=("stop",)) for name in ("P", "Q")]
    able = [provider("Able", models=("p",)), provider("Other", models=("o",))]
    roster = Roster([*picky, *able], [Route(model="fast", targets=(target("P", "p"), target("Q", "p")))])
    with pytest.raises(InvalidRequest, match=r"Q: does not take seed\. Able would take them\."):
        plan.make(CreateCompletionRequest(model="fast", seed=1), roster)


@pytest.mark.parametrize(
    ("strategy", "fixed"), [("ordered", True), ("weighted", False), ("least_outstanding", False)]
)
def test_a_strategy_orders_targets(strategy: Any, fixed: bool) -> None:
    roster = routed(Route(model="r", strategy=strategy, targets=tuple(target(name, "m") for name in "ABC")))
    orders = {tuple(planned(roster, seed, model="r")) for seed in range(50)}
    assert (orders == {("A/m", "B/m", "C/m")}) == fixed
    assert len(orders) == (1 if fixed else 6)


def test_the_least_outstanding_is_what_the_board_says() -> None:
    board = Board()
    roster = routed(
        Route(model="r", strategy="least_outstanding", targets=(target("A", "m"), target("B", "m"))),
        board=board,
    )
    board.circuit("A", "m").outstanding = 1
    assert planned(roster, model="r") == ["B/m", "A/m"]
    board.circuit("B", "m").outstanding = 2
    assert planned(roster, model="r") == ["A/m", "B/m"]


def test_who_breaks_a_condition_is_the_last_resort() -> None:
    now = 0.0
    board = Board(clock=lambda: now)
    when = Condition(first_content=1)
    roster = routed(
        Route(
            model="r", targets=(target("A", "m", when=when), target("B", "m", when=when), target("C", "m"))
        ),
        board=board,
    )
    assert planned(roster, model="r") == ["A/m", "B/m", "C/m"]
    board.circuit("A", "m").observed.first_content.add(1.5)
    assert planned(roster, model="r") == ["B/m", "C/m", "A/m"]
    assert planned(roster, model="r", providers=["A", "B"]) == ["A/m", "B/m"]
    board.circuit("B", "m").observed.first_content.add(1.5)
    assert planned(roster, model="r") == ["C/m", "A/m", "B/m"]


KEYS = [f"caller-{number}" for number in range(40)]


@pytest.mark.parametrize("strategy", ["weighted", "least_latency", "least_outstanding"])
@pytest.mark.parametrize("field", ["prompt_cache_key", "user"])
def test_a_key_keeps_a_caller_at_a_target_of_a_route(strategy: Any, field: str) -> None:
    targets = tuple(target(name, "m") for name in "ABC")
    roster = routed(Route(model="r", strategy=strategy, targets=targets))
    orders = {key: {tuple(planned(roster, s, model="r", **{field: key})) for s in range(5)} for key in KEYS}
    assert all(len(found) == 1 for found in orders.values())
    assert {next(iter(found))[0] for found in orders.values()} == {"A/m", "B/m", "C/m"}


def test_the_cache_key_goes_before_the_user() -> None:
    for key in KEYS:
        kept = planned(ROUTED, model="m", prompt_cache_key=key)
        assert planned(ROUTED, model="m", prompt_cache_key=key, user="someone") == kept
    assert planned(ROUTED, model="m", user=KEYS[0]) == planned(ROUTED, model="m", prompt_cache_key=KEYS[0])


def test_a_key_keeps_nobody_where_the_route_says_so_or_the_list_is_ordered() -> None:
    targets = tuple(target(name, "m") for name in "ABC")
    loose = routed(Route(model="r", strategy="weighted", sticky=False, targets=targets))
    assert len({tuple(planned(loose, s, model="r", user="someone")) for s in range(50)}) == 6
    listed = routed(Route(model="r", targets=targets))
    assert {tuple(planned(listed, model="r", user=key)) for key in KEYS} == {("A/m", "B/m", "C/m")}
    assert {tuple(planned(ROUTED, model="both", user=key))[:3] for key in KEYS} == {
        ("A/both", "B/both", "C/both")
    }


def test_without_a_route_a_key_keeps_a_caller_among_those_of_equal_priority() -> None:
    roster = routed()
    assert planned(roster, model="m") == ["A/m", "B/m", "C/m", "Z/m"]
    orders = {key: planned(roster, model="m", user=key) for key in KEYS}
    assert {order[-1] for order in orders.values()} == {"Z/m"}
    assert {order[0] for order in orders.values()} == {"A/m", "B/m", "C/m"}
    assert planned(roster, model="m", user=KEYS[0], providers=["C", "A"]) == ["C/m", "A/m"]


def test_a_route_without_targets_gives_a_strategy_to_those_of_equal_priority() -> None:
    roster = routed(Route(model="m*", strategy="weighted"))
    orders = {tuple(planned(roster, seed, model="m")) for seed in range(50)}
    assert len(orders) == 6
    assert {order[-1] for order in orders} == {"Z/m"}
    assert planned(roster, model="both") == ["A/both", "B/both", "C/both", "Z/both"]


def test_embeddings_are_routed_too() -> None:
    roster = routed(Route(model="v", targets=(target("A", "m"), target("Z", "vec"))))
    made = plan.make(CreateEmbeddingsRequest(model="v"), roster)
    assert [candidate.provider.id for candidate in made.candidates] == ["Z"]
    assert [attempt.cause for attempt in made.passed_over] == ["no_such_model"]


@pytest.mark.parametrize(
    ("fields", "hedge"),
    [
        pytest.param({"model": "m"}, Hedging(delay=2), id="the route's"),
        pytest.param({"model": "m", "hedge": {"delay": 0.5}}, Hedging(delay=0.5), id="the request's first"),
        pytest.param({"model": "fast", "hedge": {}}, Hedging(delay=None), id="the observed delay"),
        pytest.param({"model": "fast", "hedge": {"delay": 0}}, Hedging(delay=0), id="no delay"),
        pytest.param({"model": "fast"}, None, id="none"),
        pytest.param({"model": "both"}, None, id="none by a route without targets"),
    ],
)
def test_hedging_is_planned(fields: dict[str, Any], hedge: Hedging | None) -> None:
    assert plan.make(CreateCompletionRequest(**fields), ROUTED).hedge == hedge


async def test_who_refused_its_key_is_not_enabled_but_still_planned() -> None:
    roster = routed()
    roster.board.disable("A", 401)
    a = roster.named("A")
    assert (a.enabled, a.reason, a.missing) == (False, "it refused to answer (401)", "")
    assert planned(roster, model="m")[0] == "A/m"


def test_who_learns_of_other_models_is_asked_for_those_from_then_on() -> None:
    roster = Roster([provider("A"), provider("B", discover=True, models=(), discovered=("m", "old"))])
    assert planned(roster, model="m") == ["A/m", "B/m"]
    assert planned(roster, model="old") == ["B/old"]
    roster.named("B").learn([Listed("new")])
    assert planned(roster, model="m") == ["A/m"]
    assert planned(roster, model="new") == ["B/new"]
    with pytest.raises(NotFound):
        plan.make(CreateCompletionRequest(model="old"), roster)


def test_who_cannot_be_reached_is_asked_by_nobody_until_it_can() -> None:
    roster = Roster([provider("A"), provider("B", probe=True)])
    asked = []
    for why in ("", "nothing answers", ""):
        roster.named("B").unreachable = why
        asked.append(planned(roster, model="m"))
    assert asked == [["A/m", "B/m"], ["A/m"], ["A/m", "B/m"]]


SEES = {"role": "user", "content": [{"image_url": {"url": "https://x/a.png"}}]}
ABLE = Roster(
    [
        provider("Blind", models=("m", "only-blind"), vision_models=("other",)),
        provider("Unknown", models=(), discover=True, discovered=("m",)),
        provider("Sees", vision_models=("m",), context_lengths={"m": 1_000_000}),
        provider("Short", vision_models=("m",), context_lengths={"m": 100}, capabilities={"tools": ()}),
    ]
)


def able(**fields: Any) -> list[str]:
    made = plan.make(CreateCompletionRequest(**{"model": "m", "messages": [SEES]} | fields), ABLE)
    return [candidate.provider.id for candidate in made.candidates]


def test_who_is_known_to_see_is_asked_first_and_who_is_known_to_be_blind_is_not() -> None:
    assert able() == ["Sees", "Short", "Unknown"]


def test_who_is_named_is_asked_in_the_order_given_unless_known_to_lack_what_is_needed() -> None:
    assert able(providers=["Unknown", "Blind", "Sees"]) == ["Unknown", "Sees"]


def test_a_talk_that_is_longer_than_a_context_is_tried_there_last() -> None:
    long = {"role": "user", "content": [{"text": "word " * 1000}]}
    assert able(messages=[long]) == ["Blind", "Unknown", "Sees", "Short"]


def test_a_model_without_tools_is_passed_over_for_a_call_with_tools() -> None:
    made = able(messages=[{"role": "user"}], tools=[{"function": {"name": "f"}}])
    assert made == ["Blind", "Unknown", "Sees"]


def test_who_lacks_what_is_needed_says_so_and_who_has_it_is_named() -> None:
    with pytest.raises(InvalidRequest) as raised:
        able(model="only-blind", providers=["Blind"])
    error = raised.value
    assert (error.reason, error.param) == ("parameter_unsupported", "messages")
    assert "Blind: only-blind has no vision" in error.message
    assert "Blind would take" not in error.message
    assert error.attempts[0].cause == "parameter_unsupported"


def test_a_list_may_say_what_each_model_does() -> None:
    made = Provider(Row(id="A", driver="echo", discover=True), EchoDriver(), None)
    made.learn(
        [
            Listed("talks", frozenset({"chat", "tools"}), context_length=5),
            Listed("draws", frozenset({"images"})),
            Listed("both", frozenset({"chat", "embeddings"})),
            Listed("untold"),
        ]
    )
    assert made.models(CHAT) == ("talks", "both", "untold")
    assert made.models(IMAGES) == ("draws",)
    assert made.models(EMBEDDINGS) == ("both",)
    assert made.known("talks").context_length == 5
