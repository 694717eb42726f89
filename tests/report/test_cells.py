"""Cells of a column: digits, alignment and marks, apart from the tabular around them."""

from __future__ import annotations

import pytest

from papergen.latex.text import Tex, escape
from papergen.report.tables.cells import column_cells, digits, padding, text_of, widths_em
from papergen.report.tables.table import Column, NotAvailable, Row, Table
from papergen.report.values import Text, Value, summary


def value(*samples: float) -> Value:
    return Value(key="e/r/m", **summary(samples)) if len(samples) > 1 else Value(key="e/r/m", mean=samples[0])


def table(*values: Value, **column: object) -> Table:
    shown = Column(**{"name": "m", "heading": "M", "direction": "higher", **column})  # type: ignore[arg-type]
    return Table(
        name="t",
        columns=(shown,),
        rows=tuple(Row(name=str(at), label=str(at), cells=(one,)) for at, one in enumerate(values)),
    )


@pytest.mark.parametrize(
    ("column", "means"),
    [
        ({}, ["0.950", "0.900"]),
        ({"decimals": 1}, ["1.0", "0.9"]),
        ({"percent": True}, ["95.0", "90.0"]),
        ({"significant": 2}, ["0.95", "0.90"]),
        ({"show": "n"}, ["2", "2"]),
    ],
)
def test_digits_of_a_column(column: dict[str, object], means: list[str]) -> None:
    made = table(value(0.949, 0.951), value(0.899, 0.901), **column)
    numbers = {at: row.cells[0] for at, row in enumerate(made.rows)}
    assert list(digits(made.columns[0], numbers)[0].values()) == means  # type: ignore[arg-type]


def test_cells_are_tex_padded_and_marked() -> None:
    cells = column_cells(table(value(9.5), value(120.25), value(3.5), decimals=1), 0, escape)
    assert all(isinstance(cell, Tex) for cell in cells), "PyLaTeX would escape a plain string again"
    assert cells == [r"\phantom{12}\underline{9.5}", r"\textbf{120.2}", r"\phantom{12}3.5"]


def test_what_is_no_number() -> None:
    assert text_of(None, escape, []) == "---"
    assert text_of(NotAvailable("why"), escape, ["other", "why"]) == r"n/a\textsuperscript{b}"
    assert text_of("50%", escape, []) == r"50\%"
    assert text_of(Text(key="k", text="a_b"), escape, []) == r"a\_b"
    assert text_of(Tex(r"$\eta$"), escape, []) == r"$\eta$"


def test_a_power_of_ten_is_never_cut_for_padding() -> None:
    assert padding("1.5×10^30", "3") == ""
    assert padding("120", "9") == r"\phantom{12}"


def test_wider_cells_make_a_wider_column() -> None:
    narrow, wide = (widths_em(table(value(number)))[1] for number in (1.5, 123456.0))
    assert narrow < wide
