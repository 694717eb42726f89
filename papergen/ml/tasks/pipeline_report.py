"""Pipelines in a paper: time of the stages, what batches cost, one example on its way, the method in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from papergen.core.phrase import Phrase
from papergen.core.widths import excerpt
from papergen.latex.text import Tex
from papergen.ml.tasks.describing import pipelines_method
from papergen.ml.tasks.words import STAGES
from papergen.report.figures.figure import Figure, Series
from papergen.report.parts import View
from papergen.report.tables.table import Table, table_of

STEPS = {
    "tokenize": Phrase("tokenizer", "分词器"),
    "forward": Phrase("model", "模型"),
    "postprocess": Phrase("post-processing", "后处理"),
}
"""The stages in legends, and on the arrows of the example."""


def stages_table(view: View) -> Table:
    """Milliseconds per input of every stage, and the same inputs one by one through transformers."""
    names = [*(f"{stage}_ms" for stage in STAGES), "total_ms", "one_by_one_ms", "speedup", "largest_difference"]
    return _table(view, "stages", names)


def batches_table(view: View) -> Table:
    """What batches cost: how many there are, their padding, and the memory of every stage where it is known."""
    table = _table(view, "batches", ["num_batches", "padding", *(f"{stage}_mib" for stage in STAGES)])
    # Short headings: the caption says that these are memory in MiB.
    short = {f"{stage}_mib": name for stage, name in STAGES.items()}
    columns = [
        replace(column, heading=short[column.name], unit="") if column.name in short else column
        for column in table.columns
    ]
    return replace(table, columns=tuple(columns))


def time_by_stage(view: View) -> Figure:
    """Where the time of an input goes."""
    series = []
    for stage, label in STEPS.items():
        values = [view.value(row, f"{stage}_ms") for row in view.rows]
        series.append(
            Series(
                label=label,
                x=[view.label(row) for row in view.rows],
                y=[value.mean for value in values],
                digests=[digest for value in values for digest in value.digests],
            )
        )
    return Figure(
        name="stages",
        kind="bar",
        series=tuple(series),
        x_label="",
        y_label=Phrase("Time per input (ms)", "每个输入的时间 (ms)"),
        y_scale="log",
    )


def probabilities(view: View) -> tuple[Figure, ...]:
    """The last two stages of one example: logits, and what the softmax makes of them."""
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
                    label=Phrase("probability", "概率"),
                    x=names,
                    y=[facts["example_probabilities"][i] for i in order],
                    digests=digests,
                ),
            ),
            x_label="",
            y_label=Phrase("Logit and probability", "logit 与概率"),
        ),
    )


def travel(view: View) -> Tex | None:
    """The stages of one example as boxes below each other, for a figure environment."""
    row = _example_row(view)
    if row is None:
        return None
    facts = view.finished(row)[0].outcome.facts
    tokens, ids = facts["example_tokens"], facts["example_ids"]
    best = max(range(len(facts["example_logits"])), key=lambda i: facts["example_logits"][i])
    more = r" \dots" if len(tokens) > 10 else ""
    boxes = [
        (Phrase("text", "文本"), view.escape(excerpt(facts["example_text"], 110))),
        (Phrase("tokens", "词元"), r"\ \ ".join(rf"\texttt{{{view.escape(token)}}}" for token in tokens[:10]) + more),
        (Phrase("ids", "编号"), ", ".join(map(str, ids[:10])) + more),
        ("logits", ", ".join(f"${logit:.2f}$" for logit in facts["example_logits"])),
        (Phrase("probabilities", "概率"), ", ".join(f"${p:.3f}$" for p in facts["example_probabilities"])),
        (Phrase("label", "类别"), rf"\textbf{{{view.escape(facts['example_labels'][best])}}}"),
    ]
    arrows = [STEPS["tokenize"], Phrase("vocabulary", "词表"), STEPS["forward"], "softmax", Phrase("largest", "取最大")]
    colon = view.said(Phrase(": ", "："))
    lines = [r"{\small\setlength{\fboxsep}{3pt}\centering"]
    for arrow, (name, content) in zip([None, *arrows], boxes, strict=True):
        if arrow is not None:
            stage = view.said(arrow)
            lines.append(rf"\par\vspace{{1pt}}$\downarrow$~{{\footnotesize\emph{{{stage}}}}}\par\vspace{{1pt}}")
        lines.append(rf"\fbox{{\parbox{{.92\linewidth}}{{\raggedright\emph{{{view.said(name)}}}{colon}{content}}}}}")
    return Tex("\n".join(lines) + "\\par}\n")


def method(view: View) -> Tex:
    """The set-up in words."""
    rows: list[Any] = [view.params(row) for row in view.rows]
    return Tex(view.said(pipelines_method(rows, escape=view.escape)))


def _example_row(view: View) -> str | None:
    return next((row for row in view.rows if "example_logits" in view.finished(row)[0].outcome.facts), None)


def _table(view: View, name: str, metrics: list[str]) -> Table:
    """Means of the metrics that some row has; rows differ in what they do, so that none is marked as the best."""
    reported = {metric for row in view.rows for metric in view.finished(row)[0].outcome.metrics}
    table = table_of(
        view.results, name, view.experiment, [metric for metric in metrics if metric in reported],
        corner=Phrase("Pipeline", "流水线"), show="mean", varies={"data"}, marks_best=False,
    )  # fmt: skip
    return replace(table, columns=tuple(replace(column, direction="none") for column in table.columns))
