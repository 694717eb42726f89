"""What the author named: a DOI, an arXiv or ACL Anthology id, also inside an address, or a built-in key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from papergen.core.errors import PapergenError, nearest
from papergen.report import citations

Kind = Literal["doi", "arxiv", "acl", "built-in"]

_DOI = re.compile(r"\b(10\.\d{4,9}/[^\s\"<>{}]+)")
_ARXIV = re.compile(r"(?<![\d.])(?P<id>\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v\d+)?(?![\d])")
_ACL = re.compile(r"\b(?P<id>[A-Z]\d{2}-\d{4}|(?:19|20)\d{2}\.[a-z0-9_]+-[a-z0-9_]+\.\d+)\b")


@dataclass(frozen=True)
class Identifier:
    """One work as its registry names it."""

    kind: Kind
    id: str

    def __str__(self) -> str:
        return {"doi": "DOI ", "arxiv": "arXiv:", "acl": "ACL ", "built-in": ""}[self.kind] + self.id


def identify(text: str) -> Identifier:
    """The work that a text names; PapergenError says what would be understood."""
    word = unquote(text.strip())
    if word in citations.known():
        return Identifier("built-in", word)
    arxiv_doi = re.search(r"10\.48550/arxiv\.(\S+)", word, re.IGNORECASE)
    if arxiv_doi and (match := _ARXIV.search(arxiv_doi[1])):
        return Identifier("arxiv", match["id"])
    if match := _DOI.search(word):
        return Identifier("doi", match[1].rstrip(".,;)").lower())
    if (match := _ACL.search(word)) and "arxiv" not in word.lower():
        return Identifier("acl", match["id"])
    if match := _ARXIV.search(word):
        return Identifier("arxiv", match["id"])
    close = nearest(word, citations.known()) if len(word) > 5 else []
    raise PapergenError(
        f"{text}: no DOI, arXiv id, ACL Anthology id or built-in key."
        + (f" Did you mean {close[0]}?" if close else ""),
        hint="For example 10.18653/v1/P18-1082, 1904.09751, P18-1082; or paste one: papergen cite add --bibtex - .",
    )
