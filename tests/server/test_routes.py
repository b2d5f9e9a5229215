"""Routes: what is read, which faults are named, and which of them a model finds."""

import re
import textwrap
from pathlib import Path

import msgspec
import pytest

from server import drivers, routes, rows
from server.config import Settings, load_catalog
from server.errors import SettingsError
from server.routes import Catalog, Condition, Hedging, Route, Routes, RouteTarget
from server.rows import Row

GROQ = Row(id="Groq", driver="echo")
ROWS = (GROQ, Row(id="OpenAI", driver="echo"))
GOOD = """
routes:
  - model: fast
    strategy: weighted
    targets:
      - {provider: Groq, model: g, weight: 3, when: {failure_rate: 0.2, first_content: 2}}
      - {provider: OpenAI, model: o}
    hedge: {delay: 0.5}
    sticky: false
  - model: fair
    targets: [{provider: Groq, model: g}]
    hedge: {}
  - {model: "o-*", strategy: least_latency}
"""


def read(text: str) -> dict[str, Route]:
    return routes.read(rows.parse(text, "mine.yaml").routes, "mine.yaml")


def merged(text: str) -> tuple[Route, ...]:
    return routes.merge({}, read(text), ROWS, "mine.yaml")


def test_a_route_is_read() -> None:
    assert merged(GOOD)[0] == Route(
        model="fast",
        strategy="weighted",
        targets=(
            RouteTarget(
                provider="Groq", model="g", weight=3, when=Condition(failure_rate=0.2, first_content=2)
            ),
            RouteTarget(provider="OpenAI", model="o"),
        ),
        hedge=Hedging(delay=0.5),
        sticky=False,
    )


def test_what_is_not_said_has_a_default() -> None:
    fair = read(GOOD)["fair"]
    assert (fair.strategy, fair.sticky, fair.hedge) == ("ordered", True, Hedging(delay=None))
    assert read("routes: [{model: m}]")["m"].hedge is None


def target(**fields: object) -> str:
    given = {"provider": "Groq", "model": "g", **fields}
    members = ", ".join(f"{name}: {value}" for name, value in given.items())
    return f"routes: [{{model: fast, strategy: weighted, targets: [{{{members}}}]}}]"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("routes: 5", "mine.yaml: ", id="no list"),
        pytest.param("routes: [fast]", "mine.yaml: ", id="no mapping"),
        pytest.param("routes: [{strategy: ordered}]", "route 1: ", id="no name"),
        pytest.param("routes: [{model: ''}]", "route : model:", id="an empty name"),
        pytest.param(f"routes: [{{model: {'m' * 257}}}]", ": model:", id="a long name"),
        pytest.param('routes: [{model: "a\\tb"}]', ": model: must be printable", id="a control character"),
        pytest.param("routes: [{model: fast, strategy: fastest}]", "route fast: strategy:", id="strategy"),
        pytest.param("routes: [{model: fast, tragets: []}]", "route fast: ", id="misspelt"),
        pytest.param("routes: [{model: fast, targets: 5}]", "route fast: targets:", id="targets"),
        pytest.param("routes: [{model: fast, sticky: 1}]", "route fast: sticky:", id="sticky"),
        pytest.param("routes: [{model: fast, hedge: 1}]", "route fast: hedge:", id="hedge"),
        pytest.param("routes: [{model: fast, hedge: {delay: -1}}]", "hedge.delay:", id="delay"),
        pytest.param("routes: [{model: fast, hedge: {delay: 3601}}]", "hedge.delay:", id="a long delay"),
        pytest.param("routes: [{model: m}, {model: m}]", "route m: model: stands twice", id="twice"),
        pytest.param(target(weight=0), "route fast: targets[0].weight:", id="no weight"),
        pytest.param(target(weight=1e7), "targets[0].weight:", id="weight"),
        pytest.param(target(weight=".nan"), "targets[0].weight:", id="a weight that is no number"),
        pytest.param(target(model="''"), "targets[0].model:", id="a target without a model"),
        pytest.param(target(when="{failure_rate: 2}"), "targets[0].when.failure_rate:", id="rate"),
        pytest.param(target(when="{first_content: 0}"), "targets[0].when.first_content:", id="latency"),
        pytest.param(target(when="{latency: 1}"), "targets[0].when:", id="a condition that is none"),
        pytest.param(
            target(provider="groq"),
            "route fast: targets[0].provider: no provider has the id groq. Did you mean Groq?",
            id="an unknown provider",
        ),
        pytest.param(target(provider="Zzz"), "no provider has the id Zzz.", id="one like none"),
        pytest.param(
            "routes: [{model: 'f*', targets: [{provider: Groq, model: g}]}]",
            "route f*: model: must be no glob where there are targets",
            id="a glob with targets",
        ),
        pytest.param(
            "routes: [{model: fast, targets: [{provider: Groq, model: g}, {provider: Groq, model: g}]}]",
            "route fast: targets[1]: g of Groq stands twice",
            id="a target twice",
        ),
        pytest.param(
            "routes: [{model: fast, targets: [{provider: Groq, model: g, weight: 2}]}]",
            "route fast: targets[0].weight: has no use where strategy is ordered",
            id="a weight in an ordered list",
        ),
    ],
)
def test_a_fault_names_file_route_and_field(text: str, told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        merged(text)
    message = str(raised.value)
    assert message.startswith("mine.yaml: ")
    assert told in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("count", "targets", "told"),
    [
        pytest.param(1, 65, "targets: Expected `array` of length <= 64", id="targets of one"),
        pytest.param(1001, 0, "routes: must be at most 1000", id="routes"),
        pytest.param(160, 64, "routes: must have at most 10000 targets in all", id="targets of all"),
    ],
)
def test_there_may_not_be_too_many(count: int, targets: int, told: str) -> None:
    models = [{"provider": "Groq", "model": f"m{number}"} for number in range(targets)]
    raw = [{"model": f"r{number}", "targets": models} for number in range(count)]
    with pytest.raises(SettingsError, match=told):
        routes.merge({}, routes.read(raw, "mine.yaml"), ROWS, "mine.yaml")


