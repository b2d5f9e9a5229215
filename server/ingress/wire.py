"""What the dialects on the way in share: members of JSON objects taken one by one, with faults that name
them, and server-sent events written."""

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from google.protobuf.message import Message

from server.errors import InvalidRequest
from server.forms import JSON_FAULTS

T = TypeVar("T")
MAX_ITEMS = 20_000  # of one list, and parts of one request
# How much a body may hold of what takes longer to read than it is to send: the marks that stand for it.
_LIMITS = (
    (b":", 200_000, "members"),
    (b"[{", 500_000, "lists and objects"),
    (b",", 1_000_000, "values"),
)
_OTHER = bytes(set(range(256)) - set(b'":[{,'))
_INT32 = 2**31 - 1
_NULL = b"null"
_encode = msgspec.json.Encoder().encode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode = msgspec.json.Decoder().decode


def fault(where: str, what: str) -> InvalidRequest:
    """The error for a field: `input[0].role must be a string.`"""
    return InvalidRequest(f"{where} {what}.", param=where)


def event(name: str, data: Any) -> bytes:
    """One server-sent event with a name.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """
    text = _encode(data)
    if b"\n" in text or b"\r" in text:  # white space in a `msgspec.Raw` would end the line
        text = text.replace(b"\n", b" ").replace(b"\r", b" ")
    return b"event: %b\ndata: %b\n\n" % (name.encode(), text)


