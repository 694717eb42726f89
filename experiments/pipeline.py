"""Pipelines taken apart: tokenizer -> model -> post-processing, each stage timed, and compared with transformers' own.

A row is one pipeline on one model. Its results are those of `transformers.pipeline`, checked in every trial; question
answering, which transformers 5 removed, is provided with the former semantics.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from papergen import Context, Metric, Phrase
from papergen.ml.tasks.pipeline_settings import PipelineSettings, pipeline_digests
from papergen.ml.tasks.settings import model_source
from papergen.ml.tasks.words import STAGES
from papergen.ml.words import SPEED_UP

if TYPE_CHECKING:
    from papergen.report.parts import Part, View

LABEL = "Pipelines in three stages"

MEMORY = Phrase("{} memory", "{}内存")

METRICS = (
    *(
        Metric(name=f"{stage}_ms", label=label, unit="ms", direction="lower", over="rounds")
        for stage, label in STAGES.items()
    ),
    Metric(name="total_ms", label=Phrase("Total", "合计"), unit="ms", direction="lower", over="rounds"),
    *(
        Metric(name=f"{stage}_mib", label=MEMORY.format(label), unit="MiB", direction="lower")
        for stage, label in STAGES.items()
    ),
    Metric(name="padding", label=Phrase("Padding", "填充"), unit="%", direction="lower"),
    Metric(name="num_batches", label=Phrase("Batches", "批数")),
    Metric(name="one_by_one_ms", label=Phrase("One by one", "逐条"), unit="ms", direction="lower", over="rounds"),
    Metric(name="speedup", label=SPEED_UP, direction="higher"),
    Metric(name="largest_difference", label=Phrase("Difference", "差别"), direction="lower"),
)

ROW_LABELS = {
    "classification": Phrase("classification", "分类"),
    "classification_batch_1": Phrase("classification batch 1", "分类，批大小 1"),
    "classification_ungrouped": Phrase("classification ungrouped", "分类，不按长度分组"),
    "classification_padded": Phrase("classification padded", "分类，填充至最长"),
    "tagging": Phrase("tagging", "序列标注"),
    "mask_filling": Phrase("mask filling", "掩码预测"),
    "generation": Phrase("generation", "生成"),
    "features": Phrase("features", "特征"),
    "zero_shot": Phrase("zero shot", "零样本"),
    "answering": Phrase("answering", "问答"),
}


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
    from papergen.ml.tasks import pipeline_report as pipeline
    from papergen.report.parts import Part

    example = pipeline.travel(view)
    return Part(
        tables=(pipeline.stages_table(view), pipeline.batches_table(view), view.hyperparameters()),
        figures=(pipeline.time_by_stage(view), *pipeline.probabilities(view)),
        texts={"method": pipeline.method(view), **({} if example is None else {"example": example})},
    )
