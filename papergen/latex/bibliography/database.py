"""The bibliography: what is wrong with the author's file, and the file that a build hands to BibTeX.

The author's file is never rewritten: its bytes go into the build as they are, and entries that papergen knows are
added behind them only when they are cited and the author has none of that key (BibTeX compares keys without regard
to case).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from papergen.core.errors import nearest_name
from papergen.core.files import not_utf8
from papergen.latex.bibliography.bibtex import Bibliography, Fault, parse
from papergen.latex.problems import Code, Place
from papergen.latex.sources import Use
from papergen.latex.tree import SourceTree

PRINTED = re.compile(
    "title|booktitle|journal|author|editor|publisher|series|school|institution|note|howpublished|address|organization"
)
"""Fields whose text the usual styles print."""


def bare_specials(bibliography: Bibliography) -> Iterator[Fault]:
    """Unescaped `% & #` in fields that styles print (a % loses text without a word), and `_ ^` outside formulas."""
    for entry in bibliography.entries:
        for name in filter(PRINTED.fullmatch, entry.fields):
            text = entry.fields[name]
            if offsets := special_offsets(text):
                sign = text[offsets[0]]
                message = f"a bare {sign} in the {name} of {entry.key}: write \\{sign}"
                yield Fault(bibliography.file, entry.field_lines[name], message, Code.BARE_SPECIAL)


def special_offsets(text: str) -> list[int]:
    """Where the bare specials of a field's text stand: not in addresses, formulas and commands."""
    hidden = re.compile(r"\\(?:url|href|path)\s*\{[^{}]*\}|\\.|\$[^$]*\$", re.DOTALL)
    plain = hidden.sub(lambda match: " " * len(match[0]), text)
    return [match.start() for match in re.finditer(r"[%&#_^]", plain)]


def with_specials_escaped(text: str, offsets: Iterable[int]) -> str:
    r"""The text with a backslash before each of these signs; `\^` alone is an accent, so `^` becomes `\^{}`."""
    for offset in sorted(offsets, reverse=True):
        sign = r"\^{}" if text[offset] == "^" else "\\" + text[offset]
        text = text[:offset] + sign + text[offset + 1 :]
    return text


def read_bib(path: Path) -> tuple[bytes, Bibliography]:
    """The author's bytes and what they hold, bare specials among the faults; nothing when there is no file."""
    if not path.is_file():
        return b"", Bibliography(path.name)
    content = path.read_bytes()
    try:
        book = parse(content.decode("utf-8"), path.name)
    except UnicodeDecodeError as error:
        line, remedy = not_utf8(content, error)
        message = f"not UTF-8 text. {remedy}".removesuffix(".")
        return content, Bibliography(path.name, faults=[Fault(path.name, line, message)])
    book.faults = sorted([*book.faults, *bare_specials(book)], key=lambda fault: fault.line)
    return content, book


def merge(content: bytes, own: Bibliography, built_in: Mapping[str, str], cited: Iterable[str]) -> bytes:
    """The author's bytes, then the built-in entries that are cited and not the author's, sorted by key.

    `built_in` maps a key to the text of its entry.
    """
    added = [key for key in sorted(set(cited)) if key in built_in and own.entry(key) is None]
    texts = [built_in[key].strip().encode() + b"\n" for key in added]
    if not texts:
        return content
    gap = b"" if not content else b"\n" if content.endswith(b"\n") else b"\n\n"
    return content + gap + b"\n".join(texts)


def undefined_citations(uses: Iterable[Use], known: Iterable[str]) -> Iterator[tuple[Use, str]]:
    r"""Each `\cite` of a key that no entry has, with the nearest key or ""; `\nocite{*}` names none."""
    keys = set(known)
    lower = {key.lower() for key in keys}
    for use in uses:
        if use.kind == "cite" and use.argument != "*" and use.argument.lower() not in lower:
            yield use, nearest_name(use.argument, keys)


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
