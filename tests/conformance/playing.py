"""Plays every feature of a chat at a dialect's driver, four ways: over REST and over gRPC, whole and as a
stream, through the real server and the real Envoy, to the dialect's `Speaker` on a stage.

How to write the tests of a dialect `x`:

1. `x_speaker.py`: a `Speaker` (`said.py`). `row` is what a catalog row has beside `id`, `base_url` and
   `models` (which is `[m]`, unless it says otherwise); its `key_env` is set to `KEY`.
2. In `test_x.py` first the vendor's own SDK, pointed at `staged(XSpeaker())`: it must read all that the
   speaker says, whole and as a stream, and raise its own exceptions for `stage.fails(word)`. See
   `test_openai.py`.
3. Then the table, with a cell for each of `features.FEATURES` and `features.FAULTS`, in their order, none
   left out:

       TABLE = Table(
           XSpeaker(),
           {
               "text": Works(path("/chat"), header("x-key", KEY), has("input.0.text", "Hi")),
               "seed": Lacks("seed", "The API has no seed."),
               "cache breakpoint": Ignores("It caches by itself.", lacks("input.0.cache")),
               "several choices": Works(has("count", 2), said=Own(whole, stream), answer={...}),
               "fault: key": Fails("bad_key"),
               "fault: too large": Absent("The API has no limit."),
               "fault: in a stream": Fails("overloaded_error"),
               "fault: cut off": Fails(""),
               ...
           },
       )
       scene, test_the_table_is_complete, test_features = suite(TABLE)

`cells.py` says what the cells mean. What comes back is compared with what the feature says
(`hearing.expected`); `answer=` replaces members of that: `{"choices": [...]}`, `{"usage": {...}}`, or both.
Where a body is not the feature's, such as another `model`: `body=FEATURES["seed"].body | {...}`. Where the
vendor has no ids for calls: `Table(call_ids=False)`; then each must have one of its own. A row that needs
more than a key gets it by `variables`, an address with a path by `base_path`, and `refuses` looks at
requests as the vendor does (a signature, a header that must be there).

`python -m tests.conformance` prints the tables of all dialects as a page for people.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.calls import Outcome, over_grpc, rest_text
from tests.conformance import hearing
from tests.conformance.cells import Absent, Fails, Lacks, Works
from tests.conformance.features import FAULTS, FEATURES, HI
from tests.conformance.said import Said
from tests.conformance.stage import Own, Refuses, Stage, staged
from tests.conftest import CALM
from tests.openai_api import shapes
from tests.service import Service, row, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.conformance.said import Speaker

KEY = "conformance-key-0123456789"
WAYS = ("rest", "rest stream", "grpc", "grpc stream")
LONG = Said("Hello there, caller, and all who listen to this.")
_CODES = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
Members = dict[str, Any]
Cell = Works | Lacks | Fails | Absent


@dataclass(frozen=True)
class Table:
    """What a dialect says of every feature."""

    speaker: Speaker
    cells: Mapping[str, Cell]
    variables: Mapping[str, str] = field(default_factory=dict)  # of the environment, beside the key
    base_path: str = ""  # what the base URL has after the address of the stage
    refuses: Refuses | None = None
    call_ids: bool = True  # whether the vendor's calls of tools have ids
    between: Mapping[str, Any] | None = None  # a row for a server like ours that stands in between

    @property
    def provider(self) -> str:
        """The provider's id, which must not be that of a shipped row."""
        return f"{self.speaker.name}-on-stage"

    def plays(self) -> list[Any]:
        """All that is to be played, feature by feature and way by way."""
        return [
            pytest.param(name, way, id=f"{name}-{way}")
            for name, cell in self.cells.items()
            if not isinstance(cell, Absent)
            for way in WAYS
            if name != "fault: in a stream" or way.endswith("stream")
        ]


