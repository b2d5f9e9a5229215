"""The page `docs/parameters.md`: each request parameter, what it means, and which providers honour it.

`python -m server.parameters_page > docs/parameters.md`. The meanings are the contract's comments, as
`gen/openapi.json` has them; who honours what is the catalog's to say.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from interference.v1 import chat_pb2
from interference_edge.openapi.comments import summary
from server import drivers
from server.config import Settings, load_catalog
from server.operations import CHAT, EMBEDDINGS, IMAGES, TEXT_COMPLETIONS, Operation
from server.routing.refusals import honours
from server.rows import Row

OPENAPI: Final = Path(chat_pb2.__file__).parents[2] / "openapi.json"
_FEW: Final = 4  # providers that are told as exceptions
_HEADER: Final = """\
# Parameters

Each request parameter, and where it is honoured. Made from the contract (`proto/`) and the shipped
catalog (`server/catalog/providers.yaml`) by `python -m server.parameters_page`: change those, never
this file. `GET /v1/providers/{provider}` and `GET /v1/models/{model}` say under `params` what a running
server knows, with your own rows. What `/v1/responses` and `/v1/messages` make of their parameters:
[dialects.md](dialects.md).

## What becomes of a parameter

- **Honoured**: the row lists it. It is sent as it came, under the vendor's own name where that differs.
- **Refused**, where the row does not list it (`unsupported: refuse`, the default): the provider is
  passed over and the next one asked. Where none is left the call fails with 400,
  `parameter_unsupported`; `error.param` names the parameter, and the message those who take it.
- **Dropped**, where the row says `unsupported: drop`: the provider is asked without it.
- `n: 1` and `best_of: 1` are the default, and nobody is passed over for them. Nor for hints that do not
  change the answer, those for the provider's prompt cache (`prompt_cache_key`, `prompt_cache_retention`,
  `prompt_cache_options`): who does not list them is asked without them.
- `max_tokens` and `max_completion_tokens` stand for one another, as do `size` and `width` with
  `height`: a provider that knows one is sent that one.
- `stream_options`, `encoding_format` and the `response_format` of images are seen to here: the usage is
  the last chunk exactly where it is asked for and the provider tells it, and vectors and images come in
  the form that is asked for, whatever the provider itself can do.
- **Values that a vendor refuses** are listed after each table: a request with one passes the provider
  over, whatever `unsupported` says.
- **Ranges** are the provider's to check: its own error comes back. The few that are checked here are in
  `/openapi.json`.
- **Members that are not listed at all** are no parameters of the contract. Over REST they are sent to
  the provider untouched, byte for byte, on every level of the body: its own error comes back where it
  does not know them. Over gRPC they are the text of a JSON object in `extra_json`. They never pass
  anybody over.
- `null` is the same as leaving a member out.
- `model`, `provider`, `messages`, `prompt`, `input` and `stream` are no parameters in this sense:
  everyone takes them.

The lists are on the strict side: a field that a vendor refuses, ignores or means differently counts as
not honoured. A row of your own takes everything, unless it says less.
"""
_BECOMES: Final = {"refuse": "refused", "drop": "dropped"}
# What each operation is called here, and its path.
_SECTIONS: Final = (
    (CHAT, "Chat", "/v1/chat/completions"),
    (TEXT_COMPLETIONS, "Text completions", "/v1/completions"),
    (EMBEDDINGS, "Embeddings", "/v1/embeddings"),
    (IMAGES, "Images", "/v1/images/generations"),
)
# The request members whose values a vendor may refuse.
VALUES: Final[dict[str, tuple[str, ...]]] = {
    CHAT.name: ("content", "tools", "tool_choice", "response_format", "reasoning_effort"),
    TEXT_COMPLETIONS.name: ("prompt",),
    EMBEDDINGS.name: ("input",),
    IMAGES.name: (),
}


def page(rows: Sequence[Row], openapi: dict[str, Any]) -> str:
    """The page as Markdown, from catalog rows and the OpenAPI document."""
    blocks = [_HEADER, _providers(rows)]
    blocks += [
        _section(operation, title, path, [row for row in rows if does(row, operation)], openapi)
        for operation, title, path in _SECTIONS
    ]
    return "\n".join(blocks)


def does(row: Row, operation: Operation) -> bool:
    """Whether a provider has models for it, or may turn out to have."""
    return bool(row.models_of(operation)) or (operation is CHAT and row.discover)


def _providers(rows: Sequence[Row]) -> str:
    lines = ["## Providers", "", "| id | does | a parameter that it does not list |", "| --- | --- | --- |"]
    for row in _by_id(rows):
        done = ", ".join(title.lower() for operation, title, _ in _SECTIONS if does(row, operation))
        lines.append(_line(f"`{row.id}`", done, _BECOMES[row.unsupported]))
    return "\n".join([*lines, ""])


def _section(
    operation: Operation, title: str, path: str, rows: Sequence[Row], openapi: dict[str, Any]
) -> str:
    schema = openapi["components"]["schemas"][operation.request.DESCRIPTOR.name]
    lines = [f"## {title}", "", f"`POST {path}`", ""]
    lines += ["| parameter | meaning | honoured by | dropped by |", "| --- | --- | --- | --- |"]
    for name in operation.fields:
        told = summary(schema["properties"][name]["description"])
        by = [row for row in rows if honours(row, operation, name)]
        hint = name in operation.hints
        dropped = [row for row in rows if row not in by and (hint or row.unsupported == "drop")]
        lines.append(_line(f"`{name}`", told, _some(by, rows), _ids(dropped)))
    return "\n".join([*lines, "", *_refused(operation, rows)])


def _refused(operation: Operation, rows: Sequence[Row]) -> Iterator[str]:
    """A table of the values that vendors refuse, where there are any."""
    found = {
        (name, value): [row for row in rows if value in row.profile.refuses.get(name, ())]
        for name in VALUES[operation.name]
        for value in dict.fromkeys(value for row in rows for value in row.profile.refuses.get(name, ()))
    }
    if not found:
        return
    yield from ("| value | refused by |", "| --- | --- |")
    for (name, value), refusing in found.items():
        yield _line(f"`{name}`: `{value}`", _some(refusing, rows))
    yield ""


def _some(chosen: Sequence[Row], rows: Sequence[Row]) -> str:
    """The ids of some of the rows, in the shortest way that says which."""
    others = [row for row in rows if row not in chosen]
    if not others:
        return "all"
    if len(others) <= _FEW and len(others) < len(chosen):
        return f"all but {_ids(others)}"
    return _ids(chosen) or "none"


def _ids(rows: Iterable[Row]) -> str:
    return ", ".join(row.id for row in _by_id(rows))


def _by_id(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.id.lower())


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main() -> None:
    """Writes the page of the shipped catalog to the standard output."""
    parser = argparse.ArgumentParser(prog="python -m server.parameters_page", description=__doc__)
    parser.add_argument("--openapi", type=Path, default=OPENAPI, help="the OpenAPI document to read")
    openapi = json.loads(parser.parse_args().openapi.read_text(encoding="utf-8"))
    sys.stdout.write(page(load_catalog(Settings(), drivers.KINDS).providers, openapi))


if __name__ == "__main__":
    main()
