"""Train a causal language model with DistributedDataParallel; rows differ in processes, batch or any other parameter.

Model, tokenizer and optimiser state come from one seed; the data order follows it too. What a trial reports is measured
after the last step on text that was never trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from papergen import Context, Metric
from papergen.ml.training.settings import TrainingSettings, data_digests
from papergen.ml.training.settings import unavailable as unavailable

if TYPE_CHECKING:
    from papergen.report.parts import Part, View
    from papergen.report.tables.table import Table

LABEL = "Training with data parallelism"

METRICS = (
    Metric(name="validation_loss", label="Val. loss", direction="lower"),
    Metric(name="perplexity", label="Perplexity", direction="lower"),
    Metric(name="bits_per_character", label="Bits/char.", direction="lower"),
    Metric(name="train_loss", label="Train loss", direction="lower"),
    Metric(name="tokens_per_s", label="Speed", direction="higher", unit="tokens/s"),
    Metric(name="step_time_ms", label="Step", direction="lower", unit="ms"),
    Metric(name="peak_memory_mib", label="Peak memory per rank", direction="lower", unit="MiB"),
)


class Params(TrainingSettings):
    """Parameters of one row."""


def num_ranks(params: Params) -> int:
    """One process per rank."""
    return params.world_size


def takes_all_gpus(params: Params) -> bool:
    """DataParallel is one process that splits its batch over all GPUs."""
    return params.strategy == "dp"


def data(params: Params, project: Path) -> Mapping[str, str]:
    """The corpus, and the model folder when training starts from one."""
    return data_digests(params, project)


def run(params: Params, ctx: Context) -> Mapping[str, float]:
    """Train on this rank; rank 0 saves `model/`, which the decoding experiment takes."""
    from papergen.ml.training.loop import train

    trained = train(
        params,
        seed=ctx.seed,
        rank=ctx.rank,
        world_size=ctx.world_size,
        local_rank=ctx.local_rank,
        device=ctx.device,
        folder=ctx.folder,
        project=ctx.project,
        checkpoints=ctx.scratch / "checkpoints",
        resume=True,
        should_save=ctx.should_save,
        attempt=ctx.attempt,
        may_write=ctx.may_write,
        note=ctx.note,
        log=lambda step, values: ctx.log(step, **values),
        progress=lambda done, total, values: ctx.step(done, total, **values),
    )
    for name, value in trained.facts.items():
        ctx.fact(name, value)
    return trained.metrics


def report(view: View) -> Part:
    """Loss curves, the table of rows, the hyperparameters and a method paragraph."""
    from papergen.ml.training import setup as training_setup
    from papergen.report.appendix import hyperparameter_table
    from papergen.report.figures.figure import Figure, Series
    from papergen.report.parts import Part
    from papergen.report.tables.table import table_of

    curves = []
    for row in view.rows:
        band = view.series(row, "train_loss")
        curves.append(Series(label=row_label(row), x=band.steps, y=band.mean, low=band.low, high=band.high))
    loss = Figure(
        name="loss", kind="band", series=tuple(curves), x_label="Optimiser step", y_label="Training loss (nats/token)"
    )
    scaling = table_of(
        view.results,
        "scaling",
        view.experiment,
        ["validation_loss", "bits_per_character", "tokens_per_s", "step_time_ms"],
        labels=lambda row: view.escape(", ".join(filter(None, [row_label(row), ranks_and_threads(view, row)]))),
        corner=view.escape("Processes × threads"),
    )
    rows = {row: view.params(row) for row in view.rows}
    return Part(
        tables=(scaling, compared(view), hyperparameter_table(rows)),
        figures=(loss,),
        texts={"method": training_setup.method(view, row_label)},
    )


def compared(view: View) -> Table:
    """Final validation loss, its difference from the first row's by seeds, and whether that is more than noise."""
    import dataclasses

    from papergen.report.derived import difference, verdicts
    from papergen.report.tables.table import Cell, Column, NotAvailable, table_of

    name = "validation_loss"
    table = table_of(
        view.results, "compared", view.experiment, [name], labels=row_label, corner="Row", marks_best=False
    )
    losses = {row: view.value(row, name) for row in view.rows}
    first = view.rows[0]
    words = verdicts(losses, first)

    def more(row: str) -> tuple[Cell, Cell]:
        if row in view.unavailable:
            absent = NotAvailable(view.unavailable[row])
            return absent, absent
        return ("---", "baseline") if row == first else (difference(losses[row], losses[first]), words[row])

    columns = (
        *table.columns,
        Column(name="difference", heading="Difference"),
        Column(name="verdict", heading=f"Against {row_label(first)}", align="l"),
    )
    rows = tuple(dataclasses.replace(row, cells=(*row.cells, *more(row.name))) for row in table.rows)
    return dataclasses.replace(table, rows=rows, columns=columns)


def row_label(row: str) -> str:
    """What a row is called in tables and figures: `ddp@world_size-4` is DDP, world_size 4."""
    from papergen.report.tables import table as tables

    names = {"ddp": "DDP", "single": "single process", "dp": "DataParallel", "fsdp2": "FSDP2"}
    return tables.row_label(row, names)


def ranks_and_threads(view: View, row: str) -> str:
    """Processes and CPU threads of each, as they were: `2 × 1`; "" for a row that cannot run here."""
    if row in view.unavailable:
        return ""
    provenance = view.finished(row)[0].provenance
    return f"{view.finished(row)[0].trial.num_ranks} × {provenance.num_threads}"
