"""Fixtures of the tests with real upstreams and real clients: each server runs once a session.

client -> `interference` -> `llama` (llama-server, for HuggingChat and AnotherProvider)
                         -> `guarded` (a second service, for HuggingSpace; asks for a key)
                         -> `upstream` (scripted, for the rest: Scripted, Crowded, Overloaded ...)
"""

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import CALM
from tests.service import Service, row, serving
from tests.upstream import Upstream
from tests.upstreams.cache import CannotMakeError
from tests.upstreams.client import Client, client_running
from tests.upstreams.llama import Llama, llama_running
from tests.upstreams.llama_server import llama_server
from tests.upstreams.node_modules import FOLDER as NODE
from tests.upstreams.node_modules import node_modules
from tests.upstreams.python_environment import FOLDER as PYTHON
from tests.upstreams.python_environment import python_of
from tests.upstreams.scripts import CUT_JSON, HALF_JSON, THINKS

# Providers behind the scripted upstream: the script, and the model that they have.
SCRIPTED = {
    "Broken": ("error-later", "error-later"),
    "Crowded": ("429", "busy"),
    "Cut": ("cut-later", "cut-later"),
    "CutJson": (CUT_JSON, "cut-json"),
    "Half": ("half", "half"),
    "HalfJson": (HALF_JSON, "half-json"),
    "Overloaded": ("503", "busy"),
    "Scripted": ("ok", "wired"),
    "Strict": ("400", "wrong"),
    "Thinker": (THINKS, "thinks"),
}


@pytest.fixture(scope="session")
def llama(
    made: Callable[[Callable[[], Path]], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Llama]:
    """A real model server, with a key."""
    made(llama_server)
    with llama_running(tmp_path_factory.mktemp("llama")) as server:
        yield server


@pytest.fixture(scope="session")
def guarded_key() -> str:
    """The key that `guarded` asks for."""
    return secrets.token_hex()


@pytest.fixture(scope="session")
def guarded(guarded_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks its callers for a key, and draws."""
    rows = [{"id": "Easel", "driver": "canvas", "image_models": ["canvas"]}]
    variables = {"INTERFERENCE_API_KEY": guarded_key}
    with serving(tmp_path_factory.mktemp("guarded"), rows, variables) as service:
        yield service


@pytest.fixture(scope="session")
def interference(
    llama: Llama,
    guarded: Service,
    guarded_key: str,
    upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """The service under test, open to everyone on this machine."""
    wired = {
        "key_env": "LLAMA_KEY",
        "models": ["gpt-4o-mini", "wired"],
        "aliases": {"gpt-4o-mini": "wired"},
    }
    space = {
        "key_env": "SPACE_KEY",
        "models": [],
        "image_models": ["flux"],
        "aliases": {"flux": "canvas"},
    }
    rows = [
        row("HuggingChat", llama.base_url, url="https://huggingface.co/chat", **wired),
        row("AnotherProvider", llama.base_url, **wired),
        row("HuggingSpace", guarded.base_url, url="https://huggingface.co/spaces", **space),
        row("LockedOut", llama.base_url, key_env="WRONG_KEY", models=["locked"], **CALM),
        *(
            # Asked last where a model has others: by those who name it.
            row(name, f"{upstream.url}/{script}/v1", models=[model], priority=500, **CALM)
            for name, (script, model) in SCRIPTED.items()
        ),
    ]
    keys = {"LLAMA_KEY": llama.key, "WRONG_KEY": secrets.token_hex(), "SPACE_KEY": guarded_key}
    with serving(tmp_path_factory.mktemp("interference"), rows, keys) as service:
        yield service


@pytest.fixture(scope="session")
def modules(made: Callable[[Callable[[], Path]], Path]) -> Path:
    """The installed packages of the Node clients."""
    return made(node_modules)


@pytest.fixture(scope="session")
def scripts(modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a person's project is: the Node scripts, and `node_modules` beside them."""
    folder = tmp_path_factory.mktemp("node")
    for script in NODE.glob("*.mjs"):
        shutil.copy(script, folder)
    (folder / "node_modules").symlink_to(modules)
    return folder


@pytest.fixture(scope="session")
def client(
    made: Callable[[Callable[[], Path]], Path],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Client]]:
    """Gives the client with a script: `anthropic/messages.py` in `clients/`, `ai.mjs` in `node/`.

    Each is started when it is first asked for.
    """
    # Clients keep connections, and so must end before the services do.
    request.getfixturevalue("interference")
    folder = tmp_path_factory.mktemp("clients")
    running: dict[str, Client] = {}

    def started(script: str) -> Client:
        if script.endswith(".mjs"):
            program, serve, home = Path("node"), "serve.mjs", request.getfixturevalue("scripts")
        else:
            python = made(lambda: python_of(Path(script).parent.name))
            program, serve, home = python, "serve.py", PYTHON
        log = folder / f"{script.replace('/', '-')}.log"
        return stack.enter_context(client_running([program, serve, home / script], home, log))

    def given(script: str) -> Client:
        if script not in running or not running[script].alive:
            running[script] = started(script)
        return running[script]

    with ExitStack() as stack:
        yield given


@pytest.fixture(scope="session")
def made(pytestconfig: pytest.Config) -> Callable[[Callable[[], Path]], Path]:
    """Makes something that is kept, shows the progress, and fails in one line where it cannot."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def make(what: Callable[[], Path]) -> Path:
        try:
            with capture.global_and_fixture_disabled():
                return what()
        except CannotMakeError as error:
            problem = str(error)
        pytest.fail(problem, pytrace=False)

    return make
