"""Task heads on one backbone: fine-tune transformers' heads and evaluate them by the measures of the field.

A row is one task. The embedded data are made from Python's language reference and standard library, with labels that
nobody had to annotate; any CSV, JSONL or datasets folder takes their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from papergen import Context, Metric, Phrase
from papergen.ml.tasks.settings import TaskSettings, data_digests, model_source
from papergen.ml.words import ACCURACY, EXAMPLES_PER_S, NATS, PERPLEXITY, SPEED, STEP, TRAIN_LOSS

if TYPE_CHECKING:
    from papergen.report.parts import Part, View

LABEL = "Task heads"

METRICS = (
    Metric(name="accuracy", label=ACCURACY, unit="%", direction="higher", over="examples"),
    Metric(name="macro_f1", label=Phrase("Macro-F1", "宏平均 F1"), unit="%", direction="higher", over="examples"),
    Metric(name="exact_match", label="EM", unit="%", direction="higher", over="examples"),
    Metric(name="span_f1", label="F1", unit="%", direction="higher", over="examples"),
    Metric(name="entity_precision", label=Phrase("Precision", "精确率"), unit="%", direction="higher", over="examples"),
    Metric(name="entity_recall", label=Phrase("Recall", "召回率"), unit="%", direction="higher", over="examples"),
    Metric(name="entity_f1", label=Phrase("Entity F1", "实体 F1"), unit="%", direction="higher", over="examples"),
    Metric(
        name="token_accuracy", label=Phrase("Token acc.", "词元准确率"), unit="%", direction="higher", over="examples"
    ),
    Metric(name="perplexity", label=PERPLEXITY, direction="lower", over="examples"),
    Metric(name="loss", label=Phrase("Test loss", "测试损失"), unit=NATS, direction="lower", over="examples"),
    Metric(name="baseline", label=Phrase("Baseline", "基线"), unit="%", over="examples"),
    Metric(name="train_loss", label=TRAIN_LOSS, unit=NATS, direction="lower"),
    Metric(name="num_parameters", label=Phrase("Parameters", "参数量")),
    Metric(name="num_steps", label=Phrase("Steps", "步数")),
    Metric(name="step_time_ms", label=STEP, unit="ms", direction="lower"),
    Metric(name="examples_per_s", label=SPEED, unit=EXAMPLES_PER_S, direction="higher"),
)

ROW_LABELS = {
    "features": Phrase("features", "特征"),
    "embeddings": Phrase("embeddings", "词嵌入"),
    "topics": Phrase("topics", "主题分类"),
    "tags": Phrase("tags", "序列标注"),
    "questions": Phrase("questions", "问答"),
    "choice": Phrase("choice", "多项选择"),
    "masked": Phrase("masked", "掩码语言模型"),
    "causal": Phrase("causal", "因果语言模型"),
    "entailment": Phrase("entailment", "文本蕴含"),
}


class Params(TaskSettings):
    """Parameters of one row."""


def num_ranks(params: Params) -> int:
    """One process per rank."""
    return params.world_size


def data(params: Params, project: Path) -> Mapping[str, str]:
    """The examples, and the model folder when a backbone is named by path."""
    return data_digests(params, project)


def is_seeded(params: Params) -> bool:
    """Features of a given backbone draw no random numbers."""
    return params.is_trained or params.model is None


def run(params: Params, ctx: Context) -> Mapping[str, float]:
    """Fine-tune and evaluate on this rank; rank 0 saves `model/`, which a pipeline or another row can take."""
    from papergen.ml.tasks.task_trial import run_task

    done = run_task(
        params,
        source=model_source(params.model, ctx.upstream.get("model"), ctx.project),
        seed=ctx.seed,
        rank=ctx.rank,
        world_size=ctx.world_size,
        local_rank=ctx.local_rank,
        device=ctx.device,
        folder=ctx.folder,
        project=ctx.project,
        log=lambda step, values: ctx.log(step, **values),
        progress=lambda done, total, values: ctx.step(done, total, **values),
    )
    for name, values in done.units.items():
        ctx.units(name, values)
    for name, value in done.facts.items():
        ctx.fact(name, value)
    for sample in done.samples:
        ctx.sample(**sample)
    return done.metrics


def report(view: View) -> Part:
    """One table of all heads, their loss curves, the settings and the method in words."""
    from papergen.ml.tasks import report as tasks
    from papergen.report.parts import Part

    return Part(
        tables=(tasks.heads(view), view.hyperparameters()),
        figures=tasks.curves(view),
        texts={"method": tasks.method(view)},
    )
