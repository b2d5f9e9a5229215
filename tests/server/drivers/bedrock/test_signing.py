"""Who asks Bedrock: the region, the credentials wherever AWS's tools find them, and the signature."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from botocore.config import Config
from botocore.session import Session

from server import transport
from server.drivers.bedrock import KIND
from server.drivers.bedrock.signing import Signer
from server.errors import AttemptFailed
from tests.conformance.bedrock_speaker import BedrockSpeaker
from tests.conformance.said import Said
from tests.conformance.stage import staged
from tests.conformance.test_bedrock import ARN, KEYS, unsigned
from tests.server.drivers.bedrock.dialect import KEY, chat, sent, target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.drivers.base import Target
    from server.transport import HttpRequest

EMPTY: dict[str, Any] = {"options": {}}  # no region


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nothing tells of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS.secret_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", KEYS.token)


async def signed(to: Target, signer: Signer | None = None, **more: Any) -> HttpRequest:
    return await (signer or Signer())(sent(chat(), key=to.key, **more), to)


def scope(request: HttpRequest) -> list[str]:
    """The key that signed, the day, the region and the service."""
    return request.headers["Authorization"].partition("Credential=")[2].partition(",")[0].split("/")[:4]


# --- The signature ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("somebody")
@pytest.mark.parametrize("model", ["m", "amazon.nova-pro-v1:0", ARN])
@pytest.mark.parametrize("size", [10, 600_000])
async def test_aws_would_find_the_signature_right(model: str, size: int) -> None:
    with staged(BedrockSpeaker(), unsigned) as stage:
        stage.says(Said("Hello"))
        async with transport.connect(2**20) as client:
            driver = KIND.make(client)
            to = target(model, base_url=stage.url)
            request = chat({"role": "user", "content": [{"text": "a" * size}]})
            answer: Any = await driver.answer(request, to)
            assert answer.choices[0].message.content == "Hello"
            assert len([chunk async for chunk in driver.stream(request, to)]) > 2


@pytest.mark.parametrize("model", ["amazon.nova-pro-v1:0", "us.anthropic.claude-opus-5", ARN])
async def test_the_address_is_the_one_that_awss_own_client_asks(model: str) -> None:
    asked: list[Any] = []

    def keep(request: Any, **_: Any) -> None:
        asked.append(request)
        raise InterruptedError

    session = Session()
    session.set_credentials("a", "b")
    client = session.create_client("bedrock-runtime", config=Config(region_name="eu-west-1"))
    client.meta.events.register("before-send.bedrock-runtime.Converse", keep)
    with pytest.raises(InterruptedError):
        client.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "Hi"}]}])
    client.close()
    ours = await signed(target(model, key=KEY, options={"region": "eu-west-1"}), model=model)
    assert ours.url == asked[0].url


@pytest.mark.usefixtures("somebody")
async def test_nothing_secret_is_sent_but_the_token() -> None:
    made = await signed(target())
    assert KEYS.secret_key not in str(made)
    assert made.headers["X-Amz-Security-Token"] == KEYS.token
    assert "host" not in {name.lower() for name in made.headers}  # which the transport says


async def test_a_key_of_bedrocks_own_goes_before_all_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody-asks-for-it")
    made = await signed(target(key=KEY))
    assert made.headers == {"authorization": f"Bearer {KEY}", "content-type": "application/json"}


@pytest.mark.usefixtures("somebody")
async def test_the_row_may_say_what_is_signed_for() -> None:
    assert scope(await signed(target(options={"region": "x-1", "service": "other"})))[2:] == [
        "x-1",
        "other",
    ]


def test_who_does_not_ask_bedrock_does_not_load_awss_library() -> None:
    script = "import sys, server.drivers; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# --- The region ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        pytest.param(
            {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1", id="both"
        ),
        pytest.param({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2", id="the older name"),
        pytest.param({"AWS_CONFIG_FILE": "config"}, "eu-west-3", id="the default profile"),
        pytest.param({"AWS_CONFIG_FILE": "config", "AWS_PROFILE": "work"}, "eu-west-4", id="a profile"),
    ],
)
async def test_the_region_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], region: str
) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-west-3\n[profile work]\nregion = eu-west-4\n")
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    made = await signed(target(key=KEY, **EMPTY))
    assert made.url.startswith(f"https://bedrock-runtime.{region}.amazonaws.com/")


@pytest.mark.parametrize("region", ["", "evil.example/", "a@b"])
async def test_without_a_region_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    with pytest.raises(AttemptFailed, match="set AWS_REGION") as raised:
        await signed(target(key=KEY, **EMPTY))
    assert raised.value.cause == "not_enabled"


# --- The credentials -------------------------------------------------------------------------------


async def test_credentials_come_from_a_shared_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("[work]\naws_access_key_id = AKIDOFFILE\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    to = target(options={"region": "us-east-1", "profile": "work"})
    assert scope(await signed(to))[0] == "AKIDOFFILE"


@pytest.mark.parametrize(
    ("options", "cause", "told"),
    [
        pytest.param({}, "key_refused", "no AWS credentials were found", id="none"),
        pytest.param({"profile": "unheard-of"}, "connect_failed", "ProfileNotFound", id="no such profile"),
    ],
)
async def test_without_credentials_nothing_is_sent(options: dict[str, str], cause: str, told: str) -> None:
    with pytest.raises(AttemptFailed, match=told) as raised:
        await signed(target(options={"region": "us-east-1", **options}))
    assert raised.value.cause == cause


async def test_credentials_that_were_not_there_are_looked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signer = Signer()
    with pytest.raises(AttemptFailed):
        await signed(target(), signer)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDNOW")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert scope(await signed(target(), signer))[0] == "AKIDNOW"


class Container:
    """What gives credentials to a container, as ECS and EKS do; each time others.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
    """

    def __init__(self) -> None:
        self.given = 0
        self.good_for = timedelta(hours=6)
        self.fails = False

    async def answer(self, _: web.Request) -> web.Response:
        if self.fails:
            return web.Response(status=400, text="No.")
        self.given += 1
        told = {
            "AccessKeyId": f"AKID{self.given}",
            "SecretAccessKey": "s",
            "Token": "t",
            "Expiration": (datetime.now(UTC) + self.good_for).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return web.Response(body=json.dumps(told), content_type="application/json")


@asynccontextmanager
async def container(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Container]:
    made, app = Container(), web.Application()
    app.router.add_get("/creds", made.answer)
    async with TestServer(app) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", str(server.make_url("/creds")))
        yield made


async def test_a_containers_credentials_are_fetched_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async with container(monkeypatch) as given:
        signer = Signer()
        made = await asyncio.gather(*(signed(target(), signer) for _ in range(20)))
        assert {scope(one)[0] for one in made} == {"AKID1"}
        assert given.given == 1


async def test_credentials_that_are_due_are_fetched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async with container(monkeypatch) as given:
        given.good_for = timedelta(minutes=5)  # which is less than AWS's library leaves
        signer = Signer()
        assert scope(await signed(target(), signer))[0] == "AKID2"
        given.good_for = timedelta(hours=6)
        assert scope(await signed(target(), signer))[0] == "AKID3"
        assert scope(await signed(target(), signer))[0] == "AKID3"


async def test_credentials_that_cannot_be_had_anew_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async with container(monkeypatch) as given:
        given.good_for = timedelta(minutes=5)
        signer = Signer()
        await signed(target(), signer)
        given.fails = True
        with pytest.raises(AttemptFailed, match="AWS credentials cannot be had") as raised:
            await signed(target(), signer)
        assert raised.value.cause == "connect_failed"


async def test_who_leaves_while_credentials_are_looked_for_does_not_stop_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with container(monkeypatch) as given:
        signer = Signer()
        leaving = asyncio.create_task(signed(target(), signer))
        staying = asyncio.create_task(signed(target(), signer))
        await asyncio.sleep(0)
        leaving.cancel()
        assert scope(await staying)[0] == "AKID1"
        assert given.given == 1


# --- Whether anybody is there to ask as ------------------------------------------------------------


async def test_where_nothing_tells_of_credentials_none_are_looked_for() -> None:
    signer = Signer()
    with pytest.raises(AttemptFailed) as raised:
        await signer.check(target())
    assert raised.value.message == "set UP_KEY or AWS_ACCESS_KEY_ID or AWS_PROFILE"
    assert not signer._found


async def test_where_there_are_none_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "unheard-of")
    with pytest.raises(AttemptFailed, match="ProfileNotFound") as raised:
        await Signer().check(target())
    assert raised.value.cause == "not_enabled"


@pytest.mark.usefixtures("somebody")
async def test_where_there_are_some_all_is_well_without_a_call() -> None:
    async with transport.connect(2**20) as client:
        driver = KIND.make(client)
        assert await driver.models(target(base_url="http://127.0.0.1:1")) == []
        assert await driver.models(target(key=KEY)) == []
        with pytest.raises(AttemptFailed, match="set AWS_REGION"):
            await driver.models(target(**EMPTY))
