"""Task heads in a paper: one table of all heads, their loss curves, the method in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from papergen.core.phrase import Phrase
from papergen.experiment.api import From
from papergen.latex.text import Tex
from papergen.ml.tasks.describing import heads_method
from papergen.report.figures.figure import Figure, Series
from papergen.report.parts import View
from papergen.report.tables.table import Column, Table, table_of

SEEDS_FOR_BANDS = 3
"""Over two seeds Student's t makes intervals so wide (12.7 standard errors) that they hide the curves."""


def heads(view: View) -> Table:
    """Every row with its head, its data and the measures that its task has."""
    reported = {name for row in view.rows for name in view.finished(row)[0].outcome.metrics}
    wanted = ("accuracy", "macro_f1", "exact_match", "span_f1", "entity_f1", "perplexity", "baseline")
    table = table_of(
        view.results,
        "heads",
        view.experiment,
        [name for name in wanted if name in reported],
        corner=Phrase("Task", "任务"),
        varies={"data"},
        marks_best=False,
    )
    columns = (
        Column(name="head", heading=Phrase("Head", "任务头"), align="l"),
        Column(name="examples", heading=Phrase("Train / test", "训练 / 测试")),
        *(replace(column, direction="none") for column in table.columns),
    )
    rows = []
    for row in table.rows:
        facts = view.finished(row.name)[0].outcome.facts
        sizes = f"{facts['num_train_examples']} / {facts['num_test_examples']}"
        rows.append(replace(row, cells=(str(facts["head"]), sizes, *row.cells)))
    return replace(table, columns=columns, rows=tuple(rows))


def curves(view: View) -> tuple[Figure, ...]:
    """Training loss over the share of the steps, so that rows of different length stand side by side."""
    series = []
    for row in view.rows:
        if "train_loss" not in view.finished(row)[0].outcome.series:
            continue
        band = view.series(row, "train_loss")
        has_intervals = len(view.finished(row)) >= SEEDS_FOR_BANDS
        last = band.steps[-1]
        series.append(
            Series(
                label=view.label(row),
                x=[100 * step / last for step in band.steps],
                y=band.mean,
                low=band.low if has_intervals else None,
                high=band.high if has_intervals else None,
            )
        )
    if not series:
        return ()
    return (
        Figure(
            name="loss",
            kind="band",
            series=tuple(series),
            x_label=Phrase("Training completed (%)", "训练进度 (%)"),
            y_label=Phrase("Training loss (nats)", "训练损失 (奈特)"),
            y_scale="log",
        ),
    )


def method(view: View) -> Tex:
    """The set-up in words, from the recorded parameters."""
    rows: list[Any] = [view.params(row) for row in view.rows]
    given = next((params.model for params in rows if isinstance(params.model, From)), None)
    upstream: Any = None if given is None else _upstream(view, given)
    return Tex(view.said(heads_method(rows, upstream=upstream, escape=view.escape)))


def _upstream(view: View, model: From) -> Any:
    """The parameters of the trial that a row's model comes from; None when it is of another kind."""
    found = (
        trial for trial in view.results.trials if trial.experiment == model.source and model.row in {None, trial.row}
    )
    trial = next(found, None)
    return None if trial is None or trial.kind != "tasks" else view.kind.params_of(trial.params)
