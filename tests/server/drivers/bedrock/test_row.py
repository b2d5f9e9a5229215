"""The shipped row, in the real service: who is there to ask as says whether it is enabled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tests.calls import TIMEOUT
from tests.service import serving

if TYPE_CHECKING:
    from pathlib import Path

KEY = {"AWS_BEARER_TOKEN_BEDROCK": "a-key"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
REGION = {"AWS_REGION": "eu-west-1"}


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        pytest.param(
            REGION, "set AWS_BEARER_TOKEN_BEDROCK or AWS_ACCESS_KEY_ID or AWS_PROFILE", id="nobody"
        ),
        pytest.param(CREDENTIALS, "it is not known in which AWS region", id="no region"),
        pytest.param(KEY, "it is not known in which AWS region", id="no region, with a key"),
        pytest.param({**KEY, **REGION}, "", id="a key"),
        pytest.param({**CREDENTIALS, **REGION}, "", id="credentials"),
    ],
)
def test_the_provider_says_what_it_wants(tmp_path: Path, variables: dict[str, str], reason: str) -> None:
    away = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    with serving(tmp_path, [], {**away, **variables}, workers=1) as service:
        told = requests.get(f"{service.base_url}/providers/Bedrock", timeout=TIMEOUT).json()
    assert told["enabled"] == (not reason)
    assert told.get("reason", "").startswith(reason)
    assert "secret" not in str(told)
