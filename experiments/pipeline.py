"""Pipelines taken apart: tokenizer -> model -> post-processing, each stage timed, and compared with transformers' own.

A row is one pipeline on one model. Its results are those of `transformers.pipeline`, checked in every trial; question
answering, which transformers 5 removed, is provided with the former semantics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from papergen import Context, Metric
from papergen.ml.tasks.pipeline_settings import PipelineSettings, pipeline_digests
from papergen.ml.tasks.settings import model_source

if TYPE_CHECKING:
    from papergen.report.figures.figure import Figure
    from papergen.report.parts import Part, View
    from papergen.report.tables.table import Table

LABEL = "Pipelines in three stages"

STAGES = ("tokenize", "forward", "postprocess")

METRICS = (
    *(
        Metric(name=f"{stage}_ms", label=label, unit="ms", direction="lower", over="rounds")
        for stage, label in zip(STAGES, ("Tokenizer", "Model", "Post-processing"), strict=True)
    ),
    Metric(name="total_ms", label="Total", unit="ms", direction="lower", over="rounds"),
    *(
        Metric(name=f"{stage}_mib", label=f"{label} memory", unit="MiB", direction="lower")
        for stage, label in zip(STAGES, ("Tokenizer", "Model", "Post-processing"), strict=True)
    ),
    Metric(name="padding", label="Padding", unit="%", direction="lower"),
    Metric(name="num_batches", label="Batches"),
    Metric(name="one_by_one_ms", label="One by one", unit="ms", direction="lower", over="rounds"),
    Metric(name="speedup", label="Speed-up", direction="higher"),
    Metric(name="largest_difference", label="Difference", direction="lower"),
)


class Params(PipelineSettings):
    """One pipeline, the model it runs, and how its inputs are batched."""


def is_seeded(params: Params) -> bool:
    """Nothing is drawn at random."""
    return False


def data(params: Params, project: Path) -> Mapping[str, str]:
    """The embedded examples, and the model folder when it is named by path."""
    return pipeline_digests(params, project)


def run(params: Params, ctx: Context) -> Mapping[str, float]:
    """Run the stages, compare with transformers' own pipeline, and time both."""
    from papergen.ml.tasks.pipeline_trial import measure_pipeline

    source = model_source(params.model, ctx.upstream.get("model"), ctx.project)
    done = measure_pipeline(params, source, device=ctx.device, progress=ctx.step)
    for name, values in done.rounds.items():
        ctx.units(name, values)
    for sample in done.samples:
        ctx.sample(**sample)
    for name, value in done.example.items():
        ctx.fact(name, value)
    return done.metrics


def report(view: View) -> Part:
    """Time of the stages, the effect of batches and padding, one example on its way, settings and method."""
    from papergen.report.appendix import hyperparameter_table
    from papergen.report.parts import Part

    text = {"method": method(view)}
    example = travel(view)
    return Part(
        tables=(
            stages_table(view),
            batches_table(view),
            hyperparameter_table({row: view.params(row) for row in view.rows}),
        ),
        figures=(time_by_stage(view), *probabilities(view)),
        texts={**text, **({"example": example} if example is not None else {})},
    )


def row_label(row: str) -> str:
    """What a row is called in tables and figures."""
    from papergen.report.tables import table as tables

    return tables.row_label(row)


def stages_table(view: View) -> Table:
    """Milliseconds per input of every stage, and the same inputs one by one through transformers."""
    names = [*(f"{stage}_ms" for stage in STAGES), "total_ms", "one_by_one_ms", "speedup", "largest_difference"]
    return _table(view, "stages", names)


def batches_table(view: View) -> Table:
    """What batches cost: how many there are, their padding, and the memory of every stage where it is known."""
    table = _table(view, "batches", ["num_batches", "padding", *(f"{stage}_mib" for stage in STAGES)])
    # Short headings: the caption says that these are memory in MiB.
    short = dict(zip((f"{stage}_mib" for stage in STAGES), ("Tokenizer", "Model", "Post-processing"), strict=True))
    columns = [
        dataclasses.replace(column, heading=short[column.name], unit="") if column.name in short else column
        for column in table.columns
    ]
    return dataclasses.replace(table, columns=tuple(columns))


def _table(view: View, name: str, metrics: list[str]) -> Table:
    """Means of the metrics that some row has; rows differ in what they do, so that none is marked as the best."""
    from papergen.report.tables.table import table_of

    reported = {metric for row in view.rows for metric in view.finished(row)[0].outcome.metrics}
    table = table_of(
        view.results, name, view.experiment, [metric for metric in metrics if metric in reported],
        labels=row_label, corner="Pipeline", show="mean", varies={"data"}, marks_best=False,
    )  # fmt: skip
    return dataclasses.replace(
        table, columns=tuple(dataclasses.replace(column, direction="none") for column in table.columns)
    )


