"""Timed training in a paper: rows against the first, scaling over ranks, the parts of a step, the method in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from papergen.core.errors import counted
from papergen.core.phrase import Phrase
from papergen.latex.text import Tex
from papergen.ml.training.scaling import BATCH, Line, lines
from papergen.ml.training.setup import Setup
from papergen.ml.words import AGAINST, BASELINE, ROW
from papergen.report.derived import ratio, verdicts
from papergen.report.figures.figure import Figure, Series
from papergen.report.parts import View
from papergen.report.tables.table import Cell, Column, NotAvailable, Table, table_of
from papergen.report.words import either

COMPUTATION = Phrase("computation", "计算")
BOTH = Phrase("both at once", "计算与通信重叠")
COMMUNICATION = Phrase("communication", "通信")
NEITHER = Phrase("neither", "其他")


def scaling_lines(view: View) -> list[Line]:
    """The lines of strong and weak scaling among the rows."""
    return lines(
        {row: _facets(view, row) for row in view.rows},
        {row: view.value(row, "tokens_per_s") for row in view.rows},
    )


def steps(view: View) -> Table:
    """Every row: step time, speed, speed relative to the first row, and whether that is more than noise."""
    table = table_of(
        view.results,
        "steps",
        view.experiment,
        ["step_time_ms", "tokens_per_s"],
        corner=ROW,
        marks_best=False,
        varies=("dtype",),
    )
    speeds = {row: view.value(row, "tokens_per_s") for row in view.rows}
    first = view.rows[0]
    words = verdicts(speeds, first, better=Phrase("faster", "更快"), worse=Phrase("slower", "更慢"))

    def more(row: str) -> tuple[tuple[Cell, ...], tuple[Cell, ...]]:
        if row in view.unavailable:
            absent = NotAvailable(view.unavailable[row])
            return (absent, absent), (absent, absent)
        params: Any = view.params(row)
        relative = "1" if row == first else ratio(speeds[row], speeds[first])
        return (_ranks_and_threads(view, row), str(params.batch_size)), (relative, words[row] or BASELINE)

    rows = tuple(
        replace(row, cells=(*before, *row.cells, *after)) for row in table.rows for before, after in [more(row.name)]
    )
    columns = (
        Column(name="ranks", heading=Phrase("Ranks × threads", "进程数 × 线程数")),
        Column(name="batch", heading=BATCH),
        *table.columns,
        Column(name="relative", heading=Phrase("Relative speed", "相对速度")),
        Column(name="verdict", heading=AGAINST.format(view.label(first)), align="l"),
    )
    return replace(table, rows=rows, columns=columns)


def breakdown(view: View) -> list[Figure]:
    """Where the time of a traced step goes, for the rows that were profiled (`profile_steps`)."""
    rows = [row for row in view.rows if view.params(row).profile_steps]  # type: ignore[attr-defined]
    if not rows:
        return []
    parts: dict[Phrase, list[float]] = {COMPUTATION: [], BOTH: [], COMMUNICATION: [], NEITHER: []}
    for row in rows:
        step, busy = view.value(row, "profiled_step_ms").mean, view.value(row, "communication_ms").mean
        exposed = step * view.value(row, "exposed_communication_share").mean / 100
        compute = step * view.value(row, "compute_share").mean / 100
        parts[COMPUTATION].append(compute - (busy - exposed))
        parts[BOTH].append(busy - exposed)
        parts[COMMUNICATION].append(exposed)
        parts[NEITHER].append(max(0.0, step - compute - exposed))
    digests = [result.trial.digest for row in rows for result in view.finished(row)]
    names = [view.label(row) for row in rows]
    series = tuple(Series(label=label, x=names, y=heights, digests=digests) for label, heights in parts.items())
    return [
        Figure(
            name="breakdown",
            kind="stacked",
            series=series,
            x_label="",
            y_label=Phrase("Time of a traced step (ms)", "被跟踪的一步的耗时 (ms)"),
            width="full" if len(rows) > 6 else "column",
            aspect=0.4 if len(rows) > 6 else 0.66,
        )
    ]


def method(view: View, found: Sequence[Line]) -> Tex:
    """How the times were taken, from the recorded parameters and facts."""
    setup = Setup(view, view.rows)
    rounds = max(len(view.finished(row)) for row in view.rows)
    wires = either([setup.escaped(wire) for wire in setup.backends if wire != "none"], view.language)
    often = Phrase(f"in each of {rounds} rounds", f"共运行 {rounds} 轮")
    scaling = Phrase(
        " Strong scaling keeps the sequences per step, weak scaling those per process; "
        "the ideal line is a speed in proportion to the processes.",
        "强扩展保持每步的序列数不变，弱扩展保持每个进程的序列数不变；理想直线表示速度与进程数成正比。",
    )
    compared = Phrase(
        "; intervals run over the rounds, and rows are compared with {} by $t$ tests paired by rounds with Holm's "
        "correction",
        "；区间对轮次求得，各行与 {} 的比较采用按轮次配对、经 Holm 校正的 $t$ 检验",
    ).format(view.escape(view.said(view.label(view.rows[0]))))
    return Tex(
        view.said(
            Phrase(
                "Every row runs {often}, one row after the other, and reports the median time of its optimiser steps "
                "after a warm-up{compared}. The model has {size} and {parameters} parameters, and sequences have "
                "{length} tokens.{wires}{scaling}\n",
                "{often}，每轮依次运行各行，每行报告预热之后各优化步耗时的中位数{compared}。"
                "模型为 {size}，共 {parameters} 个参数；序列长 {length} 个词元{wires}。{scaling}\n",
            ).format(
                often=often if rounds > 1 else Phrase("once", "各行只运行一轮"),
                compared=compared if rounds > 1 else "",
                size=either([_model(view, view.params(row)) for row in view.rows], view.language),
                parameters=setup.recorded("num_parameters"),
                length=view.each("block_size"),
                wires=Phrase(f" Gradients travel over {wires}.", f"；梯度经 {wires} 传输") if wires else "",
                scaling=scaling if found else "",
            )
        )
    )


def _model(view: View, params: Any) -> str:
    if params.model:
        return view.escape(params.model)
    return Phrase(
        f"{counted(params.n_layer, 'layer')} of width {params.n_embd}", f"{params.n_layer} 层，宽度 {params.n_embd}"
    )


def _facets(view: View, row: str) -> tuple[int, int, Mapping[str, Any]]:
    """World size, sequences per step, and all that must be equal for rows to form one line of a scaling figure."""
    params: Any = view.params(row)
    rest = params.model_dump(mode="json")
    size = rest.pop("world_size")
    batch = rest.pop("batch_size")
    if params.per_device_batch_size is None:
        rest["batch_size"] = batch
    return size, batch, rest


def _ranks_and_threads(view: View, row: str) -> str:
    """Processes and CPU threads of each, as they were: `2 × 1`."""
    result = view.finished(row)[0]
    return f"{result.trial.num_ranks} × {result.provenance.num_threads}"
