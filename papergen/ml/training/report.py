"""Training runs in a paper: loss curves, speed over processes, and the rows compared with the first one."""

from __future__ import annotations

from dataclasses import replace

from papergen.core.phrase import Phrase, listed
from papergen.ml.words import AGAINST, BASELINE, DIFFERENCE, ROW
from papergen.report.derived import difference, verdicts
from papergen.report.figures.figure import Figure, Series
from papergen.report.parts import View
from papergen.report.tables.table import Cell, Column, NotAvailable, Table, table_of


def loss(view: View) -> Figure:
    """Training loss over the steps, with the interval over the seeds."""
    curves = []
    for row in view.rows:
        band = view.series(row, "train_loss")
        curves.append(Series(label=view.label(row), x=band.steps, y=band.mean, low=band.low, high=band.high))
    return Figure(
        name="loss",
        kind="band",
        series=tuple(curves),
        x_label=Phrase("Optimiser step", "优化步"),
        y_label=Phrase("Training loss (nats/token)", "训练损失 (奈特/词元)"),
    )


def scaling(view: View) -> Table:
    """Quality and speed of every row, with its processes and threads."""
    return table_of(
        view.results,
        "scaling",
        view.experiment,
        ["validation_loss", "bits_per_character", "tokens_per_s", "step_time_ms"],
        labels=lambda row: listed(filter(None, [view.label(row), _ranks_and_threads(view, row)])),
        corner=Phrase("Processes × threads", "进程数 × 线程数"),
    )


def compared(view: View) -> Table:
    """Final validation loss, its difference from the first row's by seeds, and whether that is more than noise."""
    name = "validation_loss"
    table = table_of(view.results, "compared", view.experiment, [name], corner=ROW, marks_best=False)
    losses = {row: view.value(row, name) for row in view.rows}
    first = view.rows[0]
    words = verdicts(losses, first)

    def more(row: str) -> tuple[Cell, Cell]:
        if row in view.unavailable:
            absent = NotAvailable(view.unavailable[row])
            return absent, absent
        return ("---", BASELINE) if row == first else (difference(losses[row], losses[first]), words[row])

    columns = (
        *table.columns,
        Column(name="difference", heading=DIFFERENCE),
        Column(name="verdict", heading=AGAINST.format(view.label(first)), align="l"),
    )
    rows = tuple(replace(row, cells=(*row.cells, *more(row.name))) for row in table.rows)
    return replace(table, rows=rows, columns=columns)


def _ranks_and_threads(view: View, row: str) -> str:
    """Processes and CPU threads of each, as they were: `2 × 1`; "" for a row that cannot run here."""
    if row in view.unavailable:
        return ""
    provenance = view.finished(row)[0].provenance
    return f"{view.finished(row)[0].trial.num_ranks} × {provenance.num_threads}"
