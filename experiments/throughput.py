"""Time the optimiser steps of data-parallel training: scaling over ranks, and what each knob changes.

Each seed is one round: all rows run once before the next round begins, and intervals run over the rounds. A trial
reports the median over its steps. Nothing is validated and no model is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from papergen import Context, Phrase
from papergen.core.errors import InvalidParametersError, ParameterFault
from papergen.ml.training import metrics as training
from papergen.ml.training.settings import TrainingSettings, data_digests
from papergen.ml.training.settings import unavailable as unavailable
from papergen.ml.training.words import PROCESSES

if TYPE_CHECKING:
    from papergen.report.parts import Part, View

LABEL = "Throughput of data-parallel training"

METRICS = tuple(one for one in training.METRICS if one.name not in training.OF_EVALUATION)

ROW_LABELS = {
    **PROCESSES,
    "ranks_4": Phrase("ranks 4", "4 进程"),
    "weak_1": Phrase("weak 1", "弱扩展 1"),
    "weak_2": Phrase("weak 2", "弱扩展 2"),
    "weak_4": Phrase("weak 4", "弱扩展 4"),
    "small_buckets": Phrase("small buckets", "小桶"),
    "bucket_views": Phrase("bucket views", "桶视图"),
    "static_graph": Phrase("static graph", "静态图"),
    "accumulation": Phrase("accumulation", "梯度累积"),
    "accumulation_with_sync": Phrase("accumulation with sync", "累积且每次同步"),
    "fp16_hook": Phrase("fp16 hook", "fp16 钩子"),
    "powersgd": Phrase("powersgd", "PowerSGD"),
}


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
            raise InvalidParametersError(
                ParameterFault(
                    f"per_device_batch_size = {each} and batch_size = {data['batch_size']} both say how large a step"
                    " is. Keep one.",
                    "per_device_batch_size",
                    "batch_size",
                )
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
    from papergen.ml.training import throughput_report as throughput
    from papergen.ml.training.scaling import scaling_figure, scaling_table
    from papergen.report.parts import Part

    found = throughput.scaling_lines(view)
    step = {row: view.value(row, "step_time_ms") for row in view.rows}
    return Part(
        tables=(
            throughput.steps(view),
            view.hyperparameters(),
            *([scaling_table(found, step=step)] if found else []),
        ),
        figures=(*([scaling_figure(found)] if found else []), *throughput.breakdown(view)),
        texts={"method": throughput.method(view, found)},
    )
