"""Train a causal language model with DistributedDataParallel; rows differ in processes, batch or any other parameter.

Model, tokenizer and optimiser state come from one seed; the data order follows it too. What a trial reports is measured
after the last step on text that was never trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from papergen import Context, Phrase
from papergen.ml.training.metrics import METRICS as METRICS
from papergen.ml.training.settings import TrainingSettings, data_digests
from papergen.ml.training.settings import unavailable as unavailable
from papergen.ml.training.words import PROCESSES

if TYPE_CHECKING:
    from papergen.report.parts import Part, View

LABEL = "Training with data parallelism"

ROW_LABELS = {
    **PROCESSES,
    "full": Phrase("full", "完整方案"),
    "means_of_ranks": Phrase("means of ranks", "各进程均值"),
    "one_order": Phrase("one order", "固定顺序"),
}


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
    from papergen.ml.training import report as training
    from papergen.ml.training.setup import method
    from papergen.report.parts import Part

    return Part(
        tables=(training.scaling(view), training.compared(view), view.hyperparameters()),
        figures=(training.loss(view),),
        texts={"method": method(view)},
    )
