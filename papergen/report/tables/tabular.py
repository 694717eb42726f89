r"""A table as a booktabs `tabular` in a size that fits, and as floats with a caption: `table*` where one column is too
narrow, several parts where it is long. Without a caption no float is made: caption and label are the author's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from papergen.latex.text import Escape, Tex, as_tex, escape
from papergen.report.tables.cells import column_cells, reason_mark, widths_em
from papergen.report.tables.table import Column, Table

ARROWS = {"higher": r"$\uparrow$", "lower": r"$\downarrow$", "none": ""}
SIZES = ("", "small", "footnotesize", "scriptsize")
POINTS = {"": 10.0, "small": 9.0, "footnotesize": 8.0, "scriptsize": 7.0}
"""Font sizes of a ten-point class."""
CONTINUED = {"en": " (continued)", "zh": "（续）"}


def tabular_tex(table: Table, escape: Escape = escape, *, width_in: float | None = None) -> Tex:
    """The tabular; with `width_in`, in the largest of the usual sizes in which it fits that width."""
    body = "\n".join(
        [
            rf"\begin{{tabular}}{{@{{}}l{''.join(column.align for column in table.columns)}@{{}}}}",
            r"\toprule",
            *_heading(table, escape),
            r"\midrule",
            *_body(table, escape),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )
    body = footnoted(body, [as_tex(reason, escape) for reason in table.footnotes])
    if width_in is None:
        return Tex(body + "\n")
    size, separation = size_that_fits(table, width_in) or (SIZES[-1], 2.0)
    command = f"\\{size}" if size else ""
    return Tex(f"{{{command}\\setlength{{\\tabcolsep}}{{{separation:g}pt}}%\n{body}}}\n")


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


def _heading(table: Table, escape: Escape) -> list[str]:
    lines: list[str] = []
    groups = [column.group for column in table.columns]
    if any(groups):
        cells, rules, start = [], [], 0
        while start < len(groups):
            end = start
            while end + 1 < len(groups) and groups[end + 1] == groups[start]:
                end += 1
            cells.append(rf"\multicolumn{{{end - start + 1}}}{{c}}{{{escape(groups[start])}}}")
            if groups[start]:
                rules.append(rf"\cmidrule(lr){{{start + 2}-{end + 2}}}")
            start = end + 1
        lines += [f" & {' & '.join(cells)} \\\\", "".join(rules)]
    headings = [as_tex(table.corner, escape), *(column_heading(column, escape) for column in table.columns)]
    return [*lines, f"{' & '.join(headings)} \\\\"]


def column_heading(column: Column, escape: Escape) -> str:
    """The heading of a column with its unit and the arrow of its direction."""
    text = as_tex(column.heading, escape)
    unit = "%" if column.percent else column.unit
    if unit and column.show != "n":
        text += f" ({escape(unit)})"
    arrow = ARROWS[column.direction] if not column.target and column.show != "n" else ""
    return f"{text}~{arrow}" if arrow else text


def _body(table: Table, escape: Escape) -> list[str]:
    printed = [column_cells(table, index, escape) for index in range(len(table.columns))]
    lines: list[str] = []
    start, end = table.shown or (0, len(table.rows))
    for index, row in list(enumerate(table.rows))[start:end]:
        before = table.rows[index - 1] if index > start else None
        if before is not None and before.is_reference != row.is_reference:
            lines.append(r"\midrule")
        elif before is not None and before.group != row.group:
            lines.append(r"\addlinespace")
        if row.group and (before is None or before.group != row.group):
            lines.append(rf"\multicolumn{{{len(table.columns) + 1}}}{{@{{}}l}}{{\emph{{{escape(row.group)}}}}} \\")
        label = ("\\quad " if row.group else "") + as_tex(row.label, escape)
        lines.append(f"{' & '.join([label, *(cells[index] for cells in printed)])} \\\\")
    return lines


def footnoted(tabular: str, notes: Sequence[str]) -> str:
    """The tabular with lettered notes below it, in lines as long as it is wide."""
    if not notes:
        return tabular
    lines = "\\par ".join(f"{reason_mark(index)}\\,{note}" for index, note in enumerate(notes))
    return (
        f"\\sbox0{{{tabular}}}%\n"
        "\\begin{tabular}{@{}l@{}}\n"
        "\\usebox0\\\\[2pt]\n"
        f"\\parbox{{\\wd0}}{{\\scriptsize\\raggedright {lines}}}\n"
        "\\end{tabular}"
    )


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
    environment = "table*" if is_wide and text_in > column_in else "table"
    parts = list(parts_of(table, max_rows))
    bodies = [str(tabular_tex(part, escape, width_in=width)).rstrip("\n") for part in parts]
    if not fits(table, width):
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
