"""Fixtures of the tests with real upstreams and real clients: each server runs once a session.

client -> `interference` -> `llama` (llama-server, for HuggingChat and AnotherProvider)
                         -> `guarded` (a second service, for HuggingSpace; asks for a key)
                         -> `upstream` (scripted, for Crowded and Overloaded)
"""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.service import Service, row, serving
from tests.upstream import Upstream
from tests.upstreams.cache import CannotMakeError
from tests.upstreams.llama import Llama, llama_running
from tests.upstreams.llama_server import llama_server
from tests.upstreams.node_modules import node_modules


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
        row("LockedOut", llama.base_url, key_env="WRONG_KEY", models=["locked"]),
        row("Crowded", f"{upstream.url}/429/v1", models=["busy"]),
        row("Overloaded", f"{upstream.url}/503/v1", models=["busy"]),
    ]
    keys = {"LLAMA_KEY": llama.key, "WRONG_KEY": secrets.token_hex(), "SPACE_KEY": guarded_key}
    with serving(tmp_path_factory.mktemp("interference"), rows, keys) as service:
        yield service


@pytest.fixture(scope="session")
def modules(made: Callable[[Callable[[], Path]], Path]) -> Path:
    """The installed packages of the Node clients."""
    return made(node_modules)


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
