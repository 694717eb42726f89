"""The page: text that sticks out of its column, papers that are too long, fonts and pictures that print badly."""

from __future__ import annotations

from collections.abc import Iterator

from papergen.latex.pdf import pages_of_text, pictures
from papergen.latex.problems import Code, Problem
from papergen.paper.check.base import Check, Subject

MAX_OVERFULL_PT = 2.0
"""Text may stick out by this much before a reader sees it."""
MIN_DPI = 200
"""Fewest dots per inch of a bitmap at its printed size."""


def _overfull(subject: Subject) -> Iterator[Problem]:
    assert subject.compiled is not None, "the check of boxes reads the log of a build"
    for problem in subject.compiled.warnings:
        if problem.code is Code.OVERFULL and problem.size_pt > MAX_OVERFULL_PT:
            yield problem


def _page_limit(subject: Subject) -> Iterator[Problem]:
    if subject.page_limit is None:
        return
    assert subject.compiled is not None, "pages are counted in a PDF"
    counted = subject.compiled.pages
    if subject.counts_text_only:
        main = subject.assembly.sources.main
        counted = pages_of_text(subject.compiled.pdf, subject.tree, main, subject.auxiliary)
    if counted > subject.page_limit:
        what = "pages of text" if subject.counts_text_only else "pages"
        mode = subject.project.paper.mode
        message = f"{counted} {what}, and {subject.template.name} ({mode}) takes {subject.page_limit}"
        rest = "The references and what follows them do not count. " if subject.counts_text_only else ""
        remedy = f"{rest}Shorten the paper, or set page_limit in paper.yaml."
        yield subject.in_pdf(Code.TOO_LONG, message, remedy=remedy)


def _fonts(subject: Subject) -> Iterator[Problem]:
    for font in subject.pdf.fonts:
        if font.kind == "Type3":
            remedy = "A figure made with pdf.fonttype=3, or a TeX font without outlines: redraw, or install cm-super."
            message = f"the font {font.name} is Type 3 (a bitmap or a drawing), which venues refuse"
            yield subject.in_pdf(Code.BITMAP_FONT, message, remedy=remedy)
        elif not font.is_embedded:
            remedy = "Embed it where the figure is made (Ghostscript: -dEmbedAllFonts=true)."
            message = f"the font {font.name} is not embedded: the paper prints differently elsewhere"
            yield subject.in_pdf(Code.FONT_NOT_EMBEDDED, message, remedy=remedy)


def _resolution(subject: Subject) -> Iterator[Problem]:
    assert subject.compiled is not None, "pictures are measured in a PDF"
    for picture in pictures(subject.compiled.pdf):
        if picture.dpi >= MIN_DPI:
            continue
        size = f"{picture.width_px} x {picture.height_px} pixels at {picture.width_in:.1f} inches"
        message = f"a picture on page {picture.page} has {picture.dpi:.0f} dots per inch ({size})"
        remedy = f"Use a vector format, or a bitmap of at least {MIN_DPI} dots per inch."
        yield subject.in_pdf(Code.COARSE_PICTURE, message, remedy=remedy)


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
