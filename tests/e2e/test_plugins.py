"""A plug-in is a provider like any other: it is found, asked, left when it fails, and found again."""

import json
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
import trustme

from tests.calls import TIMEOUT, ask, attempts, body
from tests.conftest import CALM
from tests.e2e.test_cancellation import grpc_caller, rest_caller
from tests.plugin import SCRIPTS, TEXT, Asked, Plugin, chunk, whole
from tests.programs import wait_until
from tests.service import Service, row, serving
from tests.upstream import TEXT as UPSTREAMS
from tests.upstream import Upstream

each_way = pytest.mark.parametrize("way", ["rest", "grpc"])
each_form = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


async def empty(call: Asked) -> AsyncGenerator[bytes, None]:
    """Nothing in it, or a stream without chunks."""
    if not call.seen.stream:
        yield b""


async def no_finish(_: Asked) -> AsyncGenerator[bytes, None]:
    """A stream that never says why it ended."""
    yield chunk("a")


async def bad_index(call: Asked) -> AsyncGenerator[bytes, None]:
    """A choice that was not asked for."""
    if call.seen.stream:
        yield chunk(choices=[{"index": 7, "delta": {"content": "a"}}])
    else:
        yield whole(choices=[{"index": -7, "message": {"content": "a"}}])


async def huge(call: Asked) -> AsyncGenerator[bytes, None]:
    """More than an answer may have."""
    yield chunk("a" * 2**21) if call.seen.stream else whole(id="a" * 2**21)


async def odd_numbers(call: Asked) -> AsyncGenerator[bytes, None]:
    """Numbers that JSON does not know."""
    extra: Any = {"a": float("nan")}
    yield chunk("a", extra=extra) if call.seen.stream else whole(extra=extra)


async def throws(_: Asked) -> AsyncGenerator[bytes, None]:
    """A defect."""
    raise ValueError("a defect of the plug-in")
    yield b""


async def error_later(_: Asked) -> AsyncGenerator[bytes, None]:
    """A defect after some content."""
    yield chunk("a")
    raise ValueError("a defect of the plug-in")


HOSTILE = (empty, no_finish, bad_index, huge, odd_numbers, throws, error_later)


@dataclass(frozen=True)
class Plugged:
    """A service with a plug-in, `Plug`."""

    service: Service
    plugin: Plugin


def plug(name: str, address: str, **more: Any) -> dict[str, Any]:
    """A row for a plug-in at host:port."""
    fields = {"id": name, "driver": "grpc", "base_url": f"grpc://{address}", "models": ["ok"]}
    return {**fields, **CALM, **more}


