"""Speed-up is paired by rounds and has an ideal line; a difference that chance may have made is called noise."""

from __future__ import annotations

import pytest

from papergen.ml.training.scaling import lines, scaling_figure, scaling_table
from papergen.report.derived import verdicts
from papergen.report.tables.tabular import tabular_tex
from papergen.report.values import Value, summary

WORDS = {"better": "faster", "worse": "slower"}


def speed(row: str, *rounds: float) -> Value:
    fields = summary(rounds) if len(rounds) > 1 else {"mean": rounds[0], "samples": rounds}
    return Value(
        key=f"t/{row}/tokens_per_s",
        unit="tokens/s",
        direction="higher",
        sample_ids=tuple(range(len(rounds))),
        population="seeds",
        digests=(row,),
        **fields,
    )


ROUNDS = {
    "base": speed("base", 100, 120, 90, 110, 105),
    "same": speed("same", 101, 118, 91, 109, 106),
    "faster": speed("faster", 130, 152, 118, 141, 137),
    "slower": speed("slower", 60, 75, 52, 66, 63),
}


def test_a_cell_below_the_noise_says_so_and_the_baseline_says_nothing() -> None:
    found = verdicts(ROUNDS, "base", **WORDS)
    assert found == {"base": "", "same": "within noise", "faster": "faster", "slower": "slower"}


def test_one_round_proves_nothing() -> None:
    assert verdicts({"a": speed("a", 1.0), "b": speed("b", 9.0)}, "a", **WORDS)["b"] == "one round"


def test_rounds_that_do_not_vary_prove_nothing() -> None:
    found = verdicts({"a": speed("a", 5.0, 7.0), "b": speed("b", 9.0, 11.0), "c": speed("c", 5.0, 7.0)}, "a", **WORDS)
    assert found == {"a": "", "b": "no spread", "c": "no spread"}


def test_many_rows_are_corrected_for() -> None:
    noisy = speed("noisy", 103, 121, 93, 114, 106)  # p is about 0.02 alone
    assert verdicts({"base": ROUNDS["base"], "noisy": noisy}, "base", **WORDS)["noisy"] == "faster"
    many = {"base": ROUNDS["base"], "noisy": noisy} | {f"same{i}": ROUNDS["same"] for i in range(9)}
    assert verdicts(many, "base", **WORDS)["noisy"] == "within noise"


FACETS = {
    "single": (1, 16, {"batch_size": 16, "per_device_batch_size": None}),
    "ddp": (2, 16, {"batch_size": 16, "per_device_batch_size": None}),
    "weak_1": (1, 8, {"per_device_batch_size": 8}),
    "weak_4": (4, 32, {"per_device_batch_size": 8}),
    "fp16": (2, 16, {"batch_size": 16, "per_device_batch_size": None, "comm_hook": "fp16"}),
}
SPEEDS = {
    "single": speed("single", 100, 110, 90),
    "ddp": speed("ddp", 180, 200, 160),
    "weak_1": speed("weak_1", 50, 50, 50),
    "weak_4": speed("weak_4", 150, 160, 140),
    "fp16": speed("fp16", 1, 1, 1),
}


def test_rows_that_differ_in_ranks_alone_form_a_line() -> None:
    strong, weak = lines(FACETS, SPEEDS)
    assert (strong.label, weak.label) == ("strong (16 sequences)", "weak (8 per rank)")
    assert [point.row for point in strong.points] == ["single", "ddp"]
    assert strong.points[1].speed_up.mean == pytest.approx(1.8)
    assert strong.points[1].efficiency.mean == pytest.approx(90)
    low, high = strong.points[1].speed_up.low, strong.points[1].speed_up.high
    assert low is not None
    assert high is not None
    assert high - low < 0.2, "paired by rounds: the machine's drift cancels"
    assert weak.points[1].efficiency.mean == pytest.approx(75)


def test_the_figure_has_intervals_and_the_ideal_line_and_the_table_both_lines() -> None:
    found = lines(FACETS, SPEEDS)
    figure = scaling_figure(found)
    *measured, ideal = figure.series
    assert ideal.is_reference
    assert list(ideal.x) == list(ideal.y) == [1, 2, 4]
    assert all(series.low is not None for series in measured)
    tex = tabular_tex(scaling_table(found, step=dict.fromkeys(FACETS, speed("x", 5.0))))
    assert r"\emph{strong (16 sequences)}" in tex
    assert r"\emph{weak (8 per rank)}" in tex
