"""The peers, each with one model at the upstream, one worker, and otherwise as it comes, but that whatever
would ask or tell the internet something is off.
"""

import json
import re
from pathlib import Path

import yaml

from tests.bench.gateways import MODEL
from tests.bench.peers.peer import Peer, Setup, Site
from tests.upstreams.packages import NodePackages, PythonPackages

_HERE = Path(__file__).parent
# No one looks at it, but some refuse to call without one.
_KEY = "none"
_FILES = (
    "MODEL_COST_MAP",
    "BLOG_POSTS",
    "POLICY_TEMPLATES",
    "AUTOROUTER_PRESETS",
    "ANTHROPIC_BETA_HEADERS",
)


def _litellm(site: Site) -> Setup:
    """https://docs.litellm.ai/docs/proxy/configs"""
    parameters = {"model": f"openai/{MODEL}", "api_base": site.upstream, "api_key": _KEY}
    config = site.folder / "config.yaml"
    config.write_text(yaml.safe_dump({"model_list": [{"model_name": MODEL, "litellm_params": parameters}]}))
    command: list[str | Path] = [
        site.installed / "bin" / "litellm",
        "--config",
        config,
        "--num_workers",
        "1",
    ]
    # What comes with the package in place of what its repository has now.
    variables = {f"LITELLM_LOCAL_{name}": "True" for name in _FILES}
    variables |= {
        "LITELLM_TELEMETRY_DISABLED": "true",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # none of the others asks for a key
    }
    return Setup(
        [*command, "--host", "127.0.0.1", "--port", str(site.port)],
        lambda _: f"http://127.0.0.1:{site.port}/v1",
        variables,
    )


def _gpt4free(site: Site) -> Setup:
    """https://github.com/xtekky/gpt4free"""
    script = _HERE / "gpt4free" / "serve.py"
    return Setup(
        [site.installed / "bin" / "python", script, site.upstream, str(site.port)],
        lambda _: f"http://127.0.0.1:{site.port}/v1",
        {"G4F_CONFIG_DIR": str(site.folder / "g4f")},
    )


def _portkey(site: Site) -> Setup:
    """https://portkey.ai/docs/api-reference/inference-api/headers"""
    program = site.installed / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    loopback = (_HERE / "portkey" / "loopback.mjs").as_uri()
    return Setup(
        ["node", "--import", loopback, program, "--headless", f"--port={site.port}"],
        lambda _: f"http://127.0.0.1:{site.port}/v1",
        {"NODE_ENV": "production"},
        headers={
            "authorization": f"Bearer {_KEY}",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": site.upstream,
        },
    )


def _tensorzero(site: Site) -> Setup:
    """https://www.tensorzero.com/docs/gateway/configuration-reference"""
    config = site.folder / "tensorzero.toml"
    config.write_text(
        f"""\
[gateway]
observability.enabled = false
disable_pseudonymous_usage_analytics = true
[object_storage]
type = "disabled"
[models.{MODEL}]
routing = ["up"]
[models.{MODEL}.providers.up]
type = "openai"
model_name = "{MODEL}"
api_base = {json.dumps(site.upstream + "/")}
api_key_location = "none"
"""
    )

    def base_url(said: str) -> str:
        found = re.search(r"^http://127\.0\.0\.1:\d+/\S*$", said, re.MULTILINE)
        return found[0] if found else ""

    return Setup(
        [site.installed / "bin" / "python", _HERE / "tensorzero" / "serve.py", config],
        base_url,
        {"TENSORZERO_DISABLE_PSEUDONYMOUS_USAGE_ANALYTICS": "1"},
        model=f"tensorzero::model_name::{MODEL}",
    )


LITELLM = Peer("LiteLLM", PythonPackages("peer-litellm", _HERE / "litellm"), _litellm, share=0.1)
GPT4FREE = Peer("gpt4free", PythonPackages("peer-gpt4free", _HERE / "gpt4free"), _gpt4free, share=0.25)
PORTKEY = Peer("Portkey", NodePackages("peer-portkey", _HERE / "portkey"), _portkey, share=0.5)
TENSORZERO = Peer("TensorZero", PythonPackages("peer-tensorzero", _HERE / "tensorzero"), _tensorzero)
