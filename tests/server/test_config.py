"""Settings, and the keys: where they come from, and which faults are named."""

from pathlib import Path

import pytest

from server import drivers, rows
from server.config import (
    Secrets,
    Settings,
    check_keys,
    load_catalog,
    load_settings,
    with_base_url,
)
from server.errors import SettingsError

ROW = rows.Row(id="Groq", driver="openai", base_url="https://x/v1", key_env="GROQ_API_KEY")


def test_without_a_file_everything_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(None, {"port": None})
    assert (settings.host, settings.port, settings.grpc_port) == ("127.0.0.1", 1337, 50051)


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("port: 1\nworkers: 3\n")
    settings = load_settings(str(file), {"port": 2, "workers": None})
    assert (settings.port, settings.workers) == (2, 3)


def test_a_catalog_is_found_beside_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("providers: own.yaml")
    (tmp_path / "own.yaml").write_text("providers: [{id: Mine, driver: echo, priority: 1}]")
    settings = load_settings(str(tmp_path / "s.yaml"), {})
    assert load_catalog(settings, drivers.KINDS).providers[0].id == "Mine"


def test_routes_may_lead_to_shipped_providers_and_to_own_ones(tmp_path: Path) -> None:
    targets = "[{provider: Mine, model: m}, {provider: Echo, model: echo}]"
    (tmp_path / "own.yaml").write_text(
        f"providers: [{{id: Mine, driver: echo}}]\nroutes: [{{model: fast, targets: {targets}}}]"
    )
    settings = Settings(providers=str(tmp_path / "own.yaml"))
    [route] = load_catalog(settings, drivers.KINDS).routes
    assert [target.provider for target in route.targets] == ["Mine", "Echo"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("port: x", "s.yaml: port: Expected `int`", id="type"),
        pytest.param("port: 70000", "s.yaml: port: ", id="range"),
        pytest.param("prot: 5", "prot", id="misspelt"),
        pytest.param("host: none.example", "host: 'none.example' must be an IP", id="a host's name"),
        pytest.param("grpc_port: 65535\nworkers: 3", "grpc_port: the 3 workers", id="too few ports"),
        pytest.param("port: 50052\nworkers: 3", "port: 50052 is a worker's", id="a port twice"),
        pytest.param("public_url: foo", "public_url: 'foo'", id="an address that is none"),
        pytest.param("cors_origins: ['https://a.example/']", "cors_origins", id="a path in an origin"),
        pytest.param("[1]", "must be a mapping", id="no mapping"),
        pytest.param("a: [", "s.yaml: while parsing", id="not YAML"),
        pytest.param("max_body_bytes: 2000000000", "s.yaml: max_body_bytes", id="beyond gRPC"),
        pytest.param("media: {max_bytes: 1}", "s.yaml: media.max_bytes", id="nested"),
    ],
)
def test_a_fault_names_file_and_field(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load_settings(str(file), {})
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*none.yaml: No such file"):
        load_settings(str(tmp_path / "none.yaml"), {})


def test_a_key_comes_from_the_environment_or_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(" from-a-file\n")
    secrets = Secrets({"A": "from-the-environment", "B_FILE": str(tmp_path / "key"), "C": ""})
    assert secrets.key("A") == "from-the-environment"
    assert secrets.key("B") == "from-a-file"
    assert secrets.key("C") is None
    assert "from" not in repr(secrets)


def test_a_key_of_several_lines_is_refused() -> None:
    with pytest.raises(SettingsError, match="A: a key is one line"):
        Secrets({"A": "one\ntwo"}).key("A")


def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    secrets = Secrets({"GROQ_API_KEY_FILE": str(tmp_path / "none")})
    with pytest.raises(SettingsError, match="GROQ_API_KEY_FILE: cannot read"):
        check_keys(Settings(), [ROW], secrets)


def test_a_required_provider_without_its_key_stops_the_start() -> None:
    settings = Settings(require=("Groq",))
    with pytest.raises(SettingsError, match="Groq needs a key: set GROQ_API_KEY"):
        check_keys(settings, [ROW], Secrets({}))
    check_keys(settings, [ROW], Secrets({"GROQ_API_KEY": "k"}))


def test_a_required_provider_that_does_not_exist_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="no provider has the id Qroq"):
        check_keys(Settings(require=("Qroq",)), [ROW], Secrets({}))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_an_open_address_needs_a_key_or_a_word(host: str) -> None:
    with pytest.raises(SettingsError, match="set INTERFERENCE_API_KEY"):
        check_keys(Settings(host=host), [], Secrets({}))
    check_keys(Settings(host=host), [], Secrets({"INTERFERENCE_API_KEY": "k"}))
    check_keys(Settings(host=host, open=True), [], Secrets({}))


def test_an_address_from_the_environment_is_checked_and_goes_first() -> None:
    row = rows.Row(id="A", driver="openai", base_url="https://x/v1", base_url_env="A_URL")
    assert with_base_url(row, Secrets({})).base_url == "https://x/v1"
    assert with_base_url(row, Secrets({"A_URL": "https://y"})).base_url == "https://y"
    with pytest.raises(SettingsError, match="A_URL: must be http"):
        check_keys(Settings(), [row], Secrets({"A_URL": "file:///etc"}))
