"""Task heads on one backbone: fine-tune transformers' heads and evaluate them by the measures of the field.

A row is one task. The embedded data are made from Python's language reference and standard library, with labels that
nobody had to annotate; any CSV, JSONL or datasets folder takes their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from papergen import Context, From, Metric
from papergen.ml.tasks.settings import TaskSettings, data_digests, model_source

if TYPE_CHECKING:
    from papergen.report.figures.figure import Figure
    from papergen.report.parts import Part, View
    from papergen.report.tables.table import Table

LABEL = "Task heads"

METRICS = (
    Metric(name="accuracy", label="Accuracy", unit="%", direction="higher", over="examples"),
    Metric(name="macro_f1", label="Macro-F1", unit="%", direction="higher", over="examples"),
    Metric(name="exact_match", label="EM", unit="%", direction="higher", over="examples"),
    Metric(name="span_f1", label="F1", unit="%", direction="higher", over="examples"),
    Metric(name="entity_precision", label="Precision", unit="%", direction="higher", over="examples"),
    Metric(name="entity_recall", label="Recall", unit="%", direction="higher", over="examples"),
    Metric(name="entity_f1", label="Entity F1", unit="%", direction="higher", over="examples"),
    Metric(name="token_accuracy", label="Token acc.", unit="%", direction="higher", over="examples"),
    Metric(name="perplexity", label="Perplexity", direction="lower", over="examples"),
    Metric(name="loss", label="Test loss", unit="nats", direction="lower", over="examples"),
    Metric(name="baseline", label="Baseline", unit="%", over="examples"),
    Metric(name="train_loss", label="Train loss", unit="nats", direction="lower"),
    Metric(name="num_parameters", label="Parameters"),
    Metric(name="num_steps", label="Steps"),
    Metric(name="step_time_ms", label="Step", unit="ms", direction="lower"),
    Metric(name="examples_per_s", label="Speed", unit="examples/s", direction="higher"),
)

HEADLINE = {
    "feature_extraction": "accuracy",
    "causal_lm": "perplexity",
    "masked_lm": "perplexity",
    "multiple_choice": "accuracy",
    "question_answering": "span_f1",
    "sequence_classification": "accuracy",
    "token_classification": "entity_f1",
}
"""The measure by which each task is known."""


SEEDS_FOR_BANDS = 3
"""Over two seeds Student's t makes intervals so wide (12.7 standard errors) that they hide the curves."""


class Params(TaskSettings):
    """Parameters of one row."""


def num_ranks(params: Params) -> int:
    """One process per rank."""
    return params.world_size


def data(params: Params, project: Path) -> Mapping[str, str]:
    """The examples, and the model folder when a backbone is named by path."""
    return data_digests(params, project)


def is_seeded(params: Params) -> bool:
    """Features of a given backbone draw no random numbers."""
    return params.is_trained or params.model is None


def run(params: Params, ctx: Context) -> Mapping[str, float]:
    """Fine-tune and evaluate on this rank; rank 0 saves `model/`, which a pipeline or another row can take."""
    from papergen.ml.tasks.task_trial import run_task

    done = run_task(
        params,
        source=model_source(params.model, ctx.upstream.get("model"), ctx.project),
        seed=ctx.seed,
        rank=ctx.rank,
        world_size=ctx.world_size,
        local_rank=ctx.local_rank,
        device=ctx.device,
        folder=ctx.folder,
        project=ctx.project,
        log=lambda step, values: ctx.log(step, **values),
        progress=lambda done, total, values: ctx.step(done, total, **values),
    )
    for name, values in done.units.items():
        ctx.units(name, values)
    for name, value in done.facts.items():
        ctx.fact(name, value)
    for sample in done.samples:
        ctx.sample(**sample)
    return done.metrics


def report(view: View) -> Part:
    """One table of all heads, their loss curves, the settings and the method in words."""
    from papergen.report.appendix import hyperparameter_table
    from papergen.report.parts import Part

    return Part(
        tables=(heads(view), hyperparameter_table({row: view.params(row) for row in view.rows})),
        figures=curves(view),
        texts={"method": method(view)},
    )


def heads(view: View) -> Table:
    """Every row with its head, its data and the measures that its task has."""
    import dataclasses

    from papergen.report.tables.table import Column, table_of

    reported = {name for row in view.rows for name in view.finished(row)[0].outcome.metrics}
    wanted = ("accuracy", "macro_f1", "exact_match", "span_f1", "entity_f1", "perplexity", "baseline")
    table = table_of(
        view.results,
        "heads",
        view.experiment,
        [name for name in wanted if name in reported],
        labels=row_label,
        corner="Task",
        varies={"data"},
        marks_best=False,
    )
    columns = (
        Column(name="head", heading="Head", align="l"),
        Column(name="examples", heading="Train / test"),
        *(dataclasses.replace(column, direction="none") for column in table.columns),
    )
    rows = []
    for row in table.rows:
        facts = view.finished(row.name)[0].outcome.facts
        sizes = f"{facts['num_train_examples']} / {facts['num_test_examples']}"
        rows.append(dataclasses.replace(row, cells=(str(facts["head"]), sizes, *row.cells)))
    return dataclasses.replace(table, columns=columns, rows=tuple(rows))


def curves(view: View) -> tuple[Figure, ...]:
    """Training loss over the share of the steps, so that rows of different length stand side by side."""
    from papergen.report.figures.figure import Figure, Series

    series = []
    for row in view.rows:
        if "train_loss" not in view.finished(row)[0].outcome.series:
            continue
        band = view.series(row, "train_loss")
        has_intervals = len(view.finished(row)) >= SEEDS_FOR_BANDS
        last = band.steps[-1]
        series.append(
            Series(
                label=row_label(row),
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
            x_label="Training completed (%)",
            y_label="Training loss (nats)",
            y_scale="log",
        ),
    )


def row_label(row: str) -> str:
    """What a row is called in tables and figures."""
    from papergen.report.tables import table as tables

    return tables.row_label(row)


def method(view: View) -> Any:
    """The set-up in words, from the recorded parameters."""
    from papergen.latex.text import Tex
    from papergen.ml.tasks.describing import heads_method

    rows: list[Any] = [view.params(row) for row in view.rows]
    given = next((params.model for params in rows if isinstance(params.model, From)), None)
    upstream: Any = None if given is None else _upstream(view, given)
    return Tex(heads_method(rows, upstream=upstream, language=view.language, escape=view.escape))


def _upstream(view: View, model: From) -> Any:
    """The parameters of the trial that a row's model comes from; None when it is of another kind."""
    found = (
        trial for trial in view.results.trials if trial.experiment == model.source and model.row in {None, trial.row}
    )
    trial = next(found, None)
    return None if trial is None or trial.kind != "tasks" else view.kind.params_of(trial.params)
