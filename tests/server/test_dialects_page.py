"""The page of dialects names every member that the translators read, pass over or refuse."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from server.ingress.messages import content as messages_content
from server.ingress.messages import request as messages
from server.ingress.messages import tools as messages_tools
from server.ingress.responses import request as responses
from server.ingress.responses import tools as responses_tools

PAGE = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text(encoding="utf-8")
RESPONSES, MESSAGES = (part for part in PAGE.split("\n## ")[1:])
# A member of the body, taken by its name: `asked.text("model")`.
TAKEN = re.compile(r"\b(?:asked|request)\.\w+\(\"(\w+)\"\)")


def taken(*modules: ModuleType) -> set[str]:
    """The members of a body that these modules take."""
    return {name for module in modules for name in TAKEN.findall(Path(str(module.__file__)).read_text())}


@pytest.mark.parametrize(
    ("section", "names"),
    [
        pytest.param(RESPONSES, taken(responses, responses_tools), id="Responses"),
        pytest.param(MESSAGES, taken(messages, messages_content, messages_tools), id="Messages"),
        pytest.param(RESPONSES, {*responses._STORED}, id="stored"),
        pytest.param(MESSAGES, {*messages._REFUSED, *messages._HINTS}, id="refused and passed over"),
    ],
)
def test_every_member_is_on_the_page(section: str, names: set[str]) -> None:
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", section))))
    assert len(names) > 1
    assert names - told == set()
