"""Scripts that are always played: what random ones seldom come to, each in its shortest form."""

from typing import Any

import pytest

from tests.model.scripts import SLOW, WHOLE, Ask, Play, Provider, Script, Wait

_500, _503 = Play("status", status=500), Play("status", status=503, retry_after=0.1)
_LIMITED = Play("status", status=429, retry_after=0.15)
_SILENT = Play("silence")
_A, _B = Provider("a"), Provider("b")
_AB = (_A, _B)


def _ask(a: Play, *more: Play, b: Play = WHOLE, **fields: Any) -> Ask:
    return Ask({"a": (a, *more), "b": (b,), "c": (b,)}, **fields)


def _script(*steps: Ask | Wait, fleet: tuple[Provider, ...] = _AB) -> Script:
    return Script(fleet, steps)


def _committed(end: str) -> Script:
    play = Play(end, "content")  # type: ignore[arg-type]
    return _script(_ask(play), _ask(play, stream=False))


_BREAKING = (_ask(_500), _ask(_500), _ask(_500), Wait(0.25), _ask(_500), Wait(0.25), _ask(WHOLE))
_HANGING = (*_AB, Provider("c"))

SCRIPTS = [
    pytest.param(
        _script(*_BREAKING, Wait(0.25), _ask(WHOLE), _ask(_500)),
        id="a breaker opens, opens for longer, and closes",
    ),
    pytest.param(
        _script(
            _ask(_LIMITED),
            _ask(WHOLE, model="n"),
            Wait(0.25),
            _ask(WHOLE),
            fleet=(Provider("a", times=0), _B),
        ),
        id="who asks to wait is left alone with every model for that time",
    ),
    pytest.param(
        _script(_ask(Play("status", status=401)), _ask(WHOLE), _ask(WHOLE, model="n")),
        id="who refuses its key is asked no more",
    ),
    *(
        pytest.param(_committed(end), id=f"{end} after content is an error of that provider")
        for end in ("reset", "error", "cut", "silence")
    ),
    pytest.param(_script(_ask(_503, WHOLE), _ask(_LIMITED, WHOLE)), id="a short wait is worth it"),
    pytest.param(
        _script(_ask(Play("refuse")), _ask(Play("status", status=400)), _ask(Play("status", status=404))),
        id="a connection is tried again, and a wrong request is not",
    ),
    pytest.param(
        _script(
            _ask(_SILENT, hedge=0.04), _ask(SLOW, b=_500, hedge=0.04), _ask(_SILENT, b=_SILENT, hedge=0)
        ),
        id="the second is asked, too, where the first takes long",
    ),
    *(
        pytest.param(
            _script(
                _ask(_SILENT, b=_SILENT, deadline=(way, 0.3)),
                _ask(_SILENT, b=_SILENT, deadline=(way, 0.3), stream=False),
                _ask(_SILENT, deadline=(way, 3.0), stream=False),
                fleet=_HANGING,
            ),
            id=f"a deadline by {way} is for all together, and changes no limit of a provider",
        )
        for way in ("field", "header", "grpc")
    ),
    pytest.param(
        _script(_ask(_SILENT, leave=0), _ask(Play("silence", "content"), leave=1, hedge=0.04)),
        id="nothing is asked any more when the caller has left",
    ),
    pytest.param(
        _script(_ask(_500, names=("a", "b")), fleet=(_A, Provider("b", keyed=False))),
        id="who has no key is told of before those who were asked",
    ),
    pytest.param(
        _script(_ask(Play("error", "content"), names=("a", "b")), fleet=(_A, Provider("b", keyed=False))),
        id="who has no key is told of where a stream broke",
    ),
    pytest.param(
        _script(
            _ask(Play("status", status=429, retry_after=0.3), names=("a",), deadline=("header", 0.1)),
            _ask(WHOLE),
        ),
        id="who asked to wait is not waited for while another is left",
    ),
]
