"""How a declared metric is found in lines of a program's output, and which of its values is reported."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from papergen.core.errors import PapergenError
from papergen.experiment.external.metrics import ExternalSettings, MetricSource, numbers_of, read
from papergen.experiment.external.readers.lines import Cell, Line

LINES = [
    {"step": 10, "loss": 3.0},
    {"step": 20, "loss": 1.0},
    {"step": 30, "loss": math.nan},
    {"step": 40, "loss": 2.0},
]


@pytest.mark.parametrize(
    ("how", "value"),
    [
        ({}, 2.0),
        ({"take": "first"}, 3.0),
        ({"take": "min"}, 1.0),
        ({"take": "max"}, 3.0),
        ({"take": "best", "direction": "lower"}, 1.0),
        ({"take": "best", "direction": "higher"}, 3.0),
        ({"take": "last", "scale": 100.0}, 200.0),
    ],
)
def test_which_value_of_a_series_is_reported(how: dict[str, Any], value: float) -> None:
    reading = read(MetricSource(**how), "loss", LINES, step="step", where="f")
    assert reading.value == value
    assert [at for at, _ in reading.series] == [10, 20, 30, 40]
    assert not reading.units


def test_values_per_example_are_units_and_their_mean_is_reported() -> None:
    reading = read(
        MetricSource(key="ok", over="items"), "accuracy", [{"ok": True}, {"ok": False}], step="step", where="f"
    )
    assert (reading.value, list(reading.units), list(reading.series)) == (0.5, [1.0, 0.0], [])


def test_a_list_in_one_line_is_a_series_and_a_single_number_none() -> None:
    assert list(read(MetricSource(), "a", [{"a": [5, 6]}], step="step", where="f").series) == [(0.0, 5.0), (1.0, 6.0)]
    assert not read(MetricSource(), "a", [{"a": 5}], step="step", where="f").series


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"los": 1.0}, "f: has no 'loss' for the metric 'loss'. Did you mean los?"),
        ({"loss": "high"}, "f: loss = 'high': not a number."),
        ({"loss": []}, "f: loss is an empty list."),
        ({"loss": "0.5"}, "f: loss = '0.5': not a number."),
        (
            Line({"loss": Cell("0,5")}, "f:7"),
            "f:7: loss = '0,5': not a number. Write 0.5: the decimal sign is a point.",
        ),
        (Line({"loss": None}, "f:7"), "f:7: loss has no value (1 of 1 lines). Give it one, or leave such lines out: "),
        (Line({"loss": Cell("NaN")}, "f:7"), "f:7: loss = 'NaN', which is no number (1 of 1 lines)."),
    ],
)
def test_what_is_missing_or_no_number_is_named(line: dict[str, Any], message: str) -> None:
    with pytest.raises(PapergenError) as caught:
        read(MetricSource(), "loss", [line], step="step", where="f")
    assert message in str(caught.value)


def test_lines_without_a_value_are_an_error_or_left_out_and_counted() -> None:
    cells = [Cell("1"), None, Cell("nan"), Cell("0")]
    lines = [Line({"ok": cell}, f"f:{at}") for at, cell in enumerate(cells, start=2)]
    with pytest.raises(PapergenError, match=r"f:3: ok has no value \(2 of 4 lines\).*`m: \{missing: drop\}`"):
        read(MetricSource(key="ok", over="items"), "m", lines, step="step", where="f")
    reading = read(MetricSource(key="ok", over="items", missing="drop"), "m", lines, step="step", where="f")
    assert (reading.value, list(reading.units), reading.num_dropped) == (0.5, [1.0, 0.0], 2)
    with pytest.raises(PapergenError, match=r"f: none of 1 lines has a value in 'ok'"):
        read(MetricSource(key="ok", missing="drop"), "m", lines[1:2], step="step", where="f")


def test_a_metric_logged_at_some_steps_only_lacks_nothing_but_an_example_without_it_does() -> None:
    lines = [{"step": 1, "loss": 2.0}, {"step": 1, "acc": 0.5}, {"step": 2, "loss": 1.0}]
    assert read(MetricSource(), "loss", lines, step="step", where="f").series == [(1, 2.0), (2, 1.0)]
    with pytest.raises(PapergenError, match=r"f: loss has no value \(1 of 3 lines\)"):
        read(MetricSource(over="items"), "loss", lines, step="step", where="f")


def test_a_value_without_a_step_among_others_that_have_one_is_named() -> None:
    lines = [{"step": 1, "loss": 2.0}, {"loss": 1.0}]
    with pytest.raises(PapergenError, match="f: has loss but no step, which other lines have"):
        read(MetricSource(), "loss", lines, step="step", where="f")


def test_short_forms_of_metrics() -> None:
    assert ExternalSettings.model_validate({"metrics": ["a", "b"]}).declared()[1].name == "b"
    metrics = ExternalSettings.model_validate({"metrics": {"a": "val.a", "b": {"label": "B"}}}).metrics
    assert (metrics["a"].key, metrics["b"].declaration("b").label) == ("val.a", "B")
    with pytest.raises(ValidationError, match="take: best needs direction"):
        ExternalSettings.model_validate({"metrics": {"a": {"take": "best"}}})
    with pytest.raises(ValidationError, match="the metric name"):
        ExternalSettings.model_validate({"metrics": ["a b"]})


def test_truth_values_and_texts_are_no_numbers() -> None:
    assert numbers_of({"a": 1, "b": True, "c": "x", "d": 0.5, "e": None}) == {"a": 1, "d": 0.5}
