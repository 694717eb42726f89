r"""A table as a booktabs `tabular` in a size that fits, and as floats with a caption: `table*` where one column is too
narrow, several parts where it is long. Without a caption no float is made: caption and label are the author's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, ClassVar

import pylatex
from pylatex import Command, MultiColumn, Package
from pylatex.base_classes import Environment, LatexObject
from pylatex.base_classes.containers import Fragment
from pylatex.utils import dumps_list

from papergen.latex.text import Escape, Tex, as_tex, command, escape
from papergen.report.tables.cells import column_cells, reason_mark, widths_em
from papergen.report.tables.table import Column, Row, Table

ARROWS = {"higher": r"$\uparrow$", "lower": r"$\downarrow$", "none": ""}
SIZES = ("", "small", "footnotesize", "scriptsize")
POINTS = {"": 10.0, "small": 9.0, "footnotesize": 8.0, "scriptsize": 7.0}
"""Font sizes of a ten-point class."""
CONTINUED = {"en": " (continued)", "zh": "（续）"}


class Tabular(pylatex.Tabular):  # type: ignore[misc]
    r"""A `tabular` without space at its sides, one row per line.

    PyLaTeX's own writes `a&b\\%`: hard to read where an author opens a generated table, or a diff of one.
    """

    content_separator = "\n"
    packages: ClassVar[list[Package]] = [Package("booktabs")]

    def __init__(self, align: str) -> None:
        super().__init__(f"@{{}}{align}@{{}}", width=len(align))

    def add_row(self, *cells: Any, **options: Any) -> None:
        """One row; PyLaTeX checks that its cells are as many as the columns, and gathers the packages they need."""
        super().add_row(cells, **options)
        self[-1] = Tex(dumps_list(cells, escape=self.escape, token=" & ") + r" \\")

    def add_rule(self, name: str) -> None:
        """A rule of booktabs: `toprule`, `midrule`, `bottomrule`; also `addlinespace`."""
        self.append(command(name))


class Float(Environment):  # type: ignore[misc]
    """`table`, or `table*` over both columns, one command per line."""

    _latex_name = "table"
    content_separator = "\n"

    def __init__(self, *, place: str, is_wide: bool) -> None:
        self._star_latex_name = is_wide
        super().__init__(options=place)


def tabular_of(table: Table, escape: Escape = escape) -> LatexObject:
    """The tabular, with the reasons of its n/a cells below it."""
    tabular = Tabular("l" + "".join(column.align for column in table.columns))
    tabular.add_rule("toprule")
    _add_heading(tabular, table, escape)
    tabular.add_rule("midrule")
    _add_rows(tabular, table, escape)
    tabular.add_rule("bottomrule")
    return _with_notes(tabular, [as_tex(reason, escape) for reason in table.footnotes])


def tabular_tex(table: Table, escape: Escape = escape, *, width_in: float | None = None) -> Tex:
    """The tabular as text; with `width_in`, in the largest of the usual sizes in which it fits that width."""
    body = tabular_of(table, escape).dumps()
    if width_in is None:
        return Tex(f"{body}\n")
    size, separation = size_that_fits(table, width_in) or (SIZES[-1], 2.0)
    columns = command("setlength", r"\tabcolsep", f"{separation:g}pt")
    return Tex(f"{{{command(size) if size else ''}{columns}%\n{body}}}\n")


def fits(table: Table, width_in: float) -> bool:
    """Whether it fits that width in one of the usual sizes; if not, it wants `table*`."""
    return size_that_fits(table, width_in) is not None


def size_that_fits(table: Table, width_in: float) -> tuple[str, float] | None:
    """Size and \\tabcolsep (pt) in which it fits, by an estimate of the widths of Times; None when nothing does."""
    width = sum(widths_em(table))
    for size in SIZES:
        for separation in (6.0, 4.0, 3.0):
            if POINTS[size] * width + 2 * separation * len(table.columns) <= width_in * 72.27:
                return size, separation
    return None


def _add_heading(tabular: Tabular, table: Table, escape: Escape) -> None:
    groups = [(group, len(list(columns))) for group, columns in groupby(column.group for column in table.columns)]
    if any(group for group, _ in groups):
        tabular.add_row("", *(MultiColumn(size, data=as_tex(group, escape)) for group, size in groups))
        rules, start = "", 2
        for group, size in groups:
            span = f"{start}-{start + size - 1}"
            rules += command("cmidrule(lr)", span) if group else ""
            start += size
        tabular.append(Tex(rules))
    tabular.add_row(as_tex(table.corner, escape), *(column_heading(column, escape) for column in table.columns))


def column_heading(column: Column, escape: Escape) -> Tex:
    """The heading of a column with its unit and the arrow of its direction."""
    text = str(as_tex(column.heading, escape))
    unit = "%" if column.percent else column.unit
    if unit and column.show != "n":
        text += f" ({escape(unit)})"
    arrow = ARROWS[column.direction] if not column.target and column.show != "n" else ""
    return Tex(f"{text}~{arrow}" if arrow else text)


def _add_rows(tabular: Tabular, table: Table, escape: Escape) -> None:
    printed = [column_cells(table, index, escape) for index in range(len(table.columns))]
    start, end = table.shown or (0, len(table.rows))
    before: Row | None = None
    for index, row in list(enumerate(table.rows))[start:end]:
        if before is not None and before.is_reference != row.is_reference:
            tabular.add_rule("midrule")
        elif before is not None and before.group != row.group:
            tabular.add_rule("addlinespace")
        if row.group and (before is None or before.group != row.group):
            group = command("emph", as_tex(row.group, escape))
            tabular.add_row(MultiColumn(len(table.columns) + 1, align=Tex("@{}l"), data=group))
        label = Tex(("\\quad " if row.group else "") + as_tex(row.label, escape))
        tabular.add_row(label, *(cells[index] for cells in printed))
        before = row


def _with_notes(tabular: Tabular, notes: Sequence[str]) -> LatexObject:
    """The tabular with lettered notes below it, in lines as long as it is wide."""
    if not notes:
        return tabular
    lines = "\\par ".join(f"{reason_mark(index)}\\,{note}" for index, note in enumerate(notes))
    below = Tabular("l")
    below.append(Tex(r"\usebox0\\[2pt]"))
    below.append(command("parbox", r"\wd0", rf"\scriptsize\raggedright {lines}"))
    return Fragment(data=[command("sbox0", tabular.dumps()), below])


def float_tex(
    table: Table,
    escape: Escape,
    *,
    column_in: float,
    text_in: float,
    max_rows: int,
    caption: str = "",
    place: str = "t",
    language: str = "en",
) -> Tex:
    """The tabulars, with a caption each in a float of its own (`table*` when too wide for a column).

    The label is `tab:NAME`, on the first part; the others have the same number and say that they go on.
    """
    is_wide = not fits(table, column_in)
    width = text_in if is_wide else column_in
    parts = list(parts_of(table, max_rows))
    bodies = [str(tabular_tex(part, escape, width_in=width)).rstrip("\n") for part in parts]
    if not fits(table, width):
        bodies = [command("resizebox", f"{width:g}in", "!", f"%\n{body}") for body in bodies]
    if not caption:
        return Tex("\n\\par\\bigskip\n".join(bodies) + "\n")
    floats = []
    for index, body in enumerate(bodies):
        one = Float(place=place, is_wide=is_wide and text_in > column_in)
        one.append(Tex(r"\centering\small"))
        if index:
            one.append(command("addtocounter", "table", "-1"))
            one.append(Command("caption", Tex(caption + CONTINUED[language]), options=""))
        else:
            one.append(command("caption", caption))
            one.append(command("label", f"tab:{table.name}"))
        one.append(Tex(body))
        floats.append(f"{one.dumps()}\n")
    return Tex("".join(floats))


def parts_of(table: Table, max_rows: int) -> Iterator[Table]:
    """The table in parts of about equal length, at most `max_rows` each; marks of the best stay those of the whole."""
    num_parts = -(-len(table.rows) // max_rows)
    if num_parts == 1:
        yield table
        return
    size = -(-len(table.rows) // num_parts)
    for start in range(0, len(table.rows), size):
        yield replace(table, shown=(start, min(start + size, len(table.rows))))
