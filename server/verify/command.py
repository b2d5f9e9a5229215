"""`interference verify-provider ADDRESS`: its options, and its output."""

import argparse
import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

from server.config import Secrets
from server.errors import SettingsError
from server.verify import table, telling
from server.verify.peer import Metadata
from server.verify.play import played
from server.verify.services import SERVICES
from server.verify.session import Tls, connected, explored

if TYPE_CHECKING:
    from server.verify.case import Outcome

NAME = "verify-provider"
_LIMIT = 10.0  # seconds
_SHORTEST, _LONGEST = 0.1, 600.0


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        NAME,
        help="say whether a plug-in keeps to the contract",
        description="Plays the contract's cases against a server that implements services of "
        "interference.v1, and says of each fault what was asked, what came, what the contract wants, and "
        "how to mend it. Exit code 0: no fault, 1: at least one, 2: there is nobody to ask.",
    )
    parser.add_argument(
        "address", metavar="ADDRESS", help="HOST:PORT or unix:/PATH of the plug-in's gRPC server"
    )
    parser.add_argument("--model", default="", help="model to ask for (default: the first of its list)")
    parser.add_argument(
        "--only",
        metavar="SERVICE",
        action="append",
        choices=list(SERVICES),
        help=f"one of {', '.join(SERVICES)}",
    )
    parser.add_argument("--tls", action="store_true", help="connect with TLS")
    parser.add_argument("--ca", metavar="FILE", help="certificates to trust, PEM (default: the system's)")
    parser.add_argument(
        "--cert", metavar="FILE", help="our certificate, PEM, where the plug-in asks for one"
    )
    parser.add_argument("--key", metavar="FILE", help="our certificate's private key, PEM")
    parser.add_argument(
        "--key-env", metavar="NAME", help="environment variable with the key that is sent as a bearer token"
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=_LIMIT, help=f"seconds for each case (default {_LIMIT:g})"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Plays the cases. Raises `SettingsError` where there is nobody to ask, or a file or key is missing."""
    return asyncio.run(_verify(arguments))


async def _verify(arguments: argparse.Namespace) -> int:
    wanted = frozenset(arguments.only or SERVICES)
    metadata = _metadata(arguments.key_env)
    outcomes: list[Outcome] = []
    async with connected(arguments.address, _tls(arguments), arguments.timeout, metadata) as bare:
        peer = await explored(bare, wanted, arguments.model)
        cases = table.of(wanted)
        async for outcome in played(peer, cases, _say):
            outcomes.append(outcome)
            if not arguments.json and outcome.case.service not in peer.lacking:
                _print(*telling.lines(outcome))
    if arguments.json:
        found = telling.document(arguments.address, peer.models, outcomes)
        _print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(*telling.absent(peer.lacking, cases), telling.summary(outcomes))
    return int(any(outcome.state == "fault" for outcome in outcomes))


def _metadata(key_env: str | None) -> Metadata:
    if key_env is None:
        return ()
    if not (key := Secrets(os.environ).key(key_env)):
        raise SettingsError(f"--key-env: {key_env} is not set")
    return (("authorization", f"Bearer {key}"),)


def _tls(arguments: argparse.Namespace) -> Tls | None:
    ca, cert, key = arguments.ca, arguments.cert, arguments.key
    if bool(cert) != bool(key):
        raise SettingsError("--cert and --key belong together")
    return Tls(ca, cert, key) if arguments.tls or ca or cert else None


def _seconds(text: str) -> float:
    seconds = float(text)
    if not _SHORTEST <= seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"must be {_SHORTEST:g} to {_LONGEST:g} seconds")
    return seconds


def _print(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
