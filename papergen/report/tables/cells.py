"""The cells of a table's column as they are printed: digits that the intervals deserve, padded, the best marked.

Numbers of a column share their decimals and stand under each other (padded with phantoms, so that booktabs is all they
need); the best mean is bold, the second underlined.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from papergen.core.numbers import EXACT, grouped, number_of, rounded, scientific, significant
from papergen.latex.text import Escape, Tex, as_tex, command, number_tex
from papergen.report.formats import MAX_DECIMALS, decimals_of, plain
from papergen.report.tables.table import Cell, Column, NotAvailable, Table
from papergen.report.values import Text, Value

MAX_PLAIN_DECIMALS = 3
"""Decimals that a column may be given for its smallest number; beyond, all are written as powers of ten."""


def column_cells(table: Table, index: int, escape: Escape) -> list[Tex]:
    """The TeX of every cell of a column, numbers padded to stand under each other, the best marked."""
    column = table.columns[index]
    cells = [row.cells[index] for row in table.rows]
    numbers = {at: cell for at, cell in enumerate(cells) if isinstance(cell, Value)}
    means, halves = digits(column, numbers)
    bold, underlined = _marked(table, index, means)
    widest_mean = max(means.values(), key=len, default="")
    widest_half = max(halves.values(), key=len, default="")
    notes = [(table.notes or {}).get((row.name, column.name), "") for row in table.rows]
    widest_note = max(notes, key=len, default="")
    out: list[Tex] = []
    for at, cell in enumerate(cells):
        if at not in means:
            out.append(text_of(cell, escape, table.footnotes))
            continue
        mean = number_in_tex(means[at])
        mean = command("textbf", mean) if at in bold else command("underline", mean) if at in underlined else mean
        note = notes[at] or (command("phantom", widest_note) if widest_note else "")
        spread = ""
        if widest_half and at in halves:
            spread = rf"\,{{\scriptsize$\pm$\,{padding(widest_half, halves[at])}{number_in_tex(halves[at])}}}"
        elif widest_half:
            spread = command("phantom", rf"\,{{\scriptsize$\pm$\,{number_in_tex(widest_half)}}}")
        before, after = padding(widest_mean, means[at]), ""
        if column.significant:
            before, after = around_point(list(means.values()), means[at])
        out.append(Tex(f"{before}{mean}{after}{spread}{note}"))
    return out


def _marked(table: Table, index: int, means: Mapping[int, str]) -> tuple[set[int], set[int]]:
    """Rows to print in bold and underlined; ties as printed share the mark, and a column of ties has none."""
    column = table.columns[index]
    aim = next((row.cells[index] for row in table.rows if row.name == column.target), None)
    if not table.marks_best or column.show == "n" or (column.direction == "none" and not isinstance(aim, Value)):
        return set(), set()
    rows = [at for at in means if not table.rows[at].is_reference and table.rows[at].name != column.target]
    number = {at: number_of(means[at]) for at in rows}
    if isinstance(aim, Value):
        target = aim.mean * (100 if column.percent else 1)
        loss = {at: round(abs(number[at] - target), 9) for at in rows}
    else:
        loss = {at: -number[at] if column.direction == "higher" else number[at] for at in rows}
    levels = sorted(set(loss.values()))
    if len(levels) < 2:
        return set(), set()
    best = {at for at in rows if loss[at] == levels[0]}
    second = {at for at in rows if loss[at] == levels[1]} if table.marks_second and len(levels) > 2 else set()
    return best, second


def widths_em(table: Table) -> list[float]:
    """Natural widths of the labels and of each column, in em, estimated from average widths of letters in Times."""
    labels = [ems(str(table.corner)), *(ems(str(row.label)) + bool(row.group) for row in table.rows)]
    widths = [max(labels)]
    for index, column in enumerate(table.columns):
        numbers = {at: cell for at, row in enumerate(table.rows) if isinstance(cell := row.cells[index], Value)}
        means, halves = digits(column, numbers)
        cells = max((0.5 * len(text) for text in means.values()), default=0.0)
        cells += max((0.36 * len(text) + 1.0 for text in halves.values()), default=0.0)
        others = [cell for row in table.rows if not isinstance(cell := row.cells[index], Value | None)]
        texts = [ems(plain(cell) if isinstance(cell, Text) else str(cell)) for cell in others]
        unit = "%" if column.percent else column.unit
        heading = ems(str(column.heading)) + (ems(f" ({unit})") if unit and column.show != "n" else 0)
        heading += 0.75 if column.direction != "none" and not column.target and column.show != "n" else 0
        widths.append(max([cells, heading, *texts]))
    return widths


def digits(column: Column, numbers: Mapping[int, Value]) -> tuple[dict[int, str], dict[int, str]]:
    """What is printed of each number: mean and half-width by row, all with the column's decimals."""
    if column.show == "n":
        return {at: grouped(str(value.n)) for at, value in numbers.items()}, {}
    scale = 100.0 if column.percent else 1.0
    if column.significant:
        return {at: grouped(significant(value.mean * scale, column.significant)) for at, value in numbers.items()}, {}
    if column.decimals is None and any(abs(value.mean) * scale >= EXACT for value in numbers.values()):
        spreads = {at: value.half_width for at, value in numbers.items() if column.show == "pm" and value.half_width}
        return (
            {at: scientific(value.mean * scale) for at, value in numbers.items()},
            {at: scientific(half * scale) for at, half in spreads.items()},
        )
    decimals = column.decimals if column.decimals is not None else _column_decimals(list(numbers.values()), scale)
    means = {at: grouped(rounded(value.mean * scale, decimals)) for at, value in numbers.items()}
    halves = {
        at: grouped(rounded(value.half_width * scale, decimals))
        for at, value in numbers.items()
        if column.show == "pm" and value.half_width is not None
    }
    lost = [abs(v.mean * scale) for at, v in numbers.items() if v.mean and not number_of(means[at])]
    if lost and not halves and column.decimals is None:  # a number that is not zero must not print as zero
        decimals = -math.floor(math.log10(min(lost)))
        if decimals > MAX_PLAIN_DECIMALS:  # one number of decimals cannot serve 3 and 2e-7
            return {at: scientific(value.mean * scale) for at, value in numbers.items()}, halves
        means = {at: grouped(rounded(value.mean * scale, decimals)) for at, value in numbers.items()}
    return means, halves


