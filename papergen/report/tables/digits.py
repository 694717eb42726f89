"""How many digits the numbers of a column are printed with: what its intervals deserve, and no false zero."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from papergen.report.formats import MAX_DECIMALS, decimals_of, grouped, number_of, rounded, scientific
from papergen.report.values import Value

if TYPE_CHECKING:
    from papergen.report.tables.table import Column

MAX_PLAIN_DECIMALS = 3
"""Decimals that a column may be given for its smallest number; beyond, all are written as powers of ten."""


def digits(column: Column, numbers: Mapping[int, Value]) -> tuple[dict[int, str], dict[int, str]]:
    """What is printed of each number: mean and half-width by row, all with the column's decimals."""
    if column.show == "n":
        return {at: grouped(str(value.n)) for at, value in numbers.items()}, {}
    scale = 100.0 if column.percent else 1.0
    if column.significant:
        return {at: grouped(significant(value.mean * scale, column.significant)) for at, value in numbers.items()}, {}
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


def significant(number: float, count: int) -> str:
    """`number` with that many significant digits, none in front of the point dropped: 51207 by three is 51200."""
    return rounded(number, count - 1 - math.floor(math.log10(abs(number)))) if number else "0"


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
