"""A metric over steps: one value for each, also where a run was resumed and logged some steps a second time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

from papergen.core.errors import PapergenError

Point = tuple[float, float]
"""A step and the value there."""

StepRule = Literal["error", "last", "first"]
"""What holds where a series goes back to a step that it had passed: the later part, the earlier one, or neither."""


def one_per_step(
    points: Sequence[Point], rule: StepRule, *, metric: str, key: str, places: Sequence[str], apart: str = ""
) -> list[Point]:
    """The points in the order of their steps; PapergenError where the rule is "error" and it decides the numbers.

    `places` says where each point stands, `apart` what to do when the points are those of several runs.
    """
    steps = [step for step, _ in points]
    if all(before > after for before, after in itertools.pairwise(steps)):
        return list(reversed(points))  # a table whose newest line stands first
    last = _later_part(points)
    first = _earlier_part(points)
    if rule == "first" or last == first:
        return first
    if rule == "last":
        return last
    at = next(i for i in range(1, len(steps)) if steps[i] <= max(steps[:i]))
    told = (
        f"has step {steps[at]:g} a second time (the first: {places[steps.index(steps[at])]})"
        if steps[at] in steps[:at]
        else f"goes back from step {steps[at - 1]:g} to {steps[at]:g}"
    )
    raise PapergenError(
        f"{places[at]}: {key} {told}. If a run was resumed, write under metrics: `{metric}: {{steps: last}}` "
        f"(where it logged steps again, the later values hold) or `{{steps: first}}`. {apart}".rstrip()
    )


def _later_part(points: Sequence[Point]) -> list[Point]:
    """A run that was resumed at a step made all that stood from this step on void."""
    kept: list[Point] = []
    for point in points:
        while kept and kept[-1][0] >= point[0]:
            kept.pop()
        kept.append(point)
    return kept


def _earlier_part(points: Sequence[Point]) -> list[Point]:
    kept: list[Point] = []
    for point in points:
        if not kept or point[0] > kept[-1][0]:
            kept.append(point)
    return kept
