"""The final version of a paper, which bears its authors' names: camera-ready, after the blind review."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from papergen.latex.pdf import page_texts
from papergen.latex.tree import Problem
from papergen.paper.check.base import Check, Subject

FINAL = "camera-ready"
_BLIND = re.compile(
    r"anonymous\s+(?:\w+\s+)?(?:authors?|submission|institution|affiliation)|(?:under|for)\s+(?:double.blind\s+)?review"
    r"|do\s+not\s+distribute|preliminary\s+work|匿名(?:投稿|作者)",
    re.IGNORECASE,
)
"""What styles print in a paper under review, in the place of its authors or at the foot of its first page."""


def _missing(subject: Subject) -> Iterator[Problem]:
    assert subject.compiled is not None, "names are looked for in a PDF"
    printed = _letters("".join(page_texts(subject.compiled.pdf)))
    for author in subject.project.paper.authors:
        if _letters(author.name) not in printed:
            message = f"the author {author.name} is not printed in the final version"
            yield subject.in_pdf(message, remedy="Look at \\author in main.tex and at the options of the style.")


def _letters(text: str) -> str:
    """Letters only, without case and accents: a PDF may hold an accent beside its letter, a style may use capitals."""
    return "".join(char for char in unicodedata.normalize("NFKD", text).casefold() if char.isalpha())


def _blind(subject: Subject) -> Iterator[Problem]:
    assert subject.compiled is not None, "the first page is that of a PDF"
    if match := _BLIND.search(page_texts(subject.compiled.pdf)[0]):
        message = f'the first page still says "{" ".join(match[0].split())}" as for a review'
        yield subject.in_pdf(message, remedy="Look at the options with which main.tex loads the class or style.")


def _if_final(find: Callable[[Subject], Iterable[Problem]]) -> Callable[[Subject], Iterable[Problem]]:
    return lambda subject: find(subject) if subject.project.paper.mode == FINAL else ()


CHECKS = (
    Check(
        name="author-missing",
        looks_for="authors whose names are not printed, in mode camera-ready",
        find=_if_final(_missing),
        needs_pdf=True,
    ),
    Check(
        name="still-blind",
        looks_for="words of a blind review on the first page, in mode camera-ready",
        find=_if_final(_blind),
        needs_pdf=True,
    ),
)
