"""What may stand in a cell of a table besides a number, and how it is printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from papergen.latex.text import Escape, Tex, as_tex
from papergen.report.formats import number_tex
from papergen.report.values import Text, Value


@dataclass(frozen=True)
class NotAvailable:
    """n/a: the row cannot run on the device that was tried; `reason` says why, in a sentence."""

    reason: str

    def __str__(self) -> str:
        return "n/a"


Cell = Value | Text | NotAvailable | str | Tex | None
"""A number, a text, n/a with its reason, or None where the metric does not exist for the row."""


def text_of(cell: Cell, escape: Escape, reasons: Sequence[str]) -> str:
    """A cell that holds no number; n/a bears the letter of its reason among `reasons`."""
    if cell is None:
        return "---"
    if isinstance(cell, NotAvailable):
        return f"n/a{_mark(reasons.index(cell.reason))}"
    if isinstance(cell, Tex):
        return str(cell)
    return as_tex(cell.text if isinstance(cell, Text) else str(cell), escape)


def footnoted(tabular: str, notes: Sequence[str]) -> str:
    """The tabular with lettered notes below it, in lines as long as it is wide."""
    if not notes:
        return tabular
    lines = "\\par ".join(f"{_mark(index)}\\,{note}" for index, note in enumerate(notes))
    return (
        f"\\sbox0{{{tabular}}}%\n"
        "\\begin{tabular}{@{}l@{}}\n"
        "\\usebox0\\\\[2pt]\n"
        f"\\parbox{{\\wd0}}{{\\scriptsize\\raggedright {lines}}}\n"
        "\\end{tabular}"
    )


def number_in_tex(written: str) -> str:
    """A number's plain text for a table, whose minus stands in math mode."""
    return number_tex(written, minus="$-$", plus_minus=r"$\pm$")


def padding(widest: str, text: str) -> str:
    """An invisible copy of what `widest` has in front of where `text` begins; nothing beside powers of ten."""
    missing = widest[: len(widest) - len(text)]
    is_power = "^" in widest  # cut anywhere, it would be half a formula
    return rf"\phantom{{{number_in_tex(missing)}}}" if missing and not is_power else ""


def around_point(column: Sequence[str], text: str) -> tuple[str, str]:
    """Invisible copies of what stands before and behind a number, so that the decimal points of a column align."""
    whole, point, decimals = text.partition(".")
    widest = max((one.partition(".")[0] for one in column), key=len)
    most = max((one.partition(".")[2] for one in column), key=len)
    missing = ("." if most and not point else "") + most[len(decimals) :]
    return padding(widest, whole), rf"\phantom{{{missing}}}" if missing else ""


def ems(text: str) -> float:
    """The width of a text in em, estimated from average widths of letters in Times; of typewriter, known."""
    if typewriter := re.fullmatch(r"\\texttt\{(.*)\}", text):
        return 0.54 * len(re.sub(r"\\[A-Za-z]+\{\}|\\(.)", "x", typewriter[1]))
    wide = sum(0.95 if ord(char) > 0x2E80 else 0.68 if char.isupper() or char in "mw%" else 0.44 for char in text)
    return wide if not text.startswith("\\") else 0.6 * wide


def _mark(index: int) -> str:
    return rf"\textsuperscript{{{chr(ord('a') + index)}}}"
