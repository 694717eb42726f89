"""Operands of claims: what a part of an expression stands for, and arithmetic on it.

A value keeps its interval through arithmetic with a number and with another value, where that has a meaning.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from papergen.core.errors import PapergenError
from papergen.core.numbers import short
from papergen.report import derived
from papergen.report.formats import plain
from papergen.report.results import row_label
from papergen.report.values import Text, Value


class Share(float):
    """A number written in per cent: `5%` is the share 0.05."""


Found = Value | Text | float | bool | list[Any]


def of_two_values(sign: str, a: Value, b: Value) -> Value:
    """Arithmetic on two values; a product has no interval."""
    if sign in {"+", "-"}:
        return derived.total(a, b) if sign == "+" else derived.difference(a, b)
    if sign == "/":
        return derived.ratio(a, b)
    digests = tuple(dict.fromkeys((*a.digests, *b.digests)))
    return Value(key=f"{a.key} * {b.key}", mean=a.mean * b.mean, digests=digests)


def with_number(sign: str, value: Value, number: float) -> Value:
    """A value and a plain number: its interval goes with it."""
    if sign in {"+", "-"}:
        return value.shifted(number if sign == "+" else -number)
    if sign == "/" and number == 0:
        raise PapergenError("nothing can be divided by zero.")
    return value.scaled(number if sign == "*" else 1 / number)


def of_numbers(sign: str, left: Found, right: Found) -> float:
    """Arithmetic on written numbers and on a number over a value (which has no interval)."""
    a, b = number_of(left), number_of(right)
    if sign == "/" and b == 0:
        raise PapergenError("nothing can be divided by zero.")
    are_shares = isinstance(left, Share), isinstance(right, Share)
    if sign in {"+", "-"} and are_shares in {(True, False), (False, True)}:
        raise PapergenError("a number in per cent and one without cannot be added: write both alike.")
    signs = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
    found = float(signs[sign](a, b))
    stays_share = all(are_shares) if sign in {"+", "-"} else any(are_shares) and are_shares != (True, True)
    return Share(found) if stays_share and not isinstance(right, Value) else found


def beside(found: Found, other: Found) -> float:
    """The number of `found` as it is compared with `other`: `5%` is 5 beside a value that counts in per cent."""
    in_percent = isinstance(found, Share) and isinstance(other, Value) and other.is_percent
    return number_of(found) * (100 if in_percent else 1)


def row_name(row: str, value: Value) -> Text:
    """The name of the row that a value stands in, with the digests behind the choice."""
    return Text(key=value.key, text=row, digests=value.digests, label=row_label(row))


def number_of(found: Found) -> float:
    """The plain number, of a value its mean; PapergenError when it is neither."""
    if isinstance(found, Value):
        return found.mean
    if isinstance(found, float) and not isinstance(found, bool):
        return found
    raise PapergenError(f"expected a number, found {shown(found)}.")


def value_in(found: Found) -> Value:
    """The operand where a key is expected; PapergenError when it is something else."""
    if isinstance(found, Value):
        return found
    raise PapergenError(f"expected a key such as decoding/nucleus/rep_4, found {shown(found)}.")


def word_of(found: Found) -> str:
    """The operand where a name is expected; PapergenError when it is something else."""
    if isinstance(found, Text):
        return found.text
    raise PapergenError(f"expected a name, found {shown(found)}.")


def items_of(found: Found) -> list[Any]:
    """The operands of a list, or the single one."""
    return found if isinstance(found, list) else [found]


def flattened(items: Sequence[Found]) -> list[Found]:
    """All operands, those within lists too; PapergenError when there is none."""
    flat = [item for part in items for item in items_of(part)]
    if not flat:
        raise PapergenError("expected at least one number.")
    return flat


def shown(found: Found) -> str:
    """The operand as messages and evidence print it."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, list):
        return "a list"
    if isinstance(found, Text):
        return f"the name {found.text!r}" if found.key == found.text else found.text
    if isinstance(found, Value):
        return plain(found, "pm,unit" if found.low is not None else "unit")
    return short(found, 6)