@dataclass(frozen=True)
class Scene:
    """A service whose only provider of its own asks the stage."""

    table: Table
    stage: Stage
    service: Service

    def play(self, name: str, way: str) -> None:
        """Plays a feature one way."""
        match self.table.cells[name]:
            case Works() as works:
                self._works(name, works, way)
            case Lacks() as lacks:
                self._lacks(name, lacks, way)
            case Fails() as fails:
                self._fails(name, fails, way)

    def _works(self, name: str, cell: Works, way: str) -> None:
        feature, stream, before = FEATURES[name], way.endswith("stream"), len(self.stage.seen)
        said = cell.said or feature.said
        self.stage.says(said)
        asks_usage = name != "text"  # so that a stream without usage is seen, too
        outcome = self._ask(way, cell.body or feature.body, asks_usage=asks_usage)
        assert (outcome.code, outcome.error) == (200 if way.startswith("rest") else "OK", {})
        assert outcome.done == (way == "rest stream")
        assert outcome.provider == self.table.provider
        assert len(self.stage.seen) == before + 1
        for check in cell.sent:
            check(self.stage.last())
        if stream:
            hearing.check_stream(outcome.chunks, usage=asks_usage)
        self._compare(outcome, said, cell.answer, usage=asks_usage or not stream)

    def _compare(
        self, outcome: Outcome, said: Said | Own, answer: Mapping[str, Any], *, usage: bool
    ) -> None:
        wanted: Members = {} if isinstance(said, Own) else hearing.expected(said, usage=usage)
        wanted |= {name: value for name, value in answer.items() if usage or name != "usage"}
        came = hearing.heard(outcome.chunks)
        if not self.table.call_ids:
            for choice in (*wanted.get("choices", ()), *came["choices"]):
                ids = choice.pop("ids", [])
                assert all(ids)
                assert len(set(ids)) == len(ids)
        assert {name: came.get(name) for name in wanted} == wanted
        assert usage == ("usage" in came)

    def _lacks(self, name: str, cell: Lacks, way: str) -> None:
        before = len(self.stage.seen)
        outcome = self._ask(way, FEATURES[name].body if cell.body is None else cell.body)
        error = outcome.error.get("error", {})
        assert (error.get("code"), error.get("param")) == ("parameter_unsupported", cell.param), outcome
        assert outcome.code == (400 if way.startswith("rest") else "INVALID_ARGUMENT")
        assert len(self.stage.seen) == before

    def _fails(self, name: str, cell: Fails, way: str) -> None:
        if name == "fault: in a stream":
            self.stage.breaks(LONG, cell.word)
        elif name == "fault: cut off":
            self.stage.cuts(LONG)
        else:
            self.stage.fails(cell.word)
        outcome, fault = self._ask(way, {}), FAULTS[name]
        status = cell.status or fault.status
        in_stream = way.endswith("stream") and name in ("fault: in a stream", "fault: cut off")
        code: int | str = 200 if in_stream else status
        assert outcome.code == (code if way.startswith("rest") else _CODES[status]), outcome
        assert not outcome.done
        assert bool(outcome.text) == in_stream
        assert LONG.text.startswith(outcome.text)
        causes = [(one["provider"], one["cause"]) for one in outcome.error["attempts"]]
        assert causes == [(self.table.provider, cell.cause or fault.cause)], outcome.error
        assert KEY not in str(outcome.error)
        if fault.retry_after and way == "rest":
            assert float(outcome.headers["retry-after"]) > 0

    def _ask(self, way: str, body: Members, *, asks_usage: bool = False) -> Outcome:
        stream, name = way.endswith("stream"), self.table.provider
        request: Members = {"model": "m", "messages": HI, **body}
        if stream and asks_usage:
            request["stream_options"] = {"include_usage": True}
        if way.startswith("grpc"):
            return over_grpc(self.service, name, stream=stream, **shapes.fields(_typed(request)))
        request |= {"provider": name} | ({"stream": True} if stream else {})
        return rest_text(self.service, msgspec.json.encode(request), stream=stream)


def _typed(request: Members) -> Members:
    """The request with the contract's own name for what JSON calls `reasoning_content`."""
    messages = [
        {"reasoning" if name == "reasoning_content" else name: value for name, value in message.items()}
        for message in request["messages"]
    ]
    return {**request, "messages": messages}


@contextmanager
def playing(table: Table, folder: Path) -> Iterator[Scene]:
    """Sets the scene of a table."""
    speaker = table.speaker
    variables = {str(speaker.row["key_env"]): KEY} if speaker.row.get("key_env") else {}
    with staged(speaker, table.refuses) as stage:
        own = row(table.provider, f"{stage.url}{table.base_path}", **{**CALM, **speaker.row})
        with serving(folder, [own], {**variables, **table.variables}, workers=1) as service:
            if table.between is None:
                yield Scene(table, stage, service)
                return
            front = {"id": table.provider, "base_url": f"grpc://{service.envoy}", **CALM, **table.between}
            (folder / "front").mkdir()
            with serving(folder / "front", [front], workers=1) as first:
                yield Scene(table, stage, first)


def suite(table: Table) -> tuple[Any, Callable[[], None], Callable[..., None]]:
    """The fixture `scene` and the tests of a table, for its module."""

    @pytest.fixture(scope="module")
    def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
        with playing(table, tmp_path_factory.mktemp(table.speaker.name)) as running:
            yield running

    def test_the_table_is_complete() -> None:
        assert list(table.cells) == [*FEATURES, *FAULTS]
        for name, cell in table.cells.items():
            kinds = (Works, Lacks) if name in FEATURES else (Fails, Absent)
            assert isinstance(cell, kinds), name

    @pytest.mark.parametrize(("feature", "way"), table.plays())
    def test_features(scene: Scene, feature: str, way: str) -> None:
        scene.play(feature, way)

    return scene, test_the_table_is_complete, test_features
