"""Measure what two shortcuts of data-parallel training change: the mean of the ranks' means, and a padded evaluation.

At the weights of a given model, the gradient of a step of uneven sequences is taken as the mean over all tokens and
as the mean of the ranks' means; the held-out text is scored exactly, and as padded shards would report it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

import papergen
from papergen import Context, From, Metric, Phrase
from papergen.core.errors import InvalidParametersError, ParameterFault
from papergen.ml.training.settings import TrainingSettings, data_digests

if TYPE_CHECKING:
    from papergen.report.parts import Part, View

LABEL = "Biases of shortcuts in data-parallel training"

MNAT = Phrase("mnat", "毫奈特")

METRICS = (
    Metric(name="gradient_bias", label=Phrase("Gradient", "梯度"), unit="%", direction="lower", over="batches"),
    Metric(name="padded_bias", label=Phrase("padded", "补齐"), unit=MNAT),
    Metric(name="rank_mean_bias", label=Phrase("rank means", "进程均值"), unit=MNAT),
    Metric(name="num_repeated", label=Phrase("repeated", "重复数")),
    Metric(name="validation_loss", label=Phrase("Val. loss", "验证损失"), direction="lower"),
)


class Params(papergen.Params):
    """The model at whose weights the biases are measured, and how the work is spread."""

    model: From | str = Field(
        description="{from: experiment}, a local model folder, or a name on the Hugging Face Hub."
    )
    world_size: int = Field(default=2, ge=1, description="Number of ranks, simulated in one process.")
    batch_size: int = Field(default=64, ge=1, description="Sequences per optimiser step, over all ranks.")
    block_size: int = Field(default=128, ge=2, description="Most tokens of a sequence.")
    num_batches: int = Field(default=16, ge=2, description="Steps whose gradients are compared.")
    corpus: str = Field(default="embedded", description="Text, as in training.")
    encoding: str = Field(default="utf-8", description="Encoding of the corpus files.")
    validation_fraction: float = Field(default=0.1, gt=0, lt=1, description="Share held out; as in training.")

    @model_validator(mode="after")
    def _even(self) -> Params:
        if self.batch_size % self.world_size:
            below = self.batch_size - self.batch_size % self.world_size
            near = " or ".join(str(size) for size in (below, below + self.world_size) if size)
            raise InvalidParametersError(
                ParameterFault(
                    f"world_size = {self.world_size} does not divide batch_size = {self.batch_size}. Try {near}.",
                    "world_size",
                    "batch_size",
                )
            )
        return self

    def settings(self, model: str | None) -> TrainingSettings:
        """What training would have been told: documents one by one, so that sequences are uneven."""
        return TrainingSettings(
            world_size=1,
            model=model,
            corpus=self.corpus,
            encoding=self.encoding,
            validation_fraction=self.validation_fraction,
            batch_size=self.batch_size,
            block_size=self.block_size,
            packing="documents",
        )


def data(params: Params, project: Path) -> Mapping[str, str]:
    """The corpus, and the model folder when it is named by path."""
    return data_digests(params.settings(params.model if isinstance(params.model, str) else None), project)


def run(params: Params, ctx: Context) -> Mapping[str, float]:
    """Compare gradients over `num_batches` steps and evaluations over the held-out text."""
    import math

    from papergen.ml import distributed
    from papergen.ml.training.batches import BlockOrder
    from papergen.ml.training.biases import gradient_bias, padded_shards, scores
    from papergen.ml.training.material import prepare

    ranks = distributed.join(rank=0, world_size=1, local_rank=ctx.local_rank, device=ctx.device, timeout_s=60)
    source = str(ctx.upstream.get("model") or params.model)
    material = prepare(params.settings(source), seed=ctx.seed, ranks=ranks, project=ctx.project)
    model = material.model.to(ranks.device).eval()  # no dropout: the two gradients must differ by their weights alone
    order = BlockOrder(material.train, batch_size=params.batch_size, rank=0, world_size=1, seed=ctx.seed)
    pad = int(material.tokenizer.eos_token_id)
    found: list[float] = []
    for step in range(params.num_batches):
        indices = order.at(step)
        shards = [indices[rank :: params.world_size] for rank in range(params.world_size)]
        found.append(100 * gradient_bias(model, material.train, shards, pad=pad))
        ctx.step(step + 1, params.num_batches, gradient_bias=found[-1])
    ctx.units("gradient_bias", found)
    scored = scores(model, material.validation)
    exact = scored.loss()
    shares = padded_shards(len(scored.nats), params.world_size)
    ctx.fact("num_validation_sequences", len(scored.nats))
    ctx.fact("num_parameters", material.num_parameters)
    return {
        "gradient_bias": math.fsum(found) / len(found),
        "padded_bias": 1e3 * (scored.padded_loss(params.world_size) - exact),
        "rank_mean_bias": 1e3 * (scored.rank_mean_loss(params.world_size) - exact),
        "num_repeated": sum(map(len, shares)) - len(scored.nats),
        "validation_loss": exact,
    }


def report(view: View) -> Part:
    """The biases by number of ranks, as a table and the gradient's as a figure."""
    from papergen.ml.training import biases_report as biases
    from papergen.report.parts import Part

    return Part(
        tables=(biases.by_ranks(view), view.hyperparameters()),
        figures=(biases.gradient(view),),
        texts={"method": biases.method(view)},
    )
