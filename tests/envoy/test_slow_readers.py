"""Callers who do not read their streams hold up nobody else on the connection that all of them share."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING

from tests.envoy.real_envoy import running
from tests.programs import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.envoy.stub_worker import StubWorker

MIB = 2**20
HELD = 2 * MIB  # of each stream, so that few of them are more than Envoy takes on a connection by default
READERS = 16
STEADY = 25  # polls without a chunk, after which nothing moves


def test_streams_that_nobody_reads_leave_the_others_their_room(worker: StubWorker, tmp_path: Path) -> None:
    before = len(worker.calls.requests)
    with (
        running(tmp_path, worker.port, held_bytes=HELD) as edge,
        contextlib.ExitStack() as readers,
    ):
        for _ in range(READERS):
            readers.enter_context(contextlib.closing(_idle(edge.port)))
        wait_until(
            lambda: len(worker.calls.requests) >= before + READERS, lambda: "the worker was not asked"
        )
        _wait_until_nothing_moves(worker)
        assert edge.chat({"model": "m", "stream": True}).body.endswith(b"data: [DONE]\n\n")
        assert edge("POST", "/v1/images/generate", {"prompt": "p", "n": 1}).status == 200


def _wait_until_nothing_moves(worker: StubWorker) -> None:
    seen, polls = -1, 0

    def steady() -> bool:
        nonlocal seen, polls
        polls = polls + 1 if worker.calls.streamed == seen else 0
        seen = worker.calls.streamed
        return polls > STEADY

    wait_until(steady, lambda: "the streams never stall", seconds=60)


def _idle(port: int) -> socket.socket:
    body = json.dumps({"model": "endless", "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(head.encode() + body)
    return connection
