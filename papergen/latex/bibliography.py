"""The bibliography: a strict reader of .bib files that says file and line, and the file that a build hands to BibTeX.

The author's file is never rewritten: its bytes go into the build as they are, and entries that papergen knows are
added behind them only when they are cited and the author has none of that key (BibTeX compares keys without regard
to case).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from papergen.errors import PapergenError, did_you_mean, gathered
from papergen.latex.sources import Lines, Use
from papergen.latex.tree import Place, SourceTree

MONTHS = frozenset(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
NAME = re.compile(r"[^\s\"#%'(),={}]+")
_ENTRY = re.compile(r"@\s*(?P<type>[A-Za-z]+)\s*(?P<open>[{(])")
_PRINTED = re.compile(
    "title|booktitle|journal|author|editor|publisher|series|school|institution|note|howpublished|address|organization"
)
"""Fields whose text the usual styles print."""


@dataclass(frozen=True)
class Fault:
    """Something in a .bib file that BibTeX stumbles over or loses."""

    file: str
    line: int
    message: str

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


@dataclass
class Bibliography:
    """What a .bib file holds, and every fault in it."""

    file: str
    entries: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

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

    def value(self) -> str:
        """A field's value: braced, quoted, a number or an @string name, joined by #."""
        parts = []
        while True:
            char = self.skip()
            start = self.at
            if char == "{":
                self.at = self.braced(start)
                parts.append(self.text[start + 1 : self.at - 1])
            elif char == '"':
                self.at = self.quoted(start)
                parts.append(self.text[start + 1 : self.at - 1])
            else:
                word = self.name("a value")
                if not word.isdigit() and word.lower() not in self.strings:
                    hint = did_you_mean(word.lower(), self.strings - MONTHS)
                    raise _StumbleError(start, f"{word} is no number and no @string; put it in braces. {hint}".rstrip())
                parts.append(word)
            end = self.at
            if self.skip() != "#":
                self.at = end
                return "".join(parts)
            self.at += 1


def parse(text: str, file: str) -> Bibliography:
    """Read a .bib text; faults are gathered, not raised, and reading goes on at the next entry."""
    bibliography = Bibliography(file)
    reader, lines = _Reader(text), Lines(text)
    seen: dict[str, int] = {}
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
            entry = _entry(reader, kind, line, lines)
        except _StumbleError as stumble:
            bibliography.faults.append(Fault(file, lines.at(stumble.offset)[0], stumble.message))
            following = re.compile(r"^[ \t]*@", re.MULTILINE).search(text, max(reader.at, start + 1))
            reader.at = following.start() if following else len(text)
            continue
        if (earlier := seen.setdefault(entry.key.lower(), line)) != line:
            bibliography.faults.append(
                Fault(file, line, f"the key {entry.key} stands already in line {earlier}; BibTeX takes the first only")
            )
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


def _entry(reader: _Reader, kind: str, line: int, lines: Lines) -> Entry:
    key = reader.name("the key of the entry")
    fields: dict[str, str] = {}
    where: dict[str, int] = {}
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
        fields.setdefault(name, reader.value())
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
    return Entry(kind, key, fields, line, lines.at(max(0, end - 1))[0], where)


def bare_specials(bibliography: Bibliography) -> Iterator[Fault]:
    """Unescaped `% & #` in fields that styles print (a % loses text without a word), and `_ ^` outside formulas."""
    for entry in bibliography.entries:
        for name in filter(_PRINTED.fullmatch, entry.fields):
            plain = re.sub(r"\\(?:url|href|path)\s*\{[^{}]*\}|\\.|\$[^$]*\$", "", entry.fields[name], flags=re.DOTALL)
            if found := re.search(r"[%&#_^]", plain):
                message = f"a bare {found[0]} in the {name} of {entry.key}: write \\{found[0]}"
                yield Fault(bibliography.file, entry.field_lines[name], message)


def merge(author_bib: Path | None, built_in: Mapping[str, str], cited: Iterable[str]) -> bytes:
    """The author's bytes, then the built-in entries that are cited and not the author's, sorted by key.

    `built_in` maps a key to the text of its entry. Raises PapergenError with every fault of the author's file at
    file:line.
    """
    content, own = b"", Bibliography("")
    if author_bib is not None and author_bib.is_file():
        content = author_bib.read_bytes()
        try:
            own = parse(content.decode("utf-8"), author_bib.name)
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise PapergenError(f"{author_bib.name}:{line}: not UTF-8 text.", hint="Save the file as UTF-8.") from error
        if faults := [*own.faults, *bare_specials(own)]:
            raise gathered(
                [str(fault) for fault in sorted(faults, key=lambda fault: fault.line)], "faults in the bibliography"
            )
    added = [key for key in sorted(set(cited)) if key in built_in and own.entry(key) is None]
    texts = [built_in[key].strip().encode() + b"\n" for key in added]
    if not texts:
        return content
    gap = b"" if not content else b"\n" if content.endswith(b"\n") else b"\n\n"
    return content + gap + b"\n".join(texts)


def undefined_citations(uses: Iterable[Use], known: Iterable[str]) -> Iterator[tuple[Use, str]]:
    r"""Each `\cite` of a key that no entry has, with a sentence that names the nearest; `\nocite{*}` names none."""
    keys = set(known)
    lower = {key.lower() for key in keys}
    for use in uses:
        if use.kind == "cite" and use.argument != "*" and use.argument.lower() not in lower:
            yield use, did_you_mean(use.argument, keys)


def entry_place(tree: SourceTree, place: Place) -> Place | None:
    """The entry in a .bib file of the tree behind a line of a .bbl file."""
    above = "\n".join(tree.text(place.file).split("\n")[: place.line])
    keys = re.findall(r"\\bibitem\s*\{([^{}]+)\}|\]\s*\{([^{}]+)\}[ \t]*$", above, re.MULTILINE)
    if not keys:
        return None
    key = keys[-1][0] or keys[-1][1]
    for name in tree.names:
        if name.endswith(".bib") and (entry := parse(tree.text(name), name).entry(key)):
            return Place(name, entry.first_line)
    return None


def read_blg(log: str, tree: SourceTree) -> list[tuple[Place, str]]:
    """The errors in BibTeX's own log: where, and the message."""
    stumbles = re.finditer(r"^(?P<message>[^\n]+?)---line (?P<line>\d+) of file (?P<file>\S.*)$", log, re.MULTILINE)
    found = [(Place(match["file"], int(match["line"])), match["message"]) for match in stumbles]
    for match in re.finditer(r"^I (?:couldn't open|found no) [^\n]+", log, re.MULTILINE):
        name = (re.findall(r"file (\S+?)(?:\.bib|\.bst)?$", match[0]) or [""])[0]
        place = tree.find(rf"(?<=[{{,])\s*{re.escape(name)}(?=\s*[,}}]|\.bib)") if name else None
        found.append((place or Place(""), match[0]))
    return found
