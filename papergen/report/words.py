"""Tables and figures in the language of the paper: every word that is printed passes here.

The catalogues of `report/chinese/` go from English to Chinese; a word without an entry stays as it is, so that an
author's own labels, in whatever language, are never touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from papergen.latex.text import Tex
from papergen.report.chinese import CELLS, CHINESE, PATTERNS, VALUES
from papergen.report.figures.figure import Figure, Series
from papergen.report.tables.table import Cell, NotAvailable, Table

_PATTERNS = [(re.compile(pattern), chinese) for pattern, chinese in PATTERNS.items()]
_VALUES = [(re.compile(pattern), chinese) for pattern, chinese in VALUES.items()]


def translated(text: str, language: str) -> str:
    """The text in that language: by its own entry, by a pattern, or part for part where commas divide it."""
    if language != "zh":
        return text
    chinese = _chinese(str(text))
    return Tex(chinese) if isinstance(text, Tex) else chinese


AND_OR = {"en": {"or": "or", "and": "and"}, "zh": {"or": "或", "and": "和"}}


def either(texts: Iterable[str], language: str, *, last: Literal["or", "and"] = "or") -> str:
    """The texts in one phrase, each once: `a`, `a or b`, `a, b, or c`; in Chinese `a 或 b`, `a、b 或 c`."""
    *before, end = dict.fromkeys(texts) or [""]
    word = AND_OR["zh" if language == "zh" else "en"][last]
    if not before:
        return end
    if language == "zh":
        return f"{'、'.join(before)} {word} {end}"
    return f"{', '.join(before)}{',' if len(before) > 1 else ''} {word} {end}"


def _chinese(text: str) -> str:
    for word in (text, text.replace("_", " ")):
        if word in CHINESE:
            return CHINESE[word]
    for pattern, chinese in _PATTERNS:
        if match := pattern.fullmatch(text):
            return chinese.format(*map(_chinese, match.groups()))
    parts = text.split(", ")
    said = [CHINESE.get(part, part) for part in parts]
    return text if said == parts else "，".join(said)


def cell_said(text: str) -> str:
    """The Chinese of a cell that holds words of ours; a parameter's value stays as it is typed in YAML."""
    for pattern, chinese in _VALUES:
        if match := pattern.fullmatch(text):
            return chinese.format(*match.groups())
    return CELLS.get(text, text)


def in_language(table: Table, language: str) -> Table:
    """The table with its headings, labels, units, words and notes in that language; numbers stay."""
    if language != "zh":
        return table

    def said(word: str) -> str:
        return translated(word, language)

    def cell(one: Cell) -> Cell:
        if isinstance(one, NotAvailable):
            return NotAvailable(said(one.reason))
        return cell_said(one) if isinstance(one, str) and not isinstance(one, Tex) else one

    columns = tuple(
        replace(column, heading=said(column.heading), group=said(column.group), unit=said(column.unit))
        for column in table.columns
    )
    rows = tuple(
        replace(row, label=said(row.label), group=said(row.group), cells=tuple(map(cell, row.cells)))
        for row in table.rows
    )
    return replace(table, columns=columns, rows=rows, corner=said(table.corner))


def figure_in_language(figure: Figure, language: str) -> Figure:
    """The figure with its axes, legend, names of points and bars, rules and notes in that language."""
    if language != "zh":
        return figure

    def said(word: str) -> str:
        return translated(word, language)

    def series(one: Series) -> Series:
        x: Sequence[float | str] = [said(place) if isinstance(place, str) else place for place in one.x]
        names = None if one.names is None else [said(name) for name in one.names]
        return replace(one, label=said(one.label), x=x, names=names)

    return replace(
        figure,
        series=tuple(map(series, figure.series)),
        x_label=said(figure.x_label),
        y_label=said(figure.y_label),
        rules=tuple(replace(rule, label=said(rule.label)) for rule in figure.rules),
        notes=tuple(replace(note, text=said(note.text)) for note in figure.notes),
    )