def time_by_stage(view: View) -> Figure:
    """Where the time of an input goes."""
    from papergen.report.figures.figure import Figure, Series

    series = []
    for stage, label in zip(STAGES, ("tokenizer", "model", "post-processing"), strict=True):
        values = [view.value(row, f"{stage}_ms") for row in view.rows]
        series.append(
            Series(
                label=label,
                x=[row_label(row) for row in view.rows],
                y=[value.mean for value in values],
                digests=[digest for value in values for digest in value.digests],
            )
        )
    return Figure(
        name="stages",
        kind="bar",
        series=tuple(series),
        x_label="",
        y_label="Time per input (ms)",
        y_scale="log",
    )


def _example_row(view: View) -> str | None:
    return next((row for row in view.rows if "example_logits" in view.finished(row)[0].outcome.facts), None)


def probabilities(view: View) -> tuple[Figure, ...]:
    """The last two stages of one example: logits, and what the softmax makes of them."""
    from papergen.report.figures.figure import Figure, Series

    row = _example_row(view)
    if row is None:
        return ()
    result = view.finished(row)[0]
    facts = result.outcome.facts
    digests = (result.trial.digest,)
    order = sorted(range(len(facts["example_labels"])), key=lambda i: -facts["example_logits"][i])
    names = [facts["example_labels"][i] for i in order]
    return (
        Figure(
            name="probabilities",
            kind="bar",
            series=(
                Series(label="logit", x=names, y=[facts["example_logits"][i] for i in order], digests=digests),
                Series(
                    label="probability", x=names, y=[facts["example_probabilities"][i] for i in order], digests=digests
                ),
            ),
            x_label="",
            y_label="Logit and probability",
        ),
    )


TRAVEL_ZH = {
    "text": "文本",
    "tokens": "词元",
    "ids": "编号",
    "probabilities": "概率",
    "label": "类别",
    "tokenizer": "分词器",
    "vocabulary": "词表",
    "model": "模型",
    "largest": "取最大",
}


def travel(view: View) -> Any:
    """The stages of one example as boxes below each other, for a figure environment."""
    from papergen.latex.text import Tex
    from papergen.report.excerpts import excerpt

    row = _example_row(view)
    if row is None:
        return None
    facts = view.finished(row)[0].outcome.facts
    tokens, ids = facts["example_tokens"], facts["example_ids"]
    best = max(range(len(facts["example_logits"])), key=lambda i: facts["example_logits"][i])
    more = r" \dots" if len(tokens) > 10 else ""
    boxes = [
        ("text", view.escape(excerpt(facts["example_text"], 110))),
        ("tokens", r"\ \ ".join(rf"\texttt{{{view.escape(token)}}}" for token in tokens[:10]) + more),
        ("ids", ", ".join(map(str, ids[:10])) + more),
        ("logits", ", ".join(f"${logit:.2f}$" for logit in facts["example_logits"])),
        ("probabilities", ", ".join(f"${p:.3f}$" for p in facts["example_probabilities"])),
        ("label", rf"\textbf{{{view.escape(facts['example_labels'][best])}}}"),
    ]
    arrows = {"tokens": "tokenizer", "ids": "vocabulary", "logits": "model", "probabilities": "softmax"}
    said = TRAVEL_ZH if view.language == "zh" else {}
    colon = "：" if view.language == "zh" else ": "
    lines = [r"{\small\setlength{\fboxsep}{3pt}\centering"]
    for name, content in boxes:
        if name != "text":
            stage = arrows.get(name, "largest")
            stage = said.get(stage, stage)
            lines.append(rf"\par\vspace{{1pt}}$\downarrow$~{{\footnotesize\emph{{{stage}}}}}\par\vspace{{1pt}}")
        lines.append(
            rf"\fbox{{\parbox{{.92\linewidth}}{{\raggedright\emph{{{said.get(name, name)}}}{colon}{content}}}}}"
        )
    return Tex("\n".join(lines) + "\\par}\n")


def method(view: View) -> Any:
    """The set-up in words."""
    from papergen.latex.text import Tex
    from papergen.ml.tasks.describing import pipelines_method

    rows: list[Any] = [view.params(row) for row in view.rows]
    return Tex(pipelines_method(rows, language=view.language, escape=view.escape))
