"""Pieces of tool calls find their call, whatever the upstream says of it."""

from typing import Any

import pytest

from interference.v1.tool_pb2 import FunctionCall, ToolCall
from server.drivers.openai.calls import CallIndexes
from server.errors import AttemptFailed


def settled(*pieces: dict[str, Any]) -> list[tuple[int, str]]:
    indexes = CallIndexes()
    calls = [ToolCall(**piece) for piece in pieces]
    for call in calls:
        indexes.settle([call])
    return [(call.index, call.id) for call in calls]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param(
            [{"index": 0, "id": "a"}, {"index": 1, "id": "b"}, {"index": 0}, {"index": 1}],
            [(0, "a"), (1, "b"), (0, ""), (1, "")],
            id="OpenAI's",
        ),
        pytest.param(
            [{"index": 0, "id": "a"}, {"index": 0, "id": "a"}], [(0, "a"), (0, "")], id="ids again"
        ),
        pytest.param(
            [{"index": 0, "id": "a"}, {"index": 0, "id": "b"}, {"index": 0}],
            [(0, "a"), (1, "b"), (1, "")],
            id="every call is the first",
        ),
        pytest.param(
            [{"index": 2**31 - 1, "id": "a"}, {"id": "b"}, {"index": -1, "id": "c"}, {"index": 2**31 - 1}],
            [(0, "a"), (1, "b"), (2, "c"), (0, "")],
            id="an index beyond reason",
        ),
        pytest.param(
            [{"id": "a"}, {}, {"id": "b"}, {}, {"id": "a"}],
            [(0, "a"), (0, ""), (1, "b"), (1, ""), (0, "")],
            id="no index",
        ),
        pytest.param(
            [{"index": 0, "id": "a"}, {"index": 1, "id": "b"}, {"index": 1, "id": "a"}],
            [(0, "a"), (1, "b"), (0, "")],
            id="an id goes before an index",
        ),
        pytest.param(
            [{"index": 2, "id": "a"}, {}], [(2, "a"), (2, "")], id="an index in the first piece alone"
        ),
        pytest.param(
            [{"index": 1, "id": "a"}, {"index": 3, "id": "b"}, {"index": 1}],
            [(1, "a"), (3, "b"), (1, "")],
            id="indexes with gaps",
        ),
    ],
)
def test_a_piece_belongs_to_its_call(pieces: list[dict[str, Any]], expected: list[tuple[int, str]]) -> None:
    assert settled(*pieces) == expected


def test_a_call_that_begins_without_an_id_gets_one() -> None:
    [(index, first), (again, rest)] = settled({"index": 0}, {"index": 0})
    assert (index, again, rest) == (0, 0, "")
    assert first.startswith("call_")


def test_what_later_pieces_repeat_is_left_out() -> None:
    indexes = CallIndexes()
    first, again = (
        ToolCall(index=0, id="a", type="function", function=FunctionCall(name="f")) for _ in "12"
    )
    indexes.settle([first, again])
    assert (first.id, first.type, first.function.name) == ("a", "function", "f")
    assert not again.HasField("id")
    assert not again.function.HasField("name")


@pytest.mark.parametrize("index", [{}, {"index": 0}], ids=["no index", "one index for all"])
@pytest.mark.parametrize("names", [("f", "g"), ("f", "f")], ids=["two functions", "one function"])
def test_calls_without_ids_are_told_apart(index: Any, names: tuple[str, str]) -> None:
    calls = [
        ToolCall(**index, function=FunctionCall(name=name, arguments=f'{{"{place}": 1}}'))
        for place, name in enumerate(names)
    ]
    CallIndexes().settle(calls)
    assert [(call.index, call.function.name) for call in calls] == [(0, names[0]), (1, names[1])]
    assert len({call.id for call in calls}) == 2


def test_an_id_is_one_calls_alone() -> None:
    calls = [ToolCall(index=place, id="a", function=FunctionCall(name="f")) for place in (0, 1)]
    CallIndexes().settle(calls)
    assert calls[0].id == "a"
    assert calls[1].id.startswith("call_")


def test_more_calls_than_anybody_makes_are_a_broken_answer() -> None:
    with pytest.raises(AttemptFailed):
        CallIndexes().settle(ToolCall(index=0, id=str(number)) for number in range(2000))


def test_a_name_may_come_after_its_id() -> None:
    calls = [ToolCall(index=0, id="a"), *(ToolCall(index=0, function=FunctionCall(name="f")) for _ in "12")]
    CallIndexes().settle(calls)
    assert [(call.index, call.id, call.function.name) for call in calls] == [
        (0, "a", ""),
        (0, "", "f"),
        (0, "", ""),
    ]
