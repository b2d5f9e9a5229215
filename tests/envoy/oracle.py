"""What lifting means, over Python's own `json`: the reference that edge.lua is compared with."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from interference_edge.contract import Member, Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from interference_edge.contract import Contract

SPACE = " \t\n\r"
WORDS = " \t\n\r\v\f"
PLAIN = Shape({}, extra=False)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


# NaN and Infinity are not JSON.
DECODER = json.JSONDecoder(parse_constant=_refuse)


@dataclass
class Found:
    """A member: its text with the name, its value's text, and the value."""

    text: str
    raw: str
    value: Any


def lift(body: bytes, contract: Contract, message: str) -> tuple[Any, bool]:
    """The document that the transcoder is to read, and whether it asks for a stream.

    Raises ValueError for what is not a JSON object.
    """
    text = body.decode("utf-8").strip(SPACE)
    value, end = DECODER.raw_decode(text)
    if end != len(text) or not isinstance(value, dict):
        raise ValueError("not one object")
    lifted = _object(text, contract.shapes[message], contract)
    return lifted, lifted.get("stream") is True


def _object(raw: str, shape: Shape, contract: Contract) -> dict[str, Any]:
    known: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for name, found in _members(raw):
        member = shape.members.get(name)
        if member:
            known[member.field] = _value(found, member, contract)
        elif shape.extra:
            unknown[name] = found.text
        else:
            known[name] = found.value
    if unknown:
        known["extra_json"] = "{" + ",".join(unknown.values()) + "}"
    return known


class WrongKindError(ValueError):
    """A value that no field of this kind can be read from."""


def _check(value: Any, member: Member) -> None:
    if value is None or member.kind is None or (isinstance(value, list) and member.repeated):
        return
    short = isinstance(value, str) and member.shorthand
    if member.kind == "an object":
        wrong = not short and (member.repeated or not isinstance(value, dict))
    else:
        wrong = not (_is_kind(value, member.kind) or (member.long and isinstance(value, str)))
    if wrong:
        raise WrongKindError(member.field)


def _value(found: Found, member: Member, contract: Contract) -> Any:
    _check(found.value, member)
    if member.long and _below_the_least(found.raw):
        raise WrongKindError(member.field)
    shape = contract.shapes[member.message] if member.message else PLAIN
    match found.value:
        case None:
            return None
        case _ if member.text:
            return found.raw
        case str() as text if member.split:
            return [word for word in _split(text) if word]
        case str() as text if member.shorthand:
            short = {member.shorthand: text}
            return [short] if member.repeated else short
        case dict() if member.message:
            return _object(found.raw, shape, contract)
        case dict() if member.values:
            _check_each(found.value.values(), member.values, member)
        case list() if member.kind == "a string":
            _check_each(found.value, member.kind, member)
        case list() if member.message and member.repeated:
            if member.numbers and found.value and _is_number(found.value[0]):
                _check_each(found.value, "a number", member)
                return [{member.numbers: found.value}]
            return [_element(raw, value, member, contract) for raw, value in _elements(found.raw)]
    return found.value


def _element(raw: str, value: Any, member: Member, contract: Contract) -> Any:
    match value:
        case str() if member.numbers:
            return {member.shorthand: value}
        case list() if member.numbers:
            _check_each(value, "a number", member)
            return {member.numbers: value}
        case dict() if member.message:
            return _object(raw, contract.shapes[member.message], contract)
    raise WrongKindError(member.field)


def _is_kind(value: Any, kind: str) -> bool:
    if kind == "a string":
        return isinstance(value, str)
    return isinstance(value, bool) if kind == "true or false" else _is_number(value)


def _check_each(values: Iterable[Any], kind: str, member: Member) -> None:
    if not all(_is_kind(value, kind) for value in values):
        raise WrongKindError(member.field)


def _below_the_least(raw: str) -> bool:
    """Whether a number is below the least integer of 64 bits, and would be read as that."""
    found = re.match(r"-([0-9]+)", raw)
    return found is not None and len(found[1]) == 19 and found[1] > "9223372036854775808"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _split(text: str) -> list[str]:
    for space in WORDS:
        text = text.replace(space, " ")
    return text.split(" ")


def _members(raw: str) -> Iterator[tuple[str, Found]]:
    i = _skip(raw, 1)
    while raw[i] != "}":
        name, stop = DECODER.raw_decode(raw, i)
        start = _skip(raw, _skip(raw, stop) + 1)
        value, stop = DECODER.raw_decode(raw, start)
        yield name, Found(raw[i:stop], raw[start:stop], value)
        i = _skip(raw, stop)
        i = _skip(raw, i + 1) if raw[i] == "," else i


def _elements(raw: str) -> Iterator[tuple[str, Any]]:
    i = _skip(raw, 1)
    while raw[i] != "]":
        value, stop = DECODER.raw_decode(raw, i)
        yield raw[i:stop], value
        i = _skip(raw, stop)
        i = _skip(raw, i + 1) if raw[i] == "," else i


def _skip(text: str, i: int) -> int:
    while text[i] in SPACE:
        i += 1
    return i