def _column_decimals(values: Sequence[Value], scale: float) -> int:
    """The median of what the numbers deserve, or one more where a narrower interval would print as zero."""
    if not values:
        return 0
    leading = [value for value in values if value.half_width] or [value for value in values if not value.is_whole]
    wanted = sorted(decimals_of(value, scale=scale) for value in leading)
    if not wanted:
        return 0
    usual = wanted[(len(wanted) - 1) // 2]
    halves = [value.half_width * scale for value in values if value.half_width]
    prints_zero = any(not float(rounded(half, usual)) for half in halves)
    return min(MAX_DECIMALS, usual + prints_zero)


def text_of(cell: Cell, escape: Escape, reasons: Sequence[str]) -> Tex:
    """A cell that holds no number; n/a bears the letter of its reason among `reasons`."""
    if cell is None:
        return Tex("---")
    if isinstance(cell, NotAvailable):
        return Tex(f"n/a{reason_mark(reasons.index(cell.reason))}")
    assert not isinstance(cell, Value), "numbers are printed by their column"
    return as_tex(cell.text if isinstance(cell, Text) else cell, escape)


def number_in_tex(written: str) -> Tex:
    """A number's plain text for a table, whose minus stands in math mode."""
    return number_tex(written, minus="$-$", plus_minus=r"$\pm$")


def padding(widest: str, text: str) -> str:
    """An invisible copy of what `widest` has in front of where `text` begins; nothing beside powers of ten."""
    missing = widest[: len(widest) - len(text)]
    is_power = "^" in widest  # cut anywhere, it would be half a formula
    return command("phantom", number_in_tex(missing)) if missing and not is_power else ""


def around_point(column: Sequence[str], text: str) -> tuple[str, str]:
    """Invisible copies of what stands before and behind a number, so that the decimal points of a column align."""
    whole, point, decimals = text.partition(".")
    widest = max((one.partition(".")[0] for one in column), key=len)
    most = max((one.partition(".")[2] for one in column), key=len)
    missing = ("." if most and not point else "") + most[len(decimals) :]
    return padding(widest, whole), command("phantom", missing) if missing else ""


def ems(text: str) -> float:
    """The width of a text in em, estimated from average widths of letters in Times; of typewriter, known."""
    if typewriter := re.fullmatch(r"\\texttt\{(.*)\}", text):
        return 0.54 * len(re.sub(r"\\[A-Za-z]+\{\}|\\(.)", "x", typewriter[1]))
    wide = sum(0.95 if ord(char) > 0x2E80 else 0.68 if char.isupper() or char in "mw%" else 0.44 for char in text)
    return wide if not text.startswith("\\") else 0.6 * wide


def reason_mark(index: int) -> Tex:
    """The raised letter of the reason of that number."""
    return command("textsuperscript", chr(ord("a") + index))
