r"""A long table as rows that TeX may set in one column or page and go on with in the next.

A `tabular` is one box, and longtable refuses two columns; a bare `\halign` in vertical mode gives its rows to the page
one by one, in any class: an alignment of plain TeX, for which PyLaTeX has no object. Inside a box (`\fitted`, a float)
the same text is a box too. `longrows` cuts the rows itself (`latex.macros`) and is told where the head ends
(`\longrowscut`) and in which group a row is (`\longrowsgroup`).
"""

from __future__ import annotations

from papergen.latex.text import Escape, Tex, as_tex
from papergen.report.tables.cells import column_cells, ems, widths_em
from papergen.report.tables.table import Row, Table
from papergen.report.tables.tabular import POINTS, SIZES, column_heading, size_that_fits

HEAD = r"""\ifhmode\ifinner\vbox\else\par\fi\fi\bgroup%(size)s\parindent0pt\tabskip0pt
\setbox\strutbox\hbox{\vrule height.7\baselineskip depth.3\baselineskip width0pt}\offinterlineskip
\ifdefined\longrowsgroup\else\def\longrowsgroup#1{}\fi
"""
"""A strut per row and no space between rows: they stand at equal distances wherever the page is broken."""
RULE = r"\noalign{\nobreak%s\hrule height%s\nobreak%s}"
"""The rules of booktabs, at which no page may be broken: the space above, the thickness, the space below."""
TOP = RULE % ("", ".08em", r"\vskip.65ex\nobreak")
MIDDLE = RULE % (r"\vskip.4ex\nobreak", ".05em", r"\vskip.65ex\nobreak")
BOTTOM = RULE % (r"\vskip.4ex\nobreak", ".08em", "")
KEEP = r"\cr\noalign{\nobreak}"
CUT = r"\noalign{\ifdefined\longrowscut\longrowscut\fi}"
IN_GROUP = r"\noalign{\longrowsgroup{%s}\nobreak}"
NO_GROUP = r"\noalign{\longrowsgroup{\relax}}"


def long_tex(table: Table, escape: Escape, *, width_in: float) -> Tex:
    r"""The rows as wide as the line, in the largest of the usual sizes in which they fit `width_in` inches.

    Where they fit in none, a column of text is broken into lines, and a label that is too long has a line of its own.
    No page ends below a heading.
    """
    assert not table.footnotes, "a long table has no notes below it"
    assert table.shown is None, "a long table is printed whole"
    fitting = size_that_fits(table, width_in)
    is_text = [column.align for column in table.columns] == ["l"]
    size, separation = fitting or (SIZES[2] if is_text else SIZES[3], 1.5)
    wrap_in = _text_in(table, width_in, size, separation) if is_text and not fitting else 0.0
    longest_em = _label_em(table, width_in, size, separation) if not is_text and not fitting else float("inf")
    width = len(table.columns) + 1
    cells = [column_cells(table, index, escape) for index in range(len(table.columns))]
    headings = [as_tex(table.corner, escape), *(column_heading(column, escape) for column in table.columns)]
    command = f"\\{size}" if size else ""
    lines = [
        HEAD % {"size": command} + f"\\halign to\\linewidth{{{_preamble(table, separation)}\\cr",
        f"{TOP}",
        f"{' & '.join(headings)}\\cr",
        f"{MIDDLE}{CUT}",
    ]
    before = ""
    for index, row in enumerate(table.rows):
        if row.group != before:
            lines += [NO_GROUP, "\\addlinespace"] if index else []
            heading = f"\\strut\\emph{{{as_tex(row.group, escape)}}}"
            lines += [f"\\multispan{{{width}}}{heading}\\hfil{KEEP}", IN_GROUP % (command + heading)]
            before = row.group
        label = ("\\quad " if row.group else "") + as_tex(row.label, escape)
        if _ems(row) > longest_em:
            lines.append(f"\\multispan{{{width}}}\\strut{label}\\hfil{KEEP}")
            label = ""
        of_row = [of_column[index] for of_column in cells]
        if wrap_in:
            of_row[-1] = Tex(f"\\parbox[t]{{{wrap_in:.2f}in}}{{\\raggedright\\strut {of_row[-1]}\\strut}}")
        lines.append(f"{' & '.join([label, *of_row])}\\cr")
    return Tex("\n".join([*lines, BOTTOM, "}\\egroup"]) + "\n")


def _preamble(table: Table, separation: float) -> str:
    """The columns of the alignment; what room is left over goes between them."""
    gap = rf"\tabskip{2 * separation:g}pt plus1fil"
    templates = {"l": r"#\hfil", "c": r"\hfil#\hfil", "r": r"\hfil#"}
    columns = [templates[column.align] for column in table.columns]
    return rf"\strut#\hfil{gap}&" + "&".join([*columns[:-1], columns[-1] + r"\tabskip0pt"])


def _ems(row: Row) -> float:
    return ems(str(row.label)) + bool(row.group)


def _text_in(table: Table, width_in: float, size: str, separation: float) -> float:
    """Inches that the only column has beside the labels."""
    left = width_in - (POINTS[size] * widths_em(table)[0] + 2 * separation) / 72.27
    return max(left, 0.3 * width_in)


def _label_em(table: Table, width_in: float, size: str, separation: float) -> float:
    """The longest label, in em, that stands beside the other columns."""
    others = POINTS[size] * sum(widths_em(table)[1:]) + 2 * separation * len(table.columns)
    return (width_in * 72.27 - others) / POINTS[size]
