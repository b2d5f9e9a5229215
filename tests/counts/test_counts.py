"""What a call takes is what was committed, and does not grow with what it must not grow with."""

from collections.abc import Mapping

import pytest

from tests.counts import edge, translators
from tests.counts.cases import CASES, LARGE, MEGA, SMALL
from tests.counts.counting import Found, find
from tests.counts.figures import LUA, PYTHON, Figures, committed, differences, named
from tests.counts.worker import LEAK

NAMES = [case.name for case in CASES]
TRANSLATORS = [job.name for job in translators.jobs()]
EDGE = [job.name for job in edge.jobs()]
DIALECTS = ("OpenAI", "Messages", "Responses")
NOTHING = 0.01  # of a figure, which may come with a longer number somewhere


@pytest.fixture(scope="module")
def found() -> Found:
    """All counts."""
    return find()


def compare(case: str, figures: Figures, section: str) -> None:
    before = committed(section)
    if not before:
        pytest.skip(f"there are no figures for {section}: `make counts` writes them")
    of_case = {name: value for name, value in before.items() if name.rpartition(": ")[0] == case}
    lines = "\n".join(differences(dict(named(case, figures)), of_case))
    assert not lines, f"{lines}\nIf this is meant, run `make counts` and commit what it writes."


@pytest.mark.parametrize("name", NAMES)
def test_a_call_takes_what_is_committed(found: Found, name: str) -> None:
    compare(name, found.cases[name].figures, PYTHON)


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_takes_what_is_committed(found: Found, name: str) -> None:
    compare(name, found.translators[name], PYTHON)


@pytest.mark.parametrize("name", EDGE)
def test_the_edge_takes_what_is_committed(found: Found, name: str) -> None:
    compare(name, found.edge[name], LUA)


@pytest.mark.parametrize(("section", "names"), [(PYTHON, (*NAMES, *TRANSLATORS)), (LUA, EDGE)])
def test_nothing_is_committed_that_is_not_counted(section: str, names: tuple[str, ...]) -> None:
    assert {name.rpartition(": ")[0] for name in committed(section)} <= set(names)


@pytest.mark.parametrize("name", NAMES)
def test_a_call_leaves_nothing_behind(found: Found, name: str) -> None:
    assert found.cases[name].growth < LEAK


@pytest.mark.parametrize("name", NAMES)
def test_a_call_opens_no_connection(found: Found, name: str) -> None:
    assert found.cases[name].figures["connections to the upstream"] == 0


def test_a_long_prompt_takes_no_more_calls(found: Found) -> None:
    small, large = found.cases[SMALL.name].figures, found.cases[LARGE.name].figures
    for name in ("Python calls", "resumed coroutines", "C calls", "callbacks", "timers", "tasks"):
        assert large[name] <= (1 + NOTHING) * small[name], name


def test_a_long_prompt_is_held_less_than_four_times(found: Found) -> None:
    assert found.cases[LARGE.name].figures["most bytes held"] < 4 * MEGA


@pytest.mark.parametrize("what", ["request", "answer"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_translators_do_not_look_at_each_byte(found: Found, dialect: str, what: str) -> None:
    small, large = (found.translators[f"{dialect} {what}, {size}"] for size in ("1 kB", "1 MB"))
    for name in (translators.CALLS, translators.INSTRUCTIONS):
        assert large[name] <= (1 + NOTHING) * small[name], name


@pytest.mark.parametrize("what", [name for name in TRANSLATORS if f", {translators.MANY}" in name])
def test_a_stream_takes_as_much_for_each_event(found: Found, what: str) -> None:
    factor = translators.MANY / translators.FEW
    few = found.translators[what.replace(str(translators.MANY), str(translators.FEW))]
    for name, value in found.translators[what].items():
        assert value <= (1 + NOTHING) * factor * few[name], name


@pytest.mark.parametrize("what", ["as it is", "rewritten", "image"])
def test_the_edge_does_not_look_at_each_byte(found: Found, what: str) -> None:
    small, large = found.edge[f"lift, small, {what}"], found.edge[f"lift, 8 MB, {what}"]
    assert large[edge.INSTRUCTIONS] <= (1 + NOTHING) * small[edge.INSTRUCTIONS]


@pytest.mark.parametrize(("what", "copies"), [("as it is", 0), ("image", 0), ("rewritten", 3)])
def test_the_edge_copies_a_body_only_to_rewrite_it(found: Found, what: str, copies: int) -> None:
    small, large = found.edge[f"lift, small, {what}"], found.edge[f"lift, 8 MB, {what}"]
    assert large[edge.TAKEN] - small[edge.TAKEN] <= (copies + NOTHING) * edge.LARGE


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        pytest.param({"a: b": 100}, {"a: b": 100}, [], id="the same"),
        pytest.param({"a: b": 102}, {"a: b": 100}, [], id="a little more"),
        pytest.param({"a: b": 95}, {"a: b": 100}, [], id="a little less"),
        pytest.param({"a: b": 103}, {"a: b": 100}, ["a: b: 103, committed 100 (+3.0%)"], id="more"),
        pytest.param({"a: b": 94}, {"a: b": 100}, ["a: b: 94, committed 100 (-6.0%)"], id="less"),
        pytest.param({"a: b": 3}, {"a: b": 2}, ["a: b: 3, committed 2 (+50.0%)"], id="one more of few"),
        pytest.param({"a: b": 1}, {"a: b": 0}, ["a: b: 1, committed 0"], id="one where there was none"),
        pytest.param({"a: b": 0}, {"a: b": 0}, [], id="none"),
        pytest.param({"a: b": 1}, {}, ["a: b: 1, and none is committed"], id="a new one"),
        pytest.param({}, {"a: b": 1}, ["a: b: is not counted any more, committed 1"], id="one is gone"),
    ],
)
def test_differences_are_told(now: Mapping[str, int], before: Mapping[str, int], said: list[str]) -> None:
    assert [*differences(now, before)] == said
