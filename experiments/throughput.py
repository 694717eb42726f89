"""Time the optimiser steps of data-parallel training: scaling over ranks, and what each knob changes.

Each seed is one round: all rows run once before the next round begins, and intervals run over the rounds. A trial
reports the median over its steps. Nothing is validated and no model is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from papergen import Context, Metric
from papergen.ml.training.settings import TrainingSettings, data_digests
from papergen.ml.training.settings import unavailable as unavailable

if TYPE_CHECKING:
    from papergen.ml.training.scaling import Line
    from papergen.report.figures.figure import Figure
    from papergen.report.parts import Part, View
    from papergen.report.tables.table import Table

LABEL = "Throughput of data-parallel training"

METRICS = (
    Metric(name="step_time_ms", label="Step", direction="lower", unit="ms"),
    Metric(name="tokens_per_s", label="Speed", direction="higher", unit="tokens/s"),
    Metric(name="step_time_p95_ms", label="Step p95", direction="lower", unit="ms"),
    Metric(name="peak_memory_mib", label="Peak memory per rank", direction="lower", unit="MiB"),
    Metric(name="mfu", label="MFU", direction="higher", unit="%"),
    Metric(name="communication_share", label="Communication", unit="%"),
    Metric(name="exposed_communication_share", label="Exposed communication", unit="%"),
    Metric(name="train_loss", label="Train loss", direction="lower"),
)


class Params(TrainingSettings):
    """What is trained and how; the defaults time 25 steps after the warm-up."""

    max_steps: int | None = Field(default=30, ge=1, description="Optimiser steps; the first five are not timed.")
    warmup_steps: int = Field(default=0, ge=0, description="Steps of linear warm-up to the peak learning rate.")
    log_every: int = Field(default=1000, ge=1, description="Steps between two points of the training-loss curve.")
    save_every: int | None = Field(default=0, ge=0, description="Steps between two checkpoints; 0: none.")
    per_device_batch_size: int | None = Field(
        default=None, ge=1, description="Sequences per rank and step, in place of batch_size: weak scaling."
    )
    num_threads: int | None = Field(
        default=None, ge=1, description="CPU threads per rank; the cores shared evenly among the ranks when absent."
    )

    @model_validator(mode="before")
    @classmethod
    def _batch_of_all_ranks(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(each := data.get("per_device_batch_size"), int):
            return data
        total = each * data.get("world_size", cls.model_fields["world_size"].default)
        if data.get("batch_size", total) != total:
            raise ValueError(
                f"per_device_batch_size = {each} and batch_size = {data['batch_size']} both say how large a step is. "
                "Keep one."
            )
        return {**data, "batch_size": total}


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
    """Run the steps on this rank; the numbers are rank 0's, peak memory that of the hungriest rank."""
    import torch

    from papergen.ml.training.loop import train

    if params.num_threads is not None:
        torch.set_num_threads(params.num_threads)
    timed = train(
        params,
        seed=ctx.seed,
        rank=ctx.rank,
        world_size=ctx.world_size,
        local_rank=ctx.local_rank,
        device=ctx.device,
        folder=ctx.folder,
        project=ctx.project,
        log=lambda step, values: ctx.log(step, **values),
        progress=lambda done, total, values: ctx.step(done, total, **values),
        is_only_timed=True,
    )
    for name, value in timed.facts.items():
        ctx.fact(name, value)
    return timed.metrics


def report(view: View) -> Part:
    """All rows against the first; scaling over ranks and the breakdown of a step where rows measure them."""
    from papergen.ml.training.scaling import lines, scaling_figure, scaling_table
    from papergen.report.appendix import hyperparameter_table
    from papergen.report.parts import Part

    found = lines(
        {row: _facets(view, row) for row in view.rows},
        {row: view.value(row, "tokens_per_s") for row in view.rows},
    )
    tables = [steps(view), hyperparameter_table({row: view.params(row) for row in view.rows})]
    figures: list[Figure] = []
    if found:
        tables.append(scaling_table(found, step={row: view.value(row, "step_time_ms") for row in view.rows}))
        figures.append(scaling_figure(found))
    figures += breakdown(view)
    return Part(tables=tables, figures=figures, texts={"method": method(view, found)})


def _facets(view: View, row: str) -> tuple[int, int, Mapping[str, Any]]:
    """World size, sequences per step, and all that must be equal for rows to form one line of a scaling figure."""
    params: Any = view.params(row)
    rest = params.model_dump(mode="json")
    size = rest.pop("world_size")
    batch = rest.pop("batch_size")
    if params.per_device_batch_size is None:
        rest["batch_size"] = batch
    return size, batch, rest


def row_label(row: str) -> str:
    """What a row is called: `bucket@bucket_cap_mb-1` is bucket, bucket_cap_mb 1."""
    from papergen.report.tables import table as tables

    names = {"ddp": "DDP", "dp": "DataParallel", "single": "single process", "fsdp2": "FSDP2"}
    return tables.row_label(row, names)


