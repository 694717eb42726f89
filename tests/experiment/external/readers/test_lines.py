"""Cells are numbers only where one is asked for; a tracker's run loses no value that it logged."""

from __future__ import annotations

from typing import Any

import pytest

from papergen.experiment.external.readers.lines import Cell, RunSteps, run_lines, typed


@pytest.mark.parametrize(
    ("cell", "value"), [("1", 1), ("1.10", 1.1), ("12e5", 12e5), ("TRUE", True), ("1_0", "1_0"), ("1,5", "1,5")]
)
def test_a_cell_is_the_number_that_it_says(cell: str, value: Any) -> None:
    assert typed(Cell(cell)) == value
    assert typed(cell) == cell, "a text of JSON is no number"


def logged(*values: tuple[float, str, Any]) -> RunSteps:
    steps = RunSteps()
    for value in values:
        steps.add(*value)
    return steps


def test_a_run_is_one_line_per_step_or_one_of_its_facts() -> None:
    assert run_lines("r", {"params.lr": 1}, logged((1.0, "a", 0), (2.0, "b", 1), (2.0, "a", 5))) == [
        {"run": "r", "step": 1.0, "params.lr": 1, "a": 0},
        {"run": "r", "step": 2.0, "params.lr": 1, "b": 1, "a": 5},
    ]
    assert run_lines("r", {"params.lr": 1}, RunSteps()) == [{"run": "r", "params.lr": 1}]
    assert run_lines("r", {}, RunSteps()) == []


def test_a_metric_that_comes_twice_at_a_step_is_kept_twice_and_in_order() -> None:
    steps = logged((1, "a", 0), (2, "a", 1), (1, "a", 2), (1, "b", 3), (2, "b", 4))
    for key, wanted in {"a": [(1, 0), (2, 1), (1, 2)], "b": [(1, 3), (2, 4)]}.items():
        assert [(step, found[key]) for step, found in steps.lines if key in found] == wanted
