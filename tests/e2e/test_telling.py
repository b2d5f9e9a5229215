"""Who answered, what was tried and how long it took: in the answer, in headers over REST, in the log."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.calls import TIMEOUT, body, over_grpc, rest
from tests.programs import wait_until
from tests.service import Service, row, serving
from tests.upstream import Upstream

Play = Callable[..., None]
ATTEMPT = r'"[\w.-]+"(;cause=[a-z_]+)?(;duration_ms=\d+\.\d)?'
kinds = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


def logged(service: Service, request_id: str) -> dict[str, Any]:
    """The line of the log about a call."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        lines = [line for line in service.program.said.splitlines() if request_id in line]
        found[:] = [json.loads(line) for line in lines if line.startswith("{")]
        return bool(found)

    wait_until(look, lambda: service.program.said[-2000:])
    assert len(found) == 1
    return found[0]


@kinds
def test_rest_callers_are_told_in_headers_and_in_the_answer(
    resilient: Service, play: Play, stream: bool
) -> None:
    play("A", "500")
    outcome = rest(resilient, body("A B", stream=stream))
    assert outcome.headers["x-interference-provider"] == "B"
    assert outcome.headers["x-interference-model"] == "m-B"
    told = outcome.headers["x-interference-attempts"]
    assert re.fullmatch(rf"{ATTEMPT}, {ATTEMPT}", told)
    assert told.startswith('"A";cause=server_error;duration_ms=')
    routing = outcome.chunks[0]["routing"]
    failed, served = routing["attempts"]
    assert (failed["provider"], failed["model"], failed["cause"]) == ("A", "m-A", "server_error")
    assert (failed["status"], failed["duration_ms"] > 0) == (500, True)
    assert (served["provider"], served["model"], served.get("cause", "")) == ("B", "m-B", "")
    assert 0 < routing["time_to_first_content_ms"] <= outcome.chunks[-1]["routing"]["total_ms"]


@kinds
def test_grpc_callers_are_told_in_the_typed_answer(resilient: Service, play: Play, stream: bool) -> None:
    play("A", "500")
    outcome = over_grpc(resilient, "A B", stream=stream)
    told = outcome.chunks[0]["routing"]["attempts"]
    assert [(one["provider"], one.get("cause", "")) for one in told] == [("A", "server_error"), ("B", "")]
    assert outcome.chunks[-1]["routing"]["total_ms"] > 0


def test_the_other_dialects_are_told_in_headers(resilient: Service) -> None:
    asked = {"model": "m", "provider": "A", "input": "Hi"}
    answer = requests.post(f"{resilient.base_url}/responses", json=asked, timeout=TIMEOUT)
    assert answer.headers["x-interference-provider"] == "A"
    assert answer.headers["x-interference-model"] == "m-A"
    assert re.fullmatch(ATTEMPT, answer.headers["x-interference-attempts"])


def test_an_error_tells_the_attempts_in_a_header_too(resilient: Service, play: Play) -> None:
    play("A", "500")
    play("B", "html")
    outcome = rest(resilient, body("A B"))
    assert outcome.code == 503
    told = outcome.headers["x-interference-attempts"]
    assert re.fullmatch(rf"{ATTEMPT}, {ATTEMPT}", told)
    assert not {"x-interference-provider", "x-interference-model"} & outcome.headers.keys()


@kinds
def test_each_call_is_one_line_of_json_in_the_log(resilient: Service, play: Play, stream: bool) -> None:
    play("A", "500")
    request_id = f"told-in-the-log-{stream}"
    options = {"stream_options": {"include_usage": True}} if stream else {}
    asked = body("A B", stream=stream, **options)
    assert rest(resilient, asked, headers={"x-request-id": request_id}).code == 200
    line = logged(resilient, request_id)
    method = "Chat.StreamCompletion" if stream else "Chat.CreateCompletion"
    assert (line["event"], line["method"], line["via"], line["status"]) == ("call", method, "rest", "OK")
    assert (line["model"], line["provider"]) == ("m", "B")
    assert [(one["provider"], one.get("cause")) for one in line["attempts"]] == [
        ("A", "server_error"),
        ("B", None),
    ]
    assert 0 < line["time_to_first_content_ms"] <= line["total_ms"]
    assert (line["prompt_tokens"], line["completion_tokens"]) == (3, 5)


@kinds
def test_a_failed_call_is_logged_with_its_reason(resilient: Service, play: Play, stream: bool) -> None:
    play("A", "cut-later" if stream else "500")
    request_id = f"failed-in-the-log-{stream}"
    rest(resilient, body("A", stream=stream), headers={"x-request-id": request_id})
    line = logged(resilient, request_id)
    assert line["error"]["reason"] == ("stream_broken" if stream else "all_providers_failed")
    assert line["status"] == "UNAVAILABLE"


def test_an_upstreams_words_are_not_logged(resilient: Service, play: Play) -> None:
    play("A", "400")
    outcome = rest(resilient, body("A"), headers={"x-request-id": "words-in-the-log"})
    assert "the script says 400" in outcome.error["error"]["message"]
    line = logged(resilient, "words-in-the-log")
    assert line["error"] == {"reason": "c400", "param": "n"}
    assert "the script says" not in json.dumps(line)


def test_calls_that_a_workers_end_cuts_off_are_logged(tmp_path: Path, upstream: Upstream) -> None:
    rows = [row("Silent", f"{upstream.url}/silent/v1")]
    asked = body("Silent")
    with serving(tmp_path, rows, workers=1, grace=0) as service, ThreadPoolExecutor() as pool:
        before = len(upstream.seen)
        call = pool.submit(rest, service, asked, headers={"x-request-id": "cut-off"})
        wait_until(lambda: len(upstream.seen) > before, lambda: "not asked")
        service.program.stop()
        call.exception()
        line = logged(service, "cut-off")
    assert (line["status"], line["error"]) == ("UNAVAILABLE", {"reason": "stopping"})


def test_a_request_id_cannot_forge_a_line(resilient: Service) -> None:
    forged = 'forged"} {"event": "call", "status": "OK"'
    assert rest(resilient, body("A"), headers={"x-request-id": forged}).code == 200
    wait_until(lambda: "forged" in resilient.program.said, lambda: "no line")
    lines = [line for line in resilient.program.said.splitlines() if "forged" in line]
    assert [json.loads(line)["request_id"] for line in lines] == [forged]
