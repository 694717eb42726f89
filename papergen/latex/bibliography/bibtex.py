"""A strict reader of .bib files: every entry with its lines and offsets, and every fault at its line, all at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from papergen.core.errors import did_you_mean
from papergen.latex.problems import Code
from papergen.latex.sources import Lines

MONTHS = frozenset(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
NAME = re.compile(r"[^\s\"#%'(),={}]+")
_ENTRY = re.compile(r"@\s*(?P<type>[A-Za-z]+)\s*(?P<open>[{(])")


@dataclass(frozen=True)
class Fault:
    """Something in a .bib file that BibTeX stumbles over or loses."""

    file: str
    line: int
    message: str
    code: Code = Code.BIB_SYNTAX

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Entry:
    """One entry: `fields` holds the values without delimiters, names in lower case; lines count from 1, inclusive."""

    type: str
    key: str
    fields: Mapping[str, str]
    first_line: int
    last_line: int
    field_lines: Mapping[str, int]
    span: tuple[int, int] = (0, 0)
    """Offsets of its @ and behind its closing brace."""
    field_parts: Mapping[str, tuple[tuple[int, str], ...]] = field(default_factory=dict)
    """Field -> (offset, text) of the parts that # joins, as they stand in the file."""


@dataclass
class Bibliography:
    """What a .bib file holds, and every fault in it."""

    file: str
    entries: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    copies: list[Entry] = field(default_factory=list)
    """Later entries that are equal to an earlier one of their key in type and every field; each is a fault as well."""

    @property
    def keys(self) -> list[str]:
        """The keys as written, in the order of the file."""
        return [entry.key for entry in self.entries]

    def entry(self, key: str) -> Entry | None:
        """The entry BibTeX takes for a key."""
        return next((entry for entry in self.entries if entry.key.lower() == key.lower()), None)


class _StumbleError(Exception):
    def __init__(self, offset: int, message: str) -> None:
        self.offset = offset
        self.message = message


class _Reader:
    """A cursor over the text of one .bib file."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.strings: set[str] = set(MONTHS)

    def skip(self) -> str:
        """Skip white space; the next character, or "" at the end."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def name(self, what: str) -> str:
        self.skip()
        match = NAME.match(self.text, self.at)
        if match is None:
            raise _StumbleError(self.at, f"{what} is missing before {self.text[self.at : self.at + 12]!r}")
        self.at = match.end()
        return match[0]

    def braced(self, start: int) -> int:
        """The offset behind the brace that closes the one at `start`; it never closes when an entry begins first."""
        depth, position = 0, start
        while position < len(self.text):
            char = self.text[position]
            if char == "{":
                depth += 1
            elif char == "}":
                depth -= 1
                if depth == 0:
                    return position + 1
            elif (
                char == "@" and _ENTRY.match(self.text, position) and self.text[:position].rstrip(" \t").endswith("\n")
            ):
                break
            position += 1
        raise _StumbleError(start, "this { is never closed")

    def quoted(self, start: int) -> int:
        position = start + 1
        while position < len(self.text):
            if self.text[position] == "{":
                position = self.braced(position)
                continue
            if self.text[position] == '"':
                return position + 1
            position += 1
        raise _StumbleError(start, 'this " is never closed')

    def value(self) -> tuple[tuple[int, str], ...]:
        """A field's value: (offset, text) of what # joins: braced, quoted, a number or an @string name."""
        parts: list[tuple[int, str]] = []
        while True:
            char = self.skip()
            start = self.at
            if char == "{":
                self.at = self.braced(start)
                parts.append((start + 1, self.text[start + 1 : self.at - 1]))
            elif char == '"':
                self.at = self.quoted(start)
                parts.append((start + 1, self.text[start + 1 : self.at - 1]))
            else:
                word = self.name("a value")
                if not word.isdigit() and word.lower() not in self.strings:
                    hint = did_you_mean(word.lower(), self.strings - MONTHS)
                    raise _StumbleError(start, f"{word} is no number and no @string; put it in braces. {hint}".rstrip())
                parts.append((start, word))
            end = self.at
            if self.skip() != "#":
                self.at = end
                return tuple(parts)
            self.at += 1


def parse(text: str, file: str) -> Bibliography:
    """Read a .bib text; faults are gathered, not raised, and reading goes on at the next entry."""
    bibliography = Bibliography(file)
    reader, lines = _Reader(text), Lines(text)
    seen: dict[str, Entry] = {}
    while match := _ENTRY.search(text, reader.at):
        reader.at = match.end()
        kind, start = match["type"].lower(), match.start()
        line = lines.at(start)[0]
        try:
            if kind in {"comment", "preamble"}:
                reader.at = reader.braced(match.end() - 1) if match["open"] == "{" else match.end()
                continue
            if kind == "string":
                reader.strings.add(reader.name("the name of the @string").lower())
                _expect(reader, "=")
                reader.value()
                _expect(reader, "})")
                continue
            entry = _entry(reader, kind, start, lines)
        except _StumbleError as stumble:
            bibliography.faults.append(Fault(file, lines.at(stumble.offset)[0], stumble.message))
            following = re.compile(r"^[ \t]*@", re.MULTILINE).search(text, max(reader.at, start + 1))
            reader.at = following.start() if following else len(text)
            continue
        first = seen.setdefault(entry.key.lower(), entry)
        if first is not entry:
            code = Code.REPEATED_KEY
            message = f"the key {entry.key} stands already in line {first.first_line}; BibTeX takes the first only"
            if (first.type, first.fields) == (entry.type, entry.fields):
                code = Code.REPEATED_ENTRY
                bibliography.copies.append(entry)
                message = f"{entry.key} stands already in line {first.first_line}, word for word"
            bibliography.faults.append(Fault(file, line, message, code))
            continue
        bibliography.entries.append(entry)
    return bibliography


def _expect(reader: _Reader, allowed: str) -> str:
    char = reader.skip()
    if not char or char not in allowed:
        met = reader.text[reader.at : reader.at + 15].split("\n")[0]
        raise _StumbleError(
            reader.at, f"expected {' or '.join(allowed)} and met {met!r}" if met else "the file ends inside an entry"
        )
    reader.at += 1
    return char


def _entry(reader: _Reader, kind: str, at: int, lines: Lines) -> Entry:
    key = reader.name("the key of the entry")
    fields: dict[str, str] = {}
    where: dict[str, int] = {}
    parts: dict[str, tuple[tuple[int, str], ...]] = {}
    if reader.skip() == "=":
        raise _StumbleError(reader.at, f"the key of the entry is missing (@{kind}{{key, {key} = ...)")
    close = _expect(reader, ",})")
    end = reader.at
    while close == ",":
        if reader.skip() and reader.skip() in "})":
            reader.at += 1
            end = reader.at
            break
        start = reader.at
        name = reader.name("the name of a field").lower()
        _expect(reader, "=")
        found = reader.value()
        parts.setdefault(name, found)
        fields.setdefault(name, "".join(text for _, text in found))
        where.setdefault(name, lines.at(start)[0])
        end = reader.at
        try:
            close = _expect(reader, ",})")
        except _StumbleError as stumble:
            closed = reader.skip() not in {"", "@"}
            what = (
                f"a comma is missing after the field {name}"
                if closed
                else f"the entry {key} is never closed: add its }}"
            )
            raise _StumbleError(end - 1, what) from stumble
        end = reader.at
    first_line, last_line = lines.at(at)[0], lines.at(max(0, end - 1))[0]
    return Entry(kind, key, fields, first_line, last_line, where, (at, end), parts)
