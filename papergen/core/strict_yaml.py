"""YAML as a configuration language should be: no surprises, and a line number for every value.

No duplicate keys, no anchors, aliases or tags (so no expansion bombs either); `1e-3` is a number; `yes`, `no`, `on`,
`off` and dates are strings; only `true`/`false` are booleans.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from papergen.core.errors import PapergenError
from papergen.core.files import read_text

Keys = tuple[str | int, ...]

LONG_TEXT = 16_384
"""Characters of a text from which on the fast parser is worth asking."""

MAX_DEPTH = 50
"""Levels of lists and mappings in one another; no configuration needs them, a reader that recurses would fail."""

_SCALARS = {
    "null": re.compile(r"^(?:~|null|Null|NULL|)$"),
    "bool": re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"),
    "float": re.compile(r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
}


@dataclass(frozen=True)
class Document:
    """Plain data read from one YAML file, and the line on which each value stands."""

    path: Path
    shown: str
    """The file as error messages name it."""
    data: dict[str, Any]
    lines: Mapping[Keys, int]
    overridden: Mapping[Keys, str]
    """Values that came from elsewhere, and from where (`-o training.steps=10`)."""

    def where(self, *path: str | int) -> str:
        """`file:line` of the value at `path`, or of the nearest one above it that the file has."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.overridden:
                return self.overridden[path[:length]]
            if path[:length] in self.lines:
                return f"{self.shown}:{self.lines[path[:length]]}"
        return self.shown


def read_yaml(path: Path, shown: str | None = None) -> Document:
    """The mapping in a YAML file; PapergenError names file and line of whatever is not allowed."""
    name = shown or str(path)
    text = read_text(path, name)
    lines: dict[Keys, int] = {}
    data = parse_yaml(text, name, lines)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise PapergenError(f"{name}:1: expected `name: value` lines, found {_kind(data)}.")
    return Document(path, name, data, lines, {})


def parse_yaml(text: str, name: str, lines: dict[Keys, int] | None = None) -> Any:
    """The value of a YAML text; `lines` is filled with path -> 1-based line number."""
    loader = _loader(text)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise PapergenError(f"{name}:{line}: nested too deep (more than {MAX_DEPTH} levels).")
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise PapergenError(f"{name}:{line}: no anchors and aliases (& and *), please: write the value out.")
            if getattr(event, "tag", None) not in {None, "!"}:
                raise PapergenError(f"{name}:{line}: tags such as {getattr(event, 'tag', '')} are not allowed.")
        node = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        if found := _full_width_line(text, error):
            line, note = found
            raise PapergenError(f"{name}:{line + 1}: not valid YAML.{note}") from error
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        raise PapergenError(
            f"{place}: not valid YAML: {error.problem or error.context}.{_remedy(text, mark)}"
        ) from error
    except yaml.reader.ReaderError as error:
        raise PapergenError(f"{name}: not valid YAML: {error.reason} (character {error.position}).") from error
    return None if node is None else _value(node, name, (), {} if lines is None else lines)


def _loader(text: str) -> Any:
    """PyYAML's own parser, whose messages are better; libyaml's for texts of thousands of values, if it takes them."""
    fast = getattr(yaml, "CSafeLoader", None)
    if len(text) < LONG_TEXT or fast is None:
        return yaml.SafeLoader
    try:
        for event in yaml.parse(text, Loader=fast):
            if isinstance(event, yaml.AliasEvent):
                return yaml.SafeLoader
    except (yaml.YAMLError, RecursionError):
        return yaml.SafeLoader
    return fast


FULL_WIDTH = dict(
    zip("：，｛｝［］“”‘’＃－\u3000\u00a0０１２３４５６７８９", ":,{}[]\"\"''#-  0123456789", strict=True)
)
"""Signs that a Chinese input method types where YAML, and numbers, want those of ASCII."""

_FULL_WIDTH_SIGNS = re.compile(
    r"""^[ ]*(?P<indent>[\u3000\u00a0])|^\s*(?:-\ )?[\w.+-]+(?P<colon>：)|[:\[{,]\s*(?P<opening>[“‘｛［])"""
    r"""|[\[{][^\]}"']*(?P<inside>[，：｝］])""",
    re.VERBOSE,
)
"""Where such a sign stands in the place of one that YAML reads, and not in a text."""


def full_width_note(text: Any) -> str:
    """` The ： in it is U+FF1A, not ASCII: type `:`.`, or nothing when a text has no such sign."""
    met = next((char for char in text if char in FULL_WIDTH), None) if isinstance(text, str) else None
    return "" if met is None else _note(met)


def _note(char: str) -> str:
    shown, right = ("space", "a plain space") if char.isspace() else (char, f"`{FULL_WIDTH[char]}`")
    return f" The {shown} in it is U+{ord(char):04X}, not ASCII: type {right}."


def _full_width_line(text: str, error: yaml.MarkedYAMLError) -> tuple[int, str] | None:
    """The line, from 0, whose full-width sign is why YAML failed there or a few lines below, and what to say."""
    last = error.problem_mark or error.context_mark
    if last is None:
        return None
    lines = text.split("\n")
    first = min(last.line, error.context_mark.line if error.context_mark else last.line - 2)
    for line in range(min(last.line, len(lines) - 1), max(-1, first - 1), -1):
        if match := _FULL_WIDTH_SIGNS.search(re.sub(r"(^|\s)#.*", "", lines[line])):
            return line, _note(next(filter(None, match.groups())))
    return None


def _remedy(text: str, mark: yaml.Mark | None) -> str:
    """What usually is wrong with a line that YAML does not understand."""
    lines = text.split("\n")
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return " Indent with spaces: YAML allows no tabs there."
    if "{" in line:
        return ' A text with braces (${env:NAME}, {seed}) needs quotes inside { } and [ ]: "..."'
    if line.count(": ") > 1:
        return " A text with a colon and a space in it needs quotes."
    return ""


def _value(node: yaml.Node, name: str, path: Keys, lines: dict[Keys, int]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise PapergenError(f"{name}:{line}: a key must be a plain word.")
            key = str(key_node.value)
            if key in found:
                first = lines[(*path, key)]
                raise PapergenError(f"{name}:{line}: the key {key!r} stands twice, first on line {first}. Remove one.")
            lines[(*path, key)] = line
            found[key] = _value(value_node, name, (*path, key), lines)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, name, (*path, index), lines) for index, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node)


def _scalar(node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    if node.style and node.style in "'\"|>":
        return text
    if _SCALARS["null"].match(text):
        return None
    if _SCALARS["bool"].match(text):
        return text.lower() == "true"
    if _SCALARS["int"].match(text):
        return int(text.replace("_", ""))
    if _SCALARS["float"].match(text):
        return float(text.replace("_", ""))
    return text


def _kind(value: Any) -> str:
    names = {list: "a list", str: "text", int: "a number", float: "a number", bool: "true/false"}
    return names.get(type(value), "a mapping")
