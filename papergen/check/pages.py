"""The page: text that sticks out of its column, papers that are too long, fonts and pictures that print badly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from papergen.check.base import Check, Subject
from papergen.latex.pdf import pictures
from papergen.latex.tree import Problem

MAX_OVERFULL_PT = 2.0
"""Text may stick out by this much before a reader sees it."""
MIN_DPI = 200
"""Fewest dots per inch of a bitmap at its printed size."""


def _overfull(subject: Subject) -> Iterator[Problem]:
    assert subject.compiled is not None, "the check of boxes reads the log of a build"
    for problem in subject.compiled.warnings:
        if problem.severity == "box" and problem.size_pt > MAX_OVERFULL_PT:
            yield problem


def _page_limit(subject: Subject) -> Iterator[Problem]:
    if subject.page_limit is None:
        return
    assert subject.compiled is not None, "pages are counted in a PDF"
    counted = _pages_of_text(subject.compiled.pdf) if subject.counts_text_only else subject.compiled.pages
    if counted > subject.page_limit:
        what = "pages of text" if subject.counts_text_only else "pages"
        mode = subject.project.paper.mode
        message = f"{counted} {what}, and {subject.template.name} ({mode}) takes {subject.page_limit}"
        rest = "The references and what follows them do not count. " if subject.counts_text_only else ""
        yield subject.in_pdf(message, remedy=f"{rest}Shorten the paper, or set page_limit in paper.yaml.")


def _pages_of_text(pdf: Path) -> int:
    """The page on which the text ends: where the references or the appendix begin, else the last page."""
    from papergen.latex.pdf import page_texts

    words = "References|REFERENCES|Bibliography|参考文献"
    heading = re.compile(rf"^\s*(?:[\dA-Z]+\.?\s+)?(?:{words})\s*$", re.MULTILINE)
    texts = page_texts(pdf)
    for number, text in enumerate(texts, 1):
        if match := heading.search(text):
            starts_page = len(text[: match.start()].strip()) < 40  # no more than a running head stands above it
            return number - 1 if starts_page and number > 1 else number
    return len(texts)


def _fonts(subject: Subject) -> Iterator[Problem]:
    for font in subject.pdf.fonts:
        if font.kind == "Type3":
            remedy = "A figure made with pdf.fonttype=3, or a TeX font without outlines: redraw, or install cm-super."
            message = f"the font {font.name} is Type 3 (a bitmap or a drawing), which venues refuse"
            yield subject.in_pdf(message, remedy=remedy)
        elif not font.is_embedded:
            remedy = "Embed it where the figure is made (Ghostscript: -dEmbedAllFonts=true)."
            message = f"the font {font.name} is not embedded: the paper prints differently elsewhere"
            yield subject.in_pdf(message, remedy=remedy)


def _resolution(subject: Subject) -> Iterator[Problem]:
    assert subject.compiled is not None, "pictures are measured in a PDF"
    for picture in pictures(subject.compiled.pdf):
        if picture.dpi >= MIN_DPI:
            continue
        size = f"{picture.width_px} x {picture.height_px} pixels at {picture.width_in:.1f} inches"
        message = f"a picture on page {picture.page} has {picture.dpi:.0f} dots per inch ({size})"
        yield subject.in_pdf(message, remedy=f"Use a vector format, or a bitmap of at least {MIN_DPI} dots per inch.")


CHECKS = (
    Check(
        name="overfull",
        looks_for=f"text that sticks out of its column by more than {MAX_OVERFULL_PT:g} pt",
        find=_overfull,
        needs_pdf=True,
    ),
    Check(name="page-limit", looks_for="more pages than the venue takes", find=_page_limit, needs_pdf=True),
    Check(name="font", looks_for="fonts that are not embedded or are Type 3", find=_fonts, needs_pdf=True),
    Check(
        name="resolution",
        looks_for=f"bitmaps with fewer than {MIN_DPI} dots per inch at their printed size",
        find=_resolution,
        needs_pdf=True,
    ),
)
