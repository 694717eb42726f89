"""One entry made fit for references.bib: a key of the house's style, specials escaped, fields one per line."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Collection

from papergen.core.errors import PapergenError
from papergen.latex.bibliography.bibtex import NAME, Entry, parse
from papergen.latex.bibliography.database import PRINTED, special_offsets, with_specials_escaped

_SMALL = """
a an the on of in for and to with by from at is are be can do does how what why towards toward via using
"""
_SMALL_WORDS = frozenset(_SMALL.split())
_DROPPED = ("abstract", "issn", "isbn", "month_numeric", "language", "copyright", "keywords", "file")
"""Fields that registries send and no style prints."""


def parsed(text: str, name: str) -> list[Entry]:
    """The entries of a BibTeX text; PapergenError with every fault."""
    book = parse(text, name)
    if book.faults:
        raise PapergenError("\n".join(str(fault) for fault in book.faults))
    if not book.entries:
        raise PapergenError(f"{name}: there is no BibTeX entry in it.")
    return book.entries


def written(entry: Entry, key: str) -> str:
    """A fetched entry in the form of the built-in ones."""
    fields = {
        name: cleaned(value) if PRINTED.fullmatch(name) else value.strip()
        for name, value in entry.fields.items()
        if name not in _DROPPED and value.strip()
    }
    lines = [f"  {name} = {{{value}}},\n" for name, value in fields.items()]
    return f"@{entry.type}{{{key},\n{''.join(lines)}}}\n"


def cleaned(text: str) -> str:
    """A printed field as registries send it, made LaTeX: HTML taken out, bare specials escaped, spaces single."""
    plain = re.sub(r"</?(?:i|b|em|sub|sup|scp|mml:\w+|jats:\w+)(?:\s[^<>]*)?>", "", html.unescape(text))
    plain = " ".join(plain.split())
    return with_specials_escaped(plain, special_offsets(plain))


def key_of(entry: Entry, taken: Collection[str]) -> str:
    """`holtzman2020curious`: first author, year, first telling word of the title; a letter more when it is taken."""
    first = re.split(r"\s+and\s+", entry.fields.get("author") or entry.fields.get("editor", ""))[0]
    family = first.split(",")[0] if "," in first else (first.split() or ["anonymous"])[-1]
    year = re.search(r"\d{4}", entry.fields.get("year") or entry.fields.get("date", ""))
    words = [_ascii(word) for word in re.split(r"[\s\-–—:]+", entry.fields.get("title", ""))]
    telling = next((word for word in words if len(word) > 1 and word not in _SMALL_WORDS), "")
    base = f"{_ascii(family) or 'anonymous'}{year[0] if year else ''}{telling}"
    lower = {key.lower() for key in taken}
    candidates = (base, *(f"{base}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"))
    return next(candidate for candidate in candidates if candidate not in lower)


def checked_key(key: str, taken: Collection[str]) -> str:
    """A key that the author chose; PapergenError when BibTeX cannot take it or it is there already."""
    if not NAME.fullmatch(key):
        raise PapergenError(f"--key {key}: a key has no spaces and none of the signs \" # % ' ( ) , = {{ }}.")
    if key.lower() in {other.lower() for other in taken}:
        raise PapergenError(f"--key {key}: references.bib has an entry of this key already.")
    return key


def _ascii(word: str) -> str:
    bare = re.sub(r"\\[A-Za-z]+\s*|\\.|[{}]", "", word)
    letters = unicodedata.normalize("NFKD", bare.replace("ß", "ss").replace("ø", "o").replace("ł", "l")).lower()
    return "".join(char for char in letters if char.isascii() and char.isalnum())
