"""Tables and figures in the language of the paper: of every `Phrase` the words in that language; all else stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from papergen.core.phrase import said
from papergen.report.figures.figure import Figure, Series
from papergen.report.tables.table import Cell, NotAvailable, Table

AND_OR = {"en": {"or": "or", "and": "and"}, "zh": {"or": "或", "and": "和"}}


def either(texts: Iterable[str], language: str, *, last: Literal["or", "and"] = "or") -> str:
    """The texts in one phrase, each once: `a`, `a or b`, `a, b, or c`; in Chinese `a 或 b`, `a、b 或 c`."""
    *before, end = dict.fromkeys(said(text, language) for text in texts) or [""]
    word = AND_OR["zh" if language == "zh" else "en"][last]
    if not before:
        return end
    if language == "zh":
        return f"{'、'.join(before)} {word} {end}"
    return f"{', '.join(before)}{',' if len(before) > 1 else ''} {word} {end}"


def in_language(table: Table, language: str) -> Table:
    """The table with its headings, labels, units, words and notes in that language; numbers stay."""

    def cell(one: Cell) -> Cell:
        if isinstance(one, NotAvailable):
            return NotAvailable(said(one.reason, language))
        return said(one, language) if isinstance(one, str) else one

    columns = tuple(
        replace(
            column,
            heading=said(column.heading, language),
            group=said(column.group, language),
            unit=said(column.unit, language),
        )
        for column in table.columns
    )
    rows = tuple(
        replace(
            row,
            label=said(row.label, language),
            group=said(row.group, language),
            cells=tuple(map(cell, row.cells)),
        )
        for row in table.rows
    )
    return replace(table, columns=columns, rows=rows, corner=said(table.corner, language))


def figure_in_language(figure: Figure, language: str) -> Figure:
    """The figure with its axes, legend, names of points and bars, rules and notes in that language."""

    def series(one: Series) -> Series:
        x: Sequence[float | str] = [said(place, language) if isinstance(place, str) else place for place in one.x]
        names = None if one.names is None else [said(name, language) for name in one.names]
        return replace(one, label=said(one.label, language), x=x, names=names)

    return replace(
        figure,
        series=tuple(map(series, figure.series)),
        x_label=said(figure.x_label, language),
        y_label=said(figure.y_label, language),
        rules=tuple(replace(rule, label=said(rule.label, language)) for rule in figure.rules),
        notes=tuple(replace(note, text=said(note.text, language)) for note in figure.notes),
    )
