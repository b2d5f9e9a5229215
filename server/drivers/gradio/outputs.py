"""What an endpoint gives: the output that holds the answer, files or text, whichever shape it has."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from server.drivers.gradio.failure import broken
from server.drivers.gradio.options import Space

_DEEPEST: Final = 4  # a gallery in an update has three: the list, its items, the file of each
_MOST_FILES: Final = 100  # of one output; no gallery that is an answer has more
_LONGEST: Final = 4096  # characters of a path or an address


class File(NamedTuple):
    """A file as an app tells of it: its path there, its address, or both."""

    path: str
    url: str


def chosen(values: list[Any], space: Space) -> Any:
    """The output that is the answer. Raises `AttemptFailed` where there is none."""
    if len(values) <= space.output:
        raise broken(f"gave {len(values)} outputs, without the one of number {space.output}")
    return _settled(values[space.output])


def extras(values: list[Any], space: Space) -> dict[str, Any]:
    """The outputs that are told beside the answer, by their names in the row."""
    return {name: _settled(values[place]) for name, place in space.extra.items() if place < len(values)}


def files(value: Any) -> list[File]:
    """The files of an output: of an image, or of a gallery in its order. Raises `AttemptFailed` where
    there are none.
    """
    found = list(_files(value, _DEEPEST))
    if not found:
        raise broken("gave no image: the output of its row is of another kind")
    if len(found) > _MOST_FILES:
        raise broken(f"gave more than {_MOST_FILES} images")
    return found


def text(value: Any) -> str:
    """The text of an output: of a text, a message, or the last answer of a chat's history.

    Raises `AttemptFailed` where it is of another shape.
    """
    if isinstance(value, list) and value and isinstance(value[-1], list):  # pairs, as Gradio 4 has them
        value = value[-1][-1] if value[-1] else None
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
        return "\n\n".join(filter(None, map(_message, _answers(value))))
    if isinstance(value, Mapping):
        return _message(value)
    raise broken("gave no text: the output of its row is of another kind")


def _settled(value: Any) -> Any:
    """The value of an output that is told as a change of its component."""
    if isinstance(value, Mapping) and value.get("__type__") == "update":
        return value.get("value")
    return value


def _files(value: Any, depth: int) -> Iterator[File]:
    value = _settled(value)
    if not depth:
        return
    if isinstance(value, list):
        for one in value[: _MOST_FILES + 1]:
            yield from _files(one, depth - 1)
    elif isinstance(value, Mapping):
        path, url = value.get("path"), value.get("url")
        if path or url:
            yield File(_address(path), _address(url))
        else:
            yield from _files(value.get("image"), depth - 1)


def _address(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise broken("gave a file whose path is none")
    return value


def _answers(history: list[Any]) -> list[Any]:
    """What the assistant said since the user spoke last."""
    since = max((place for place, one in enumerate(history) if one.get("role") == "user"), default=-1)
    return history[since + 1 :]


def _message(message: Mapping[str, Any]) -> str:
    """What a message says: a text, or a list of parts that are texts."""
    content = message.get("content", message.get("text", ""))
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    said = [one for one in texts if isinstance(one, str)]
    if len(said) < len(texts):
        raise broken("gave a message that is more than text")
    return "".join(said)