@pytest.fixture(scope="module")
def plugged(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    """Beside it `ok` has all models of the plug-in's scripts."""
    scripts = SCRIPTS | {function.__name__: function for function in HOSTILE}
    plugin = Plugin(scripts=scripts)
    names = sorted(scripts)
    folder = tmp_path_factory.mktemp("plugged")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("plug.example")
    credentials = grpc.ssl_server_credentials(
        [(issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())]
    )
    tls = {"ca": str(folder / "ca.pem"), "server_name": "plug.example"}
    with plugin.running() as address, Plugin().running(credentials=credentials) as guarded:
        rows = [
            plug("Plug", address, models=names, limits={"first_content": 0.5, "total": 1}),
            plug("Named", "", base_url="", base_url_env="PLUG_ADDRESS"),
            plug("Guarded", guarded, base_url=f"grpcs://{guarded}", options={"tls": tls}),
            plug("Distrusted", guarded, base_url=f"grpcs://{guarded}"),
            plug("Absent", "127.0.0.1:1"),
            plug("Absent-unprobed", "127.0.0.1:1", probe=False),
            row("ok", f"{upstream.url}/ok/v1", models=names, **CALM),
        ]
        variables = {"PLUG_ADDRESS": f"grpc://{address}"}
        with serving(folder, rows, variables, max_answer_bytes=2**20) as service:
            yield Plugged(service, plugin)


@pytest.mark.parametrize("provider", ["Plug", "Named", "Guarded"])
@each_way
@each_form
def test_a_plug_in_that_only_chats_answers(plugged: Plugged, provider: str, way: str, stream: bool) -> None:
    outcome = ask(plugged.service, way, provider, stream=stream, model="ok")
    assert (outcome.text, outcome.provider) == (TEXT, provider)


def test_a_plug_in_is_enabled_while_it_is_there(plugged: Plugged) -> None:
    answer = requests.get(f"{plugged.service.base_url}/providers", timeout=TIMEOUT).json()
    enabled = {provider["id"] for provider in answer}
    assert {"Plug", "Named", "Guarded", "Absent-unprobed"} <= enabled
    assert not {"Absent", "Distrusted"} & enabled


def test_who_is_not_there_is_told_by_its_address(plugged: Plugged) -> None:
    outcome = ask(plugged.service, "rest", "Absent", model="ok")
    assert "nothing answers at grpc://127.0.0.1:1" in outcome.error["error"]["message"]


@each_way
@each_form
def test_who_is_not_there_is_left_for_the_next(plugged: Plugged, way: str, stream: bool) -> None:
    outcome = ask(plugged.service, way, "Absent-unprobed Plug", stream=stream, model="ok")
    assert (outcome.text, attempts(outcome)[0]) == (TEXT, ("Absent-unprobed", "connect_failed"))


CAUSES = {
    "empty": {False: "broken_answer", True: "connection_lost"},
    "bad_index": "broken_answer",
    "huge": "broken_answer",
    "odd_numbers": "broken_answer",
    "throws": "server_error",
    "silent": "timed_out",
}


@each_way
@each_form
@pytest.mark.parametrize("script", CAUSES)
def test_a_plug_in_that_fails_is_left_for_the_next(
    plugged: Plugged, way: str, stream: bool, script: str
) -> None:
    outcome = ask(plugged.service, way, "Plug ok", stream=stream, model=script)
    assert (outcome.text, outcome.provider) == (UPSTREAMS, "ok")
    cause: Any = CAUSES[script]
    assert attempts(outcome)[0] == ("Plug", cause if isinstance(cause, str) else cause[stream])


@each_way
@pytest.mark.parametrize(
    ("script", "told"), [("error_later", "a defect"), ("no_finish", "without a finish reason")]
)
def test_a_stream_that_breaks_ends_with_an_error(
    plugged: Plugged, way: str, script: str, told: str
) -> None:
    outcome = ask(plugged.service, way, "Plug ok", stream=True, model=script)
    assert (outcome.text, outcome.done) == ("a", False)
    assert outcome.error["error"]["code"] == "stream_broken"
    assert told in outcome.error["error"]["message"]


@pytest.mark.parametrize("caller", [rest_caller, grpc_caller], ids=["rest", "grpc"])
@each_form
def test_a_caller_who_leaves_ends_the_call_to_the_plug_in(
    tmp_path: Path, caller: Callable[..., Any], stream: bool
) -> None:
    plugin = Plugin(scripts={"m": SCRIPTS["half" if stream else "silent"]})
    with plugin.running() as address, serving(tmp_path, [plug("Plug", address, models=["m"])]) as service:
        with caller(service, "Plug", stream=stream):
            wait_until(lambda: plugin.open == 1, lambda: "nobody was asked")
        wait_until(lambda: plugin.open == 0, lambda: "the call to the plug-in goes on")


def test_a_trace_reaches_the_plug_in(plugged: Plugged) -> None:
    trace = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=b",
        "x-request-id": "traced",
    }
    request = body("Plug", model="ok")
    url = f"{plugged.service.base_url}/chat/completions"
    requests.post(url, data=json.dumps(request), headers=trace, timeout=TIMEOUT)
    [seen] = [one for one in plugged.plugin.seen if one.metadata.get("x-request-id") == "traced"]
    assert trace.items() <= seen.metadata.items()
    assert seen.metadata["cdn-loop"].startswith("interference-")
    assert "cookie" not in seen.metadata


def test_a_plug_in_that_comes_back_is_enabled_again(tmp_path: Path) -> None:
    with Plugin().running() as address:
        pass
    with serving(tmp_path, [plug("Plug", address, models=["ok"])]) as service:
        assert ask(service, "rest", "Plug", model="ok").code != 200
        with Plugin().running(address):
            wait_until(
                lambda: ask(service, "rest", "Plug", model="ok").code == 200,
                lambda: "it was not found",
                seconds=8,
            )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        pytest.param({"base_url": "http://h:1"}, "base_url: must be grpc(s)://host:port", id="address"),
        pytest.param({"options": {"tls": {"cert": "a"}}}, "cert and key go together", id="certificate"),
        pytest.param({"options": {"balance": "random"}}, "options: balance: ", id="balance"),
    ],
)
def test_a_row_that_cannot_be_is_refused(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(AssertionError) as caught:  # noqa: SIM117
        with serving(tmp_path, [plug("Plug", "h:1", **fields)]):
            pass
    assert told in str(caught.value)
