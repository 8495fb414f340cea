"""JSON schema to GBNF, the grammar that llama.cpp holds a model to.

A grammar says how an answer is built: types, members, lists, enums and lengths. What it cannot
say (patterns, formats, that the values of a list differ) is left for whoever checks the answer, as
the protocol has it. Whole numbers are held to a short range exactly, and to a long one by sign and
count of digits. There is no white space but one space after a comma or a colon, so that a model
cannot write blanks for ever.

Reference: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from warmstart.core.errors import ConfigError

_DIGITS = 15  # of a whole number without bounds, which any reader of JSON holds exactly
_LISTED = 500  # a range of so many whole numbers is listed
_DEEPEST = 50
_SHARED = {
    "char": r'[^"\\\x00-\x1F\x7F] | "\\" ["\\/bfnrt]',
    "text": r'"\"" char* "\""',
    "comma": '"," " "?',
    "colon": '":" " "?',
    "number": r'"-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,8})? ([eE] [-+]? [0-9]{1,2})?',
    "anything": 'anyobject | anylist | text | number | "true" | "false" | "null"',
    "anyobject": '"{" (text colon anything (comma text colon anything)*)? "}"',
    "anylist": '"[" (anything (comma anything)*)? "]"',
}


def grammar_of(schema: Mapping[str, Any]) -> str:
    """Return the grammar of the answers that fit a JSON schema.

    Raises:
        ConfigError: the schema refers to what it does not hold, or is nested without end.

    Example:
        >>> grammar_of({"enum": [1, None, True]}).splitlines()[0]
        'root ::= "1" | "null" | "true"'
    """
    rules = _Rules(schema)
    root = rules.of(schema, 0)
    lines = {"root": root} | rules.named | _SHARED
    return "\n".join(f"{name} ::= {body}" for name, body in lines.items()) + "\n"


class _Rules:
    """The rules of one schema; `of` returns the right side of a rule."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema
        self.named: dict[str, str] = {}
        self._references: dict[str, str] = {}

    def of(self, schema: Any, depth: int) -> str:  # noqa: ANN401  (a schema may be true or false)
        """Return what an answer to a schema looks like."""
        if depth > _DEEPEST:
            raise ConfigError(f"the JSON schema is nested more than {_DEEPEST} deep; flatten it")
        if not isinstance(schema, Mapping):
            return "anything"
        if "$ref" in schema:
            return self._reference(str(schema["$ref"]), depth)
        if "const" in schema:
            return _literal(schema["const"])
        if "enum" in schema:
            return " | ".join(map(_literal, schema["enum"]))
        for key in ("anyOf", "oneOf", "allOf"):
            some = schema.get(key)
            if some and (key != "allOf" or len(some) == 1):
                return " | ".join(f"({self.of(one, depth + 1)})" for one in some)
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(f"({self.of({**schema, 'type': one}, depth + 1)})" for one in kind)
        if kind == "object" or (kind is None and "properties" in schema):
            return self._object(schema, depth)
        if kind == "array" or (kind is None and "items" in schema):
            return self._array(schema, depth)
        simple = {
            "string": _text(schema),
            "integer": _whole(schema),
            "number": "number",
            "boolean": '"true" | "false"',
            "null": '"null"',
        }
        return simple.get(str(kind), "anything")

    def _named(self, body: str) -> str:
        name = f"r{len(self.named)}"
        self.named[name] = body
        return name

    def _reference(self, reference: str, depth: int) -> str:
        if reference in self._references:
            return self._references[reference]
        found: Any = self.schema
        for part in reference.removeprefix("#").strip("/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if not reference.startswith("#/") or not isinstance(found, Mapping) or key not in found:
                raise ConfigError(
                    f"the JSON schema refers to {reference!r}, which it does not hold; put it "
                    "under $defs"
                )
            found = found[key]
        name = self._references[reference] = self._named("")  # first, as it may refer to itself
        self.named[name] = self.of(found, depth + 1)
        return name

    def _object(self, schema: Mapping[str, Any], depth: int) -> str:
        """Return members in their order; those that are not required may be left out."""
        members = schema.get("properties")
        if not isinstance(members, Mapping) or not members:
            inner = schema.get("additionalProperties")
            if not isinstance(inner, Mapping):
                return "anyobject" if inner is not False else '"{" "}"'
            member = f"text colon {self._named(self.of(inner, depth + 1))}"
            return f'"{{" ({member} (comma {member})*)? "}}"'
        required = set(schema.get("required", ()))
        first, later = (
            '""',
            '""',
        )  # what may follow where no member was written yet, and where one was
        for name, inner in reversed(list(members.items())):
            member = f"{_literal(str(name))} colon {self._named(self.of(inner, depth + 1))}"
            if name in required:
                first, later = f"{member} {later}", f"comma {member} {later}"
            else:
                first, later = f"({member} {later} | {first})", f"(comma {member})? {later}"
            first, later = self._named(first), self._named(later)
        return f'"{{" {first} "}}"'

    def _array(self, schema: Mapping[str, Any], depth: int) -> str:
        given: Sequence[Any] = schema.get("prefixItems") or ()
        if given:
            inner = [self._named(self.of(one, depth + 1)) for one in given]
            return f'"[" {" comma ".join(inner)} "]"'
        least, most = (
            _whole_number(schema.get("minItems")) or 0,
            _whole_number(schema.get("maxItems")),
        )
        if most is not None and (most == 0 or most < least):
            return '"[" "]"'
        item = self._named(self.of(schema.get("items", True), depth + 1))
        bounds = f"{{{max(least - 1, 0)},{'' if most is None else most - 1}}}"
        some = f"{item} (comma {item}){bounds}"
        return f'"[" {some} "]"' if least else f'"[" ({some})? "]"'


def _text(schema: Mapping[str, Any]) -> str:
    least, most = _whole_number(schema.get("minLength")), _whole_number(schema.get("maxLength"))
    if least is None and most is None:
        return "text"
    return rf'"\"" char{{{least or 0},{"" if most is None else max(most, least or 0)}}} "\""'


def _whole(schema: Mapping[str, Any]) -> str:
    """Return the whole numbers of a short range, else those of its sign and count of digits."""
    low, high = (
        _bound(schema, "minimum", "exclusiveMinimum", 1),
        _bound(schema, "maximum", "exclusiveMaximum", -1),
    )
    if low is not None and high is not None and low <= high < low + _LISTED:
        return " | ".join(f'"{n}"' for n in range(low, high + 1))
    digits = _DIGITS
    if low is not None and high is not None:
        digits = min(digits, len(str(max(abs(low), abs(high)))))
    sign = "" if low is not None and low >= 0 else '"-"? '
    return f'{sign}("0" | [1-9] [0-9]{{0,{digits - 1}}})'


def _bound(schema: Mapping[str, Any], closed: str, open_: str, step: int) -> int | None:
    """Return a bound of whole numbers; None where there is none."""
    for name, beyond in ((closed, 0), (open_, step)):
        value = schema.get(name)
        if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            return int(value) + beyond
    return None


def _whole_number(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _literal(value: object) -> str:
    """Return a JSON value as a terminal of the grammar."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