class Parts:
    """Counts the parts of one request, wherever they stand."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def add(self, number: int, where: str) -> None:
        """Takes as many more. Raises `InvalidRequest`, which names the field that holds too many."""
        self._count += number
        if self._count > MAX_ITEMS:
            raise fault(where, f"holds too much: a request has at most {MAX_ITEMS} parts")


class Members:
    """The members of one JSON object. Each is taken once; what is left then is what nobody knows.

    A null counts as absent. Every method raises `InvalidRequest`, which names the field, where the value is
    of another type. The members of one request count their `parts` together.
    """

    __slots__ = ("_members", "_parts", "path")

    def __init__(self, members: dict[str, msgspec.Raw], path: str = "", parts: Parts | None = None) -> None:
        self._members = members
        self._parts = parts or Parts()
        self.path = path

    def where(self, name: str) -> str:
        """The path of a member, as faults name it."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        """Whether a member is there and has not been taken."""
        return name in self._members and not _is_null(self._members[name])

    def peek(self, name: str) -> msgspec.Raw | None:
        """A member's JSON text, byte for byte, without taking it."""
        return self._members.get(name) if self.has(name) else None

    def peek_text(self, name: str) -> str | None:
        """A member's string without taking it; None where it is no string."""
        value = self.peek(name)
        return None if value is None or begins(value) != b'"' else _decode_text(value)

    def raw(self, name: str) -> msgspec.Raw | None:
        """A member's JSON text, byte for byte."""
        value = self._members.pop(name, None)
        return None if value is None or _is_null(value) else value

    def skip(self, *names: str) -> None:
        """Passes members over that decide nothing here, whatever their type."""
        for name in names:
            self._members.pop(name, None)

    def text(self, name: str) -> str | None:
        """A string."""
        value = self.raw(name)
        return None if value is None else _typed(value, _decode_text, self.where(name), "a string")

    def required_text(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if value is None:
            raise fault(self.where(name), "is required: a string")
        return value

    def flag(self, name: str) -> bool | None:
        """True or false."""
        value = self._scalar(name)
        if value is None or isinstance(value, bool):
            return value
        raise fault(self.where(name), "must be true or false")

    def whole(self, name: str) -> int | None:
        """A whole number of 32 bits."""
        value = self._scalar(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None or (
            isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _INT32
        ):
            return value
        raise fault(self.where(name), "must be a whole number of 32 bits")

    def number(self, name: str) -> float | None:
        """A number."""
        value = self._scalar(name)
        if value is None:
            return None
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        except OverflowError:
            pass
        raise fault(self.where(name), "must be a number")

    def json(self, name: str) -> str | None:
        """The text of a JSON object, byte for byte: a schema."""
        value = self.raw(name)
        if value is not None:
            _typed(value, _decode_members, self.where(name), "an object")
        return None if value is None else bytes(value).decode()

    def object(self, name: str) -> "Members | None":
        """An object."""
        value = self.raw(name)
        return None if value is None else self._object(value, self.where(name))

    def objects(self, name: str) -> "list[Members] | None":
        """A list of objects."""
        value = self.raw(name)
        if value is None:
            return None
        where = self.where(name)
        return [
            self._object(item, f"{where}[{index}]")
            for index, item in enumerate(_list(value, where, "a list of objects"))
        ]

    def texts(self, name: str) -> list[str] | None:
        """A list of strings."""
        value = self.raw(name)
        if value is None:
            return None
        where = self.where(name)
        items = _list(value, where, "a list of strings")
        return [_typed(item, _decode_text, f"{where}[{i}]", "a string") for i, item in enumerate(items)]

    def text_or_objects(self, name: str) -> "str | list[Members] | None":
        """A string, or a list of objects."""
        value = self.peek(name)
        if value is None:
            return self.text(name)
        start = begins(value)
        if start not in (b'"', b"["):
            raise fault(self.where(name), "must be a string or a list of objects")
        return self.text(name) if start == b'"' else self.objects(name)

    def parts(self, name: str) -> "list[Members] | None":
        """A list of objects that are parts: a request may hold so many in all."""
        found = self.objects(name)
        self._parts.add(len(found or ()), self.where(name))
        return found

    def text_or_parts(self, name: str) -> "str | list[Members] | None":
        """A string, or a list of parts."""
        found = self.text_or_objects(name)
        if isinstance(found, list):
            self._parts.add(len(found), self.where(name))
        return found

    def labels(self, name: str) -> dict[str, str] | None:
        """An object of strings."""
        members = self.object(name)
        if members is None:
            return None
        return {key: members.required_text(key) for key in list(members.left())}

    def providers(self) -> list[str]:
        """`provider`: one string of ids, split on white space, or a list of them."""
        value = self.peek("provider")
        if value is None:
            self.skip("provider")
            return []
        if begins(value) == b"[":
            return self.texts("provider") or []
        return (self.text("provider") or "").split()

    def left(self) -> dict[str, msgspec.Raw]:
        """What has not been taken."""
        return self._members

    def put_back(self, name: str, members: "Members") -> None:
        """Puts what has not been taken of a member's object back under its name."""
        if members.left():
            self._members[name] = msgspec.Raw(_encode(members.left()))

    def unknown(self, message: type[Message]) -> dict[str, msgspec.Raw]:
        """What has not been taken, for the `extra_json` of a contract message.

        Raises where the contract's message has a field of that name: the dialect has no such member, and
        the provider would read another one than the caller meant.
        """
        fields = message.DESCRIPTOR.fields_by_name
        for name in self._members:
            if name in fields:
                raise fault(self.where(name), "is not known to this API")
        return self._members

    def leave(self, message: Message) -> None:
        """Adds what has not been taken to a contract message's `extra_json`: see `unknown`."""
        extra_json(message, self.unknown(type(message)))

    def _object(self, value: msgspec.Raw, where: str) -> "Members":
        return Members(_typed(value, _decode_members, where, "an object"), where, self._parts)

    def _scalar(self, name: str) -> Any:
        value = self.raw(name)
        return None if value is None else _typed(value, _decode, self.where(name), "less deeply nested")


def body(text: bytes) -> Members:
    """The members of a request's body. All of it is valid JSON then, however deep, and within bounds."""
    _bound(text)
    try:
        _decode(text)
        return Members(_decode_members(text))
    except JSON_FAULTS as error:
        raise InvalidRequest(f"The body must be a JSON object: {error}.", reason="invalid_json") from None


def begins(value: msgspec.Raw) -> bytes:
    """The first character of a JSON text, which tells its type."""
    return bytes(memoryview(value)[:1])


def extra_json(message: Message, members: dict[str, msgspec.Raw]) -> None:
    """Adds members to a contract message's `extra_json`."""
    if members:
        held = message.extra_json  # type: ignore[attr-defined]
        told = _decode_members(held) | members if held else members
        message.extra_json = _encode(told).decode()  # type: ignore[attr-defined]


def _bound(text: bytes) -> None:
    """Raises `InvalidRequest` where a body holds too much. What stands in strings is told apart only where
    the marks are so many that it matters."""
    if any(_exceeded(text.translate(None, _OTHER))):
        for what in _exceeded(_marks(text)):
            raise InvalidRequest(f"The body has more than {what}.")


def _exceeded(marks: bytes) -> Iterator[str]:
    for kinds, limit, what in _LIMITS:
        if sum(map(marks.count, kinds)) > limit:
            yield f"{limit} {what}"


def _marks(text: bytes) -> bytes:
    """The marks of a JSON text that stand outside its strings."""
    quoted = text.replace(b"\\\\", b"").replace(b'\\"', b"")  # no quote is left but those about strings
    marks = quoted.translate(None, _OTHER)
    return b"".join(marks.replace(b'""', b"").split(b'"')[::2])


def _list(value: msgspec.Raw, where: str, what: str) -> list[msgspec.Raw]:
    items: list[msgspec.Raw] = _typed(value, _decode_list, where, what)
    if len(items) > MAX_ITEMS:
        raise fault(where, f"must hold at most {MAX_ITEMS}")
    return items


def _typed(value: msgspec.Raw, decode: Any, where: str, what: str) -> Any:
    try:
        return decode(value)
    except JSON_FAULTS:
        raise fault(where, f"must be {what}") from None


def _is_null(value: msgspec.Raw) -> bool:
    return len(value) == len(_NULL) and bytes(value) == _NULL
