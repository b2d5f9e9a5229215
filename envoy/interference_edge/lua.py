"""Writes the contract as the Lua table that edge.lua reads."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from interference_edge.contract import Contract, Member

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# fmt: off
_KEYWORDS = frozenset({
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local",
    "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
})
# fmt: on


def tables(contract: Contract, origins: Iterable[str], max_body_bytes: int) -> str:
    """The `local contract = {...}` that precedes the text of edge.lua."""
    lines = ["local contract = {", f"  max_body_bytes = {max_body_bytes},", "  origins = {"]
    lines += [f"    {quote(origin_pattern(origin))}," for origin in origins]
    lines += ["  },", "  bodies = {"]
    lines += [f"    {line}" for line in _bodies(contract)]
    lines += ["  },", "  error_shapes = {"]
    shapes = {route.path: route.error_shape for route in contract.routes if route.error_shape}
    lines += [f"    [{quote(path)}] = {quote(shape)}," for path, shape in shapes.items()]
    lines += ["  },", "  methods = {"]
    for path, allow in contract.methods.items():
        lines.append(f"    {_table({'pattern': path_pattern(path), 'allow': allow})},")
    lines += ["  },", "  messages = {"]
    for name, shape in contract.shapes.items():
        lines.append(f"    [{quote(name)}] = {{ extra = {_value(shape.extra)}, members = {{")
        lines += [f"      {_key(key)} = {_member(value)}," for key, value in shape.members.items()]
        lines.append("    } },")
    lines += ["  },", "}", ""]
    return "\n".join(lines)


def origin_pattern(origin: str) -> str:
    """The Lua pattern of an allowed origin: `*` is a port after a colon, or else a part without a slash."""
    if origin == "*":
        return "^.*$"
    parts = re.split(r"(:\*|\*)", origin)
    stars = {":*": ":%d+", "*": "[^/]*"}
    return "^" + "".join(stars.get(part) or _literal(part) for part in parts) + "$"


def path_pattern(template: str) -> str:
    """The Lua pattern of a path template: `{name}` is one segment, `{name=**}` any number."""
    parts = re.split(r"(\{[^}]*\})", template)
    variables = {part: ".+" if part.endswith("=**}") else "[^/]+" for part in parts if part.startswith("{")}
    return "^" + "".join(variables.get(part) or _literal(part) for part in parts) + "$"


def _literal(text: str) -> str:
    return re.sub(r"([^A-Za-z0-9])", r"%\1", text)


def quote(text: str) -> str:
    """A Lua string literal."""
    escaped = re.sub(r'[\\"\x00-\x1f\x7f]', lambda match: f"\\{ord(match[0]):03d}", text, flags=re.ASCII)
    return f'"{escaped}"'


def _bodies(contract: Contract) -> Iterable[str]:
    for route in contract.routes:
        if route.has_body:
            entry = {
                "message": route.request if route.lifted else None,
                "stream_path": route.stream_path,
            }
            yield f"[{quote(f'{route.method} {route.path}')}] = {_table(entry)},"


def _member(member: Member) -> str:
    return _table({item.name: getattr(member, item.name) for item in fields(member)})


def _table(entries: Mapping[str, object]) -> str:
    """A table on one line; what is unset is left out, as nil reads the same."""
    parts = [f"{_key(key)} = {_value(value)}" for key, value in entries.items() if value]
    return "{ " + ", ".join(parts) + " }"


def _key(name: str) -> str:
    plain = _NAME.match(name) and name not in _KEYWORDS
    return name if plain else f"[{quote(name)}]"


def _value(value: object) -> str:
    return quote(value) if isinstance(value, str) else str(value).lower()
