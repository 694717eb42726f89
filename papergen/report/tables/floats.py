"""A table as LaTeX: over both columns where one is too narrow, in several parts where it is long, a float if wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from papergen.latex.text import Escape, Tex
from papergen.report.tables.table import Table

CONTINUED = {"en": " (continued)", "zh": "（续）"}


def table_tex(
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
    is_wide = not table.fits(column_in)
    width = text_in if is_wide else column_in
    environment = "table*" if is_wide and text_in > column_in else "table"
    parts = list(parts_of(table, max_rows))
    bodies = [str(part.to_tex(escape, width_in=width)).rstrip("\n") for part in parts]
    if not table.fits(width):
        bodies = [f"\\resizebox{{{width:g}in}}{{!}}{{%\n{body}}}" for body in bodies]
    if not caption:
        return Tex("\n\\par\\bigskip\n".join(bodies) + "\n")
    floats = []
    for index, body in enumerate(bodies):
        heading = [f"\\caption{{{caption}}}", f"\\label{{tab:{table.name}}}"]
        if index:
            heading = [r"\addtocounter{table}{-1}", f"\\caption[]{{{caption}{CONTINUED[language]}}}"]
        lines = [f"\\begin{{{environment}}}[{place}]", r"\centering\small", *heading, body, f"\\end{{{environment}}}"]
        floats.append("\n".join(lines) + "\n")
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
