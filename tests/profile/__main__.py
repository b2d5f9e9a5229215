"""`make profile`: a flame graph of a worker under load, as SVG to be opened in a browser.

The service runs as it comes, with one worker. How wide a frame is says how often it was seen at work, by
py-spy, which looks at the process from outside: https://github.com/benfred/py-spy. What runs without the
lock of Python (gRPC's own threads, Envoy) is not in it; --native adds the frames of C.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import gateways
from tests.bench.gateways import MODEL, REST, STRAIGHT, Gateway, Way
from tests.bench.loads import BURST, UNARY, standard
from tests.bench.measuring import clients, measure
from tests.profile.spy import Refused, Spy
from tests.service import row, serving

PROBE = Path(__file__).with_name("probe")  # see `sitecustomize` there
# By its name on the command line, what is asked and over which way in.
LOADS = {"unary": (UNARY, STRAIGHT), "stream": (BURST, STRAIGHT), "rest": (UNARY, REST)}
_TURN = 400  # unary calls, after which the next turn begins or all is over


def profile(name: str, spy: Spy, folder: Path) -> int:
    """Puts a load on the service while the spy looks at its worker. Gives how many calls were answered.

    Raises `Refused`.
    """
    load, way = LOADS[name]
    turn, calls = standard(_TURN)[load], 0
    with gateways.upstream(folder) as upstream, clients() as callers:
        _say("starting the service")
        variables = {"PYTHONPATH": str(PROBE)}
        with serving(folder, [row("Up", upstream.base_url)], variables, workers=1) as service:
            ours = Gateway(
                "ours", service.base_url, f"Up/{MODEL}", envoy=service.envoy, workers=(service.worker,)
            )
            measure(callers, ours, _way(ours, way), turn)  # so that nothing is new to it any more
            found = gateways.processes_of(service.program, {"worker": "server.worker"}, "other")
            with spy.looking(found["worker"][0].pid) as looking:
                while looking():
                    calls += measure(callers, ours, _way(ours, way), turn).calls
                    _say(f"{calls} calls answered")
    return calls


def _way(gateway: Gateway, name: str) -> Way:
    return next(way for way in gateway.ways if way.name == name)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _seconds(text: str) -> int:
    if not 1 <= (value := int(text)) <= 600:
        raise argparse.ArgumentTypeError("must be 1 to 600")
    return value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--load", choices=LOADS, default="unary", help="unary and stream are gRPC (unary)")
    parser.add_argument("--seconds", type=_seconds, default=10, help="how long (10)")
    parser.add_argument("--output", type=Path, default=Path("profile.svg"), help="(profile.svg)")
    parser.add_argument("--native", action="store_true", help="with the frames of C; Linux alone")
    return parser.parse_args()


def main() -> int:
    """Profiles; gives the exit code, which is 1 where that could not be done."""
    given = _arguments()
    try:
        with tempfile.TemporaryDirectory(prefix="profile-") as folder:
            spy = Spy(given.output.resolve(), given.seconds, native=given.native)
            calls = profile(given.load, spy, Path(folder))
    except (Refused, subprocess.CalledProcessError) as refused:
        _say(str(refused))
        return 1
    _say(f"{given.output}: {spy.frames()} frames of the worker over {calls} calls")
    return 0


if __name__ == "__main__":
    sys.exit(main())
