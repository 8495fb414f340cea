"""The grammar of a schema: read by a slow matcher of our own, which knows GBNF and no JSON."""

import json
import re

import pytest

from warmstart.core.errors import ConfigError
from warmstart.llm.gbnf import grammar_of

TOKEN = re.compile(
    r'\s*(?:(?P<literal>"(?:[^"\\]|\\.)*")|(?P<range>\[(?:[^\]\\]|\\.)*\])|(?P<name>\w+)'
    r"|(?P<count>\{\d+,\d*\}|[*+?])|(?P<mark>[()|]))"
)


class Grammar:
    """Matches by sets of places: `ends(node, text, start)` is where a node may end."""

    def __init__(self, text):
        self.rules = {}
        for line in text.splitlines():
            name, _, body = line.partition(" ::= ")
            parts = [(m.lastgroup, m.group(m.lastgroup)) for m in TOKEN.finditer(body)]
            self.rules[name], rest = self.choice(parts)
            assert rest == []

    def choice(self, parts):
        options, sequence = [], []
        while parts and parts[0] != ("mark", ")"):
            kind, text = parts[0]
            parts = parts[1:]
            if (kind, text) == ("mark", "|"):
                options.append(("all", sequence))
                sequence = []
                continue
            if (kind, text) == ("mark", "("):
                node, parts = self.choice(parts)
                assert parts[0] == ("mark", ")")
                parts = parts[1:]
            elif kind == "literal":
                node = ("text", re.sub(r"\\(.)", r"\1", text[1:-1]))
            elif kind == "range":
                node = ("range", re.compile(text))
            else:
                node = ("rule", text)
            if parts and parts[0][0] == "count":
                count = {"*": "{0,}", "+": "{1,}", "?": "{0,1}"}.get(parts[0][1], parts[0][1])
                least, most = count[1:-1].split(",")
                node, parts = ("many", node, int(least), int(most or 10**6)), parts[1:]
            sequence.append(node)
        return ("any", [*options, ("all", sequence)]), parts

    def ends(self, node, text, start):
        kind, inner = node[:2]
        if kind == "text":
            return {start + len(inner)} if text.startswith(inner, start) else set()
        if kind == "range":
            return {start + 1} if start < len(text) and inner.fullmatch(text[start]) else set()
        if kind == "rule":
            return self.ends(self.rules[inner], text, start)
        if kind == "any":
            return set().union(*(self.ends(one, text, start) for one in inner))
        places = {start}
        if kind == "all":
            for one in inner:
                places = set().union(*(self.ends(one, text, p) for p in places))
            return places
        found = {start} if node[2] == 0 else set()
        for n in range(1, node[3] + 1):
            places = set().union(*(self.ends(inner, text, p) for p in places))
            if not places:
                break
            if n >= node[2]:
                if places <= found:
                    break
                found |= places
        return found

    def fits(self, text):
        return len(text) in self.ends(("rule", "root"), text, 0)


OBJECT = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}, "c": {"type": "null"}},
    "required": ["b"],
}
TREE = {
    "$ref": "#/$defs/tree",
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
            "required": ["kids"],
        }
    },
}


@pytest.mark.parametrize(
    ("schema", "fit", "miss"),
    [
        ({"enum": ["a", 1, None]}, ["a", 1, None], ["b", 2, True]),
        ({"const": 'q"\\\n好'}, ['q"\\\n好'], ["q"]),
        ({"type": "integer", "minimum": 1, "maximum": 12}, [1, 9, 10, 12], [0, 13, 1.5, -1]),
        ({"type": "integer", "exclusiveMinimum": -2, "exclusiveMaximum": 1}, [-1, 0], [-2, 1]),
        ({"type": "integer", "minimum": 0, "maximum": 9999}, [0, 1977, 9999], [-1, 10000]),
        ({"type": "integer"}, [0, -7, 10**14], [1.5, "1", 10**20]),
        ({"type": "number"}, [0, -7, 1.25, 1e21, -3.5e-7], ["1", None]),
        ({"type": "boolean"}, [True, False], [None, 0]),
        ({"type": "string"}, ["", "好的", 'a "b"', "x\ny"], [1]),
        ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "好好好"], ["a", "abcd"]),
        ({"type": ["string", "null"]}, ["a", None], [1]),
        ({"anyOf": [{"type": "null"}, {"type": "integer", "maximum": 5}]}, [None, 3], ["3"]),
        ({"allOf": [{"enum": [1]}]}, [1], [2]),
        ({"type": "array", "items": {"enum": [1, 2]}}, [[], [1], [1, 2, 1]], [[3], 1]),
        (
            {"items": {"enum": [1]}, "minItems": 2, "maxItems": 3},
            [[1] * 2, [1] * 3],
            [[1], [1] * 4],
        ),
        ({"type": "array", "maxItems": 0}, [[]], [[1]]),
        ({"type": "array", "prefixItems": [{"enum": [1]}, {"enum": ["x"]}]}, [[1, "x"]], [[1], []]),
        (
            OBJECT,
            [{"b": True}, {"a": 1, "b": True, "c": None}, {"b": True, "c": None}],
            [{}, {"a": 1}],
        ),
        ({"properties": {"a": {}}}, [{}, {"a": [1, {"x": "y"}]}], [{"b": 1}]),
        ({"type": "object"}, [{}, {"x": [1, 2.5, "a", None, {"y": True}]}], [[], 1]),
        ({"type": "object", "additionalProperties": False}, [{}], [{"a": 1}]),
        (
            {"type": "object", "additionalProperties": {"enum": [1]}},
            [{}, {"x": 1, "y": 1}],
            [{"x": 2}],
        ),
        (
            TREE,
            [{"kids": []}, {"kids": [{"kids": []}, {"kids": [{"kids": []}]}]}],
            [{}, {"kids": [1]}],
        ),
        ({}, [1, "a", [], {}, None, [{"a": [True]}]], []),
    ],
)
def test_a_grammar_takes_what_fits_and_nothing_else(schema, fit, miss):
    grammar = Grammar(grammar_of(schema))
    for separators in ((", ", ": "), (",", ":")):
        for value in fit:
            text = json.dumps(value, ensure_ascii=False, separators=separators)
            assert grammar.fits(text), (text, grammar_of(schema))
        for value in miss:
            text = json.dumps(value, ensure_ascii=False, separators=separators)
            assert not grammar.fits(text), (text, grammar_of(schema))
    assert not grammar.fits("banana")
    assert not grammar.fits("")


def test_a_schema_that_has_no_end_is_refused():
    with pytest.raises(ConfigError, match=r"refers to '#/\$defs/none', which it does not hold"):
        grammar_of({"$ref": "#/$defs/none"})
    with pytest.raises(ConfigError, match="does not hold"):
        grammar_of({"$ref": "https://example.org/schema"})
    deep = {"type": "array"}
    for _ in range(60):
        deep = {"type": "array", "items": deep}
    with pytest.raises(ConfigError, match="nested more than 50 deep"):
        grammar_of(deep)
