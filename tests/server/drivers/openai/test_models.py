"""The list of models in OpenAI's dialect."""

from typing import Any

import pytest

from tests.server.drivers.openai.dialect import DIALECT, answer


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({"data": [{"id": "a"}, {"id": "models/b"}, {"id": 5}, 7]}, id="OpenAI's"),
        pytest.param([{"id": "a"}, {"id": "b"}], id="a bare list"),
    ],
)
def test_a_list_of_models_is_read(raw: Any) -> None:
    assert [model.name for model in DIALECT.models(answer(raw))] == ["a", "b"]
