"""A number as characters, the one way for prose, tables, figures' labels and the terminal.

Rounding is half-even on the digits that Python prints for the number, so 0.125 -> 0.12 and 2.675 -> 2.68; never "-0.0".
What is written has a true minus sign, and thin spaces between thousands from five digits on.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_EVEN, Context, Decimal

MINUS, PLUS_MINUS, THIN, TIMES = "\N{MINUS SIGN}", "\N{PLUS-MINUS SIGN}", "\N{THIN SPACE}", "\N{MULTIPLICATION SIGN}"

EXACT = 2.0**53
"""From here on a float is no exact count any more: it is written with a power of ten, not with digits nobody knows."""

_EVERY_FLOAT = Context(prec=800)
"""Decimal's usual 28 digits refuse to round 1e28 to a whole number; a float has at most 309 before the point."""


def rounded(number: float, decimals: int) -> str:
    """`number` in digits with that many decimals (negative: tens, hundreds), ASCII minus, no separators."""
    exact = Decimal(repr(float(number)))
    step = Decimal(1).scaleb(-decimals)
    text = format(exact.quantize(step, rounding=ROUND_HALF_EVEN, context=_EVERY_FLOAT), "f")
    return text.removeprefix("-") if not text.strip("-0.") else text


def significant(number: float, count: int) -> str:
    """`number` with that many significant digits, none in front of the point dropped: 51207 by three is 51200."""
    if not number:
        return "0"
    as_rounded = Decimal(f"{Decimal(repr(float(number))):.{count - 1}e}")  # 0.0996 by two is 0.10, not 0.100
    return rounded(number, count - 1 - as_rounded.adjusted())


def grouped(digits: str) -> str:
    """Digits with a true minus sign, and thin spaces between thousands from five digits on."""
    sign, digits = (MINUS, digits[1:]) if digits.startswith("-") else ("", digits)
    whole, point, fraction = digits.partition(".")
    if len(whole) > 4:
        whole = re.sub(r"(?<=\d)(?=(\d{3})+$)", THIN, whole)
    return f"{sign}{whole}{point}{fraction}"


def scientific(number: float, count: int = 2, *, keeps_zeros: bool = True) -> str:
    """`number` with that many significant digits and a power of ten; zero as 0."""
    if not number:
        return "0"
    digits, _, power = f"{Decimal(repr(float(number))):.{count - 1}e}".partition("e")
    if not keeps_zeros and "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return f"{grouped(digits)}{TIMES}10^{grouped(str(int(power)))}"


def short(number: float, count: int = 4, *, is_signed: bool = False) -> str:
    """A number for the terminal: whole from a thousand on, else that many significant digits without idle zeros.

    With `is_signed`, a positive one has its plus.
    """
    if not number:
        return "0"
    plus = "+" if is_signed and number > 0 else ""
    if not math.isfinite(number):
        return f"{plus}{number}"
    if not 1e-4 <= abs(number) < EXACT:
        return plus + scientific(number, count, keeps_zeros=False)
    text = rounded(number, 0) if abs(number) >= 10 ** (count - 1) else significant(number, count)
    return plus + grouped(text.rstrip("0").rstrip(".") if "." in text else text)


def number_of(written: str) -> float:
    """The number that this module wrote: rounded as it is printed."""
    return float(written.replace(f"{TIMES}10^", "e").replace(MINUS, "-").replace(THIN, ""))
