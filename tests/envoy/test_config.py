"""The generated document: fresh, accepted by Envoy, and in the order that matters."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from interference_edge import EdgeSettings, filters, render
from interference_edge.contract import read
from interference_edge.routes import path_regex
from tests.envoy.real_envoy import BINARY, DESCRIPTOR, ROOT

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = render(EdgeSettings(), DESCRIPTOR.read_bytes())


def manager(text: str) -> Any:
    listener = yaml.safe_load(text)["static_resources"]["listeners"][0]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def test_the_committed_document_is_fresh() -> None:
    committed = (ROOT / "envoy" / "envoy.yaml").read_text(encoding="utf-8")
    assert committed == DEFAULT, "run make generate"


def test_the_command_line_prints_the_default_document() -> None:
    command = [sys.executable, "-m", "interference_edge", "--descriptor", str(DESCRIPTOR)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30, cwd=ROOT)
    assert done.stdout.decode() == DEFAULT
    assert "proto_descriptor: gen/transcoder.binpb" in DEFAULT


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="default"),
        pytest.param(
            {
                "host": "::1",
                "port": 0,
                "workers": (("127.0.0.1", 1), ("::1", 2)),
                "max_body_bytes": 1000,
                "max_answer_bytes": 1000,
                "cors_origins": ("*", "https://*.example.org", 'https://"%'),
                "idle_timeout": 1000.5,
            },
            id="everything set",
        ),
        pytest.param({"cors_origins": (), "workers": ()}, id="nobody"),
    ],
)
def test_envoy_accepts_the_document(tmp_path: Path, settings: dict[str, Any]) -> None:
    admin = str(tmp_path / "admin.sock")
    chosen = EdgeSettings(**settings, admin_socket=admin, descriptor=str(DESCRIPTOR))
    config = tmp_path / "envoy.yaml"
    config.write_text(render(chosen, DESCRIPTOR.read_bytes()), encoding="utf-8")
    done = subprocess.run(
        [BINARY, "--mode", "validate", "-c", str(config)],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_there_is_no_admin_interface_unless_asked_for() -> None:
    assert "admin" not in yaml.safe_load(DEFAULT)


def test_the_filters_stand_in_their_order() -> None:
    assert [item["name"] for item in manager(DEFAULT)["http_filters"]] == [
        "envoy.filters.http.cors",
        "envoy.filters.http.grpc_web",
        "envoy.filters.http.header_mutation",
        "envoy.filters.http.lua",
        "envoy.filters.http.grpc_json_transcoder",
        "envoy.filters.http.router",
    ]


def test_only_resources_show_the_fields_that_they_lack() -> None:
    contract = read(DESCRIPTOR.read_bytes())
    printing = {
        route.path: filters.transcoder(EdgeSettings(), contract, route)["print_options"]
        for route in contract.routes
    }
    whole = {path for path, options in printing.items() if "always_print_primitive_fields" in options}
    assert whole == {
        "/v1/models",
        "/v1/models/{model=**}",
        "/v1/providers",
        "/v1/providers/{provider}",
    }


def test_no_route_has_a_time_limit_of_its_own() -> None:
    routes = manager(DEFAULT)["route_config"]["virtual_hosts"][0]["routes"]
    assert {route["route"]["timeout"] for route in routes if "route" in route} == {"0s"}


@pytest.mark.parametrize(
    ("template", "regex"),
    [
        ("/v1/models/{model=**}", "/v1/models/.+"),
        ("/media/{name}", "/media/[^/]+"),
        ("/a.b/{c}/d", r"/a\.b/[^/]+/d"),
    ],
)
def test_a_template_becomes_a_regular_expression(template: str, regex: str) -> None:
    assert path_regex(template) == regex
