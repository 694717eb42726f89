"""Against a baseline: ratio or difference with an interval over the rounds, and whether it is more than noise."""

from __future__ import annotations

from collections.abc import Mapping

from papergen.report.derived import compare, is_better
from papergen.report.statistics import LEVEL, holm
from papergen.report.values import Value

WITHIN_NOISE = "within noise"

WORDS = {"is_better": "better", "is_worse": "worse", "noise": WITHIN_NOISE, "single": "one round"}
"""How the verdicts are said; a caller may say "faster" and "slower"."""


def verdicts(values: Mapping[str, Value], baseline: str, words: Mapping[str, str] = WORDS) -> dict[str, str]:
    """Row -> better, worse, or within noise; "" for the baseline, "one round" where nothing can be tested.

    Two-sided t tests, paired where the rows share their seeds (rounds), with Holm's correction over the rows: with a
    dozen rows one in twenty would differ by chance else.
    """
    base = values[baseline]
    found = {row: "" if row == baseline else words["single"] for row in values}
    tested = {
        row: compare(value, base).p for row, value in values.items() if row != baseline and min(value.n, base.n) > 1
    }
    for row, p in zip(tested, holm(list(tested.values())), strict=True):
        if p >= 1 - LEVEL:
            found[row] = words["noise"]
        else:
            found[row] = words["is_better"] if is_better(values[row], base) else words["is_worse"]
    return found
