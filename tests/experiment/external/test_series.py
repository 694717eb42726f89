"""One value per step, whatever a resumed run logged again."""

from __future__ import annotations

import pytest

from papergen.core.errors import PapergenError
from papergen.experiment.external.series import Point, StepRule, one_per_step

RESUMED = [(0, 5.0), (1, 4.0), (2, 3.0), (3, 2.0), (1, 4.5), (2, 3.5)]
"""Killed after step 3, it went on from a checkpoint at step 1 and was ended early."""


def kept(points: list[Point], rule: StepRule) -> list[Point]:
    places = [f"log:{at}" for at in range(1, len(points) + 1)]
    return one_per_step(points, rule, metric="m", key="loss", places=places, apart="Two runs?")


def test_the_later_part_makes_void_what_stood_from_its_first_step_on() -> None:
    assert kept(RESUMED, "last") == [(0, 5.0), (1, 4.5), (2, 3.5)]
    assert kept(RESUMED, "first") == RESUMED[:4]


def test_it_is_an_error_by_default_that_says_where_and_what_to_type() -> None:
    with pytest.raises(PapergenError) as caught:
        kept(RESUMED, "error")
    told = str(caught.value)
    assert told.startswith("log:5: loss has step 1 a second time (the first: log:2).")
    assert "`m: {steps: last}`" in told
    assert told.endswith("Two runs?")
    with pytest.raises(PapergenError, match=r"log:3: loss goes back from step 4 to 3\."):
        kept([(0, 1.0), (4, 1.0), (3, 1.0), (5, 1.0)], "error")


def test_what_decides_no_number_is_no_error() -> None:
    assert kept([(0, 1.0), (1, 2.0), (1, 2.0), (2, 3.0)], "error") == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert kept([(2, 3.0), (1, 2.0)], "error") == [(1, 2.0), (2, 3.0)], "a table whose newest line stands first"
