"""What the command line prints is made of others' words, and none of them steers the terminal."""

import pytest

from interference.v1.providers_pb2 import Health, ProviderDetails
from server import listing

EVIL = "m\x1b]0;title\x07\x1b[2J\r\n\x9b2J\u202e"


def test_a_change_of_health_is_printed_in_one_line_without_controls(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listing._print(listing._change(Health(provider="A", model=EVIL, state="open", reason=EVIL)))
    printed = capsys.readouterr().out
    assert printed.removesuffix("\n").isprintable()
    assert printed == "A/m?]0;title??[2J???2J? open: m?]0;title??[2J???2J?\n"


def test_the_table_is_printed_without_controls(capsys: pytest.CaptureFixture[str]) -> None:
    details = ProviderDetails(id="A", enabled=False, reason=EVIL, models=[EVIL])
    listing._print_table([listing._line(details)])
    head, row, rest = capsys.readouterr().out.split("\n")
    assert (head.split(), rest) == (["ID", "ENABLED", "HEALTH", "MODELS"], "")
    assert row.isprintable()


def test_what_a_server_says_of_an_error_is_printed_without_controls(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listing._say(f"The server says: {EVIL}")
    assert capsys.readouterr().err.removesuffix("\n").isprintable()


def test_other_scripts_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    listing._print("modèle 模型")
    assert capsys.readouterr().out == "modèle 模型\n"