def steps(view: View) -> Table:
    """Every row: step time, speed, speed relative to the first row, and whether that is more than noise."""
    import dataclasses

    from papergen.report.derived import ratio, verdicts
    from papergen.report.tables.table import Cell, Column, NotAvailable, table_of

    table = table_of(
        view.results,
        "steps",
        view.experiment,
        ["step_time_ms", "tokens_per_s"],
        labels=row_label,
        corner="Row",
        marks_best=False,
        varies=("dtype",),
    )
    speeds = {row: view.value(row, "tokens_per_s") for row in view.rows}
    first = view.rows[0]
    words = verdicts(speeds, first, better="faster", worse="slower")

    def more(row: str) -> tuple[tuple[Cell, ...], tuple[Cell, ...]]:
        if row in view.unavailable:
            absent = NotAvailable(view.unavailable[row])
            return (absent, absent), (absent, absent)
        params: Any = view.params(row)
        relative = "1" if row == first else ratio(speeds[row], speeds[first])
        return (ranks_and_threads(view, row), str(params.batch_size)), (relative, words[row] or "baseline")

    rows = tuple(
        dataclasses.replace(row, cells=(*before, *row.cells, *after))
        for row in table.rows
        for before, after in [more(row.name)]
    )
    columns = (
        Column(name="ranks", heading="Ranks × threads"),
        Column(name="batch", heading="Batch"),
        *table.columns,
        Column(name="relative", heading="Relative speed"),
        Column(name="verdict", heading=f"Against {row_label(first)}", align="l"),
    )
    return dataclasses.replace(table, rows=rows, columns=columns)


def ranks_and_threads(view: View, row: str) -> str:
    """Processes and CPU threads of each, as they were: `2 × 1`."""
    result = view.finished(row)[0]
    return f"{result.trial.num_ranks} × {result.provenance.num_threads}"


def breakdown(view: View) -> list[Figure]:
    """Where the time of a traced step goes, for the rows that were profiled (`profile_steps`)."""
    from papergen.report.figures.figure import Figure, Series

    rows = [row for row in view.rows if view.params(row).profile_steps]  # type: ignore[attr-defined]
    if not rows:
        return []
    parts: dict[str, list[float]] = {"computation": [], "both at once": [], "communication": [], "neither": []}
    for row in rows:
        step, busy = view.value(row, "profiled_step_ms").mean, view.value(row, "communication_ms").mean
        exposed = step * view.value(row, "exposed_communication_share").mean / 100
        compute = step * view.value(row, "compute_share").mean / 100
        parts["computation"].append(compute - (busy - exposed))
        parts["both at once"].append(busy - exposed)
        parts["communication"].append(exposed)
        parts["neither"].append(max(0.0, step - compute - exposed))
    digests = [result.trial.digest for row in rows for result in view.finished(row)]
    names = [row_label(row) for row in rows]
    series = tuple(Series(label=label, x=names, y=heights, digests=digests) for label, heights in parts.items())
    return [
        Figure(
            name="breakdown",
            kind="stacked",
            series=series,
            x_label="",
            y_label="Time of a traced step (ms)",
            width="full" if len(rows) > 6 else "column",
            aspect=0.4 if len(rows) > 6 else 0.66,
        )
    ]


def method(view: View, found: list[Line]) -> Any:
    """How the times were taken, from the recorded parameters and facts."""
    from papergen.core.errors import counted
    from papergen.latex.text import Tex
    from papergen.ml.training.setup import Setup
    from papergen.report.words import either, translated

    said = Setup(view, view.rows, row_label)
    rounds = max(len(view.finished(row)) for row in view.rows)
    often = "once" if rounds == 1 else f"in each of {rounds} rounds"
    scaling = (
        " Strong scaling keeps the sequences per step, weak scaling those per process; "
        "the ideal line is a speed in proportion to the processes."
        if found
        else ""
    )
    num_parameters = said.recorded("num_parameters")
    wires = either([said.escaped(wire) for wire in said.backends if wire != "none"], view.language)

    def model(params: Any) -> str:
        if params.model:
            return view.escape(params.model)
        if view.language == "zh":
            return f"{params.n_layer} 层，宽度 {params.n_embd}"
        return f"{counted(params.n_layer, 'layer')} of width {params.n_embd}"

    size = either([model(view.params(row)) for row in view.rows], view.language)
    if view.language == "zh":
        lines = (
            "强扩展保持每步的序列数不变，弱扩展保持每个进程的序列数不变；理想直线表示速度与进程数成正比。"
            if found
            else ""
        )
        baseline = view.escape(translated(row_label(view.rows[0]), view.language))
        compared = f"；区间对轮次求得，各行与 {baseline} 的比较采用按轮次配对、经 Holm 校正的 $t$ 检验"
        return Tex(
            f"{'各行只运行一轮' if rounds == 1 else f'共运行 {rounds} 轮'}，每轮依次运行各行，"
            f"每行报告预热之后各优化步耗时的中位数{compared if rounds > 1 else ''}。"
            f"模型为 {size}，共 {num_parameters} 个参数；序列长 {view.each('block_size')} 个词元"
            f"{f'；梯度经 {wires} 传输' if wires else ''}。{lines}\n"
        )
    compared = (
        f"; intervals run over the rounds, and rows are compared with {view.escape(row_label(view.rows[0]))} by "
        "$t$ tests paired by rounds with Holm's correction"
    )
    return Tex(
        f"Every row runs {often}, one row after the other, and reports the median time of its optimiser steps after a "
        f"warm-up{compared if rounds > 1 else ''}. The model has {size} and "
        f"{num_parameters} parameters, and sequences have {view.each('block_size')} tokens."
        f"{f' Gradients travel over {wires}.' if wires else ''}{scaling}\n"
    )