def test_own_routes_go_first_and_take_the_place_of_shipped_ones() -> None:
    shipped = read("routes: [{model: a}, {model: '*'}]")
    own = read("routes: [{model: b}, {model: '*', sticky: false}]")
    found = routes.merge(shipped, own, ROWS, "mine.yaml")
    assert [(route.model, route.sticky) for route in found] == [("b", True), ("*", False), ("a", True)]


@pytest.mark.parametrize(
    ("model", "route"),
    [
        pytest.param("fast", "fast", id="by name"),
        pytest.param("o-3", "o-*", id="by the first glob"),
        pytest.param("x", "x", id="a model's name without targets"),
        pytest.param("FAST", "*", id="case counts"),
        pytest.param("", "*", id="no name"),
    ],
)
def test_a_model_finds_its_route(model: str, route: str) -> None:
    found = Routes((*merged(GOOD), Route(model="x"), Route(model="*"))).of(model)
    assert found is not None
    assert found.model == route


def test_a_model_without_a_route_finds_none() -> None:
    assert Routes(merged(GOOD)).of("other") is None
    assert Routes().of("") is None


def test_a_catalog_is_the_same_after_it_was_told_to_a_worker() -> None:
    catalog = Catalog(ROWS, merged(GOOD))
    assert msgspec.json.decode(msgspec.json.encode(catalog), type=Catalog) == catalog


def test_the_example_in_the_catalog_is_valid(tmp_path: Path) -> None:
    text = Path(rows.__file__).with_name("catalog").joinpath("providers.yaml").read_text(encoding="utf-8")
    [example] = re.findall(r"^# For example:\n#\n((?:#   .*\n)+)", text, re.MULTILINE)
    (tmp_path / "own.yaml").write_text(textwrap.dedent(example.replace("#", " ")))
    catalog = load_catalog(Settings(providers=str(tmp_path / "own.yaml")), drivers.KINDS)
    assert [route.model for route in catalog.routes] == ["fast", "*"]
