"""Task heads on one backbone: fine-tune transformers' heads and evaluate them by the measures of the field.

A row is one task. The embedded data are made from Python's language reference and standard library, with labels that
nobody had to annotate; any CSV, JSONL or datasets folder takes their place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from papergen.experiment import Context, Metric
from papergen.tasks.settings import HEADS, TaskSettings, data_digests

if TYPE_CHECKING:
    from papergen.report.figures import Figure
    from papergen.report.parts import Part, View
    from papergen.report.tables import Table

LABEL = "Task heads"

METRICS = (
    Metric(name="accuracy", label="Accuracy", unit="%", direction="higher", over="examples"),
    Metric(name="macro_f1", label="Macro-F1", unit="%", direction="higher", over="examples"),
    Metric(name="exact_match", label="EM", unit="%", direction="higher", over="examples"),
    Metric(name="span_f1", label="F1", unit="%", direction="higher", over="examples"),
    Metric(name="entity_precision", label="Precision", unit="%", direction="higher", over="examples"),
    Metric(name="entity_recall", label="Recall", unit="%", direction="higher", over="examples"),
    Metric(name="entity_f1", label="Entity F1", unit="%", direction="higher", over="examples"),
    Metric(name="token_accuracy", label="Token acc.", unit="%", direction="higher", over="examples"),
    Metric(name="perplexity", label="Perplexity", direction="lower", over="examples"),
    Metric(name="loss", label="Test loss", unit="nats", direction="lower", over="examples"),
    Metric(name="baseline", label="Baseline", unit="%", over="examples"),
    Metric(name="train_loss", label="Train loss", unit="nats", direction="lower"),
    Metric(name="num_parameters", label="Parameters"),
    Metric(name="num_steps", label="Steps"),
    Metric(name="step_time_ms", label="Step", unit="ms", direction="lower"),
    Metric(name="examples_per_s", label="Speed", unit="examples/s", direction="higher"),
)

HEADLINE = {
    "feature_extraction": "accuracy",
    "causal_lm": "perplexity",
    "masked_lm": "perplexity",
    "multiple_choice": "accuracy",
    "question_answering": "span_f1",
    "sequence_classification": "accuracy",
    "token_classification": "entity_f1",
}
"""The measure by which each task is known."""


SEEDS_FOR_BANDS = 3
"""Over two seeds Student's t makes intervals so wide (12.7 standard errors) that they hide the curves."""


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
    from papergen.tasks.running import run_task

    source: str | Path | None = ctx.upstream.get("model")
    if source is None and isinstance(params.model, str):
        folder = ctx.project / Path(params.model).expanduser()
        source = folder if folder.is_dir() else params.model
    done = run_task(
        params,
        source=source,
        seed=ctx.trial.seed,
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
    from papergen.report.appendix import hyperparameter_table
    from papergen.report.parts import Part

    return Part(
        tables=(heads(view), hyperparameter_table({row: view.params(row) for row in view.rows})),
        figures=curves(view),
        texts={"method": method(view)},
    )


def heads(view: View) -> Table:
    """Every row with its head, its data and the measures that its task has."""
    import dataclasses

    from papergen.report.tables import Column, table_of

    reported = {name for row in view.rows for name in view.finished(row)[0].outcome.metrics}
    wanted = ("accuracy", "macro_f1", "exact_match", "span_f1", "entity_f1", "perplexity", "baseline")
    table = table_of(
        view.results,
        "heads",
        view.experiment,
        [name for name in wanted if name in reported],
        labels=row_label,
        corner="Task",
        varies={"data"},
        marks_best=False,
    )
    columns = (
        Column(name="head", heading="Head", align="l"),
        Column(name="examples", heading="Train / test"),
        *(dataclasses.replace(column, direction="none") for column in table.columns),
    )
    rows = []
    for row in table.rows:
        facts = view.finished(row.name)[0].outcome.facts
        sizes = f"{facts['num_train_examples']} / {facts['num_test_examples']}"
        rows.append(dataclasses.replace(row, cells=(str(facts["head"]), sizes, *row.cells)))
    return dataclasses.replace(table, columns=columns, rows=tuple(rows))


def curves(view: View) -> tuple[Figure, ...]:
    """Training loss over the share of the steps, so that rows of different length stand side by side."""
    from papergen.report.figures import Figure, Series

    series = []
    for row in view.rows:
        if "train_loss" not in view.finished(row)[0].outcome.series:
            continue
        band = view.series(row, "train_loss")
        has_intervals = len(view.finished(row)) >= SEEDS_FOR_BANDS
        last = band.steps[-1]
        series.append(
            Series(
                label=row_label(row),
                x=[100 * step / last for step in band.steps],
                y=band.mean,
                low=band.low if has_intervals else None,
                high=band.high if has_intervals else None,
            )
        )
    if not series:
        return ()
    return (
        Figure(
            name="loss",
            kind="band",
            series=tuple(series),
            x_label="Training completed (%)",
            y_label="Training loss (nats)",
            y_scale="log",
        ),
    )


def row_label(row: str) -> str:
    """What a row is called in tables and figures."""
    from papergen.report import tables

    return tables.row_label(row)


def method(view: View) -> Any:
    """The set-up in words, from the recorded parameters and facts."""
    from papergen.report.tex import Tex

    first: Any = view.params(view.rows[0])
    tasks = [view.params(row).task for row in view.rows]  # type: ignore[attr-defined]
    names = ", ".join(dict.fromkeys(f"\\texttt{{{_breakable(HEADS[task])}}}" for task in tasks))
    trained = next((row for row in view.rows if "num_steps" in view.finished(row)[0].outcome.metrics), None)
    if view.language == "zh":
        return Tex(_method_zh(view, first, names, is_trained=trained is not None))
    if first.model is None:
        backbone = (
            f"a BERT-shaped encoder~\\cite{{devlin2019bert}} of {view.each('num_hidden_layers')} layers of width "
            f"{view.each('hidden_size')}, built from scratch for each task"
        )
    elif isinstance(first.model, str):
        backbone = f"\\texttt{{{view.escape(first.model)}}}"
    else:
        backbone = _trained_backbone(view, first.model)
    data_ = (
        "The data are made from Python's language reference and standard library, whose structure supplies the labels."
        if first.train_file == "embedded"
        else "The data are the author's own."
    )
    optimiser = (
        ""
        if trained is None
        else f" Heads are fine-tuned for {_span(view, 'num_train_epochs')} epochs in batches of "
        f"{_span(view, 'batch_size')} with AdamW~\\cite{{loshchilov2019decoupled}}, a linear schedule and at most "
        f"{_span(view, 'max_length')} tokens per input."
    )
    return Tex(
        f"We evaluate the heads {names} of Transformers~\\cite{{wolf2020transformers}} on {backbone}. {data_}"
        f"{optimiser} Classification is measured by accuracy and macro-averaged F1, entities by micro-averaged F1 over "
        f"whole spans, answers by exact match and word F1 after the normalisation of SQuAD, masked and running text by "
        f"perplexity. Features without a head are judged by the nearest class mean. The baseline always gives the most "
        f"frequent answer of the test set.\n"
    )


def _span(view: View, name: str, dash: str = " to ") -> str:
    """The values that the trained rows give a parameter, from the smallest to the largest."""
    params: list[Any] = [view.params(row) for row in view.rows]
    values = sorted({getattr(one, name) for one in params if one.is_trained})
    return str(values[0]) if len(values) == 1 else f"{values[0]}{dash}{values[-1]}"


def _breakable(name: str) -> str:
    """A name of several words in one, which a line may break between them."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", r"\\allowbreak ", name)


def _upstream(view: View, model: Any) -> Any:
    """The parameters of the trial that a row's model comes from; None when it is of another kind."""
    found = (
        trial for trial in view.results.trials if trial.experiment == model.source and model.row in {None, trial.row}
    )
    trial = next(found, None)
    return None if trial is None or trial.kind != "tasks" else view.recipe.params_of(trial.params)


def _trained_backbone(view: View, model: Any) -> str:
    """The model of another experiment, with its size and its training where they are known."""
    name = f"the model of the experiment {view.escape(model.source)}"
    given = _upstream(view, model)
    if given is None or given.model is not None:
        return name
    masked = f", {100 * given.mlm_probability:.0f}\\,\\% of the tokens masked" if given.task == "masked_lm" else ""
    return (
        f"{name}, a BERT-shaped encoder~\\cite{{devlin2019bert}} of {given.num_hidden_layers} layers of width "
        f"{given.hidden_size} with {given.vocab_size} word pieces, trained from scratch as "
        f"\\texttt{{{_breakable(HEADS[given.task])}}} for {given.num_train_epochs} "
        f"{'epochs' if given.num_train_epochs > 1 else 'epoch'} at a learning rate of "
        f"{given.learning_rate:g}{masked}"
    )


def _trained_backbone_zh(view: View, model: Any) -> str:
    name = f"实验 {view.escape(model.source)} 的模型"
    given = _upstream(view, model)
    if given is None or given.model is not None:
        return name
    masked = f"，遮蔽 {100 * given.mlm_probability:.0f}\\,\\% 的词元" if given.task == "masked_lm" else ""
    return (
        f"{name}（BERT 结构编码器~\\cite{{devlin2019bert}}，{given.num_hidden_layers} 层，宽度 {given.hidden_size}，"
        f"词表 {given.vocab_size}，以 \\texttt{{{_breakable(HEADS[given.task])}}} 从零训练 "
        f"{given.num_train_epochs} 轮，学习率 {given.learning_rate:g}{masked}）"
    )


def _method_zh(view: View, first: Any, names: str, *, is_trained: bool) -> str:
    if first.model is None:
        backbone = (
            f"一个为每项任务从零构建的 BERT 结构编码器~\\cite{{devlin2019bert}}（{view.each('num_hidden_layers')} 层，"
            f"宽度 {view.each('hidden_size')}）"
        )
    elif isinstance(first.model, str):
        backbone = f"\\texttt{{{view.escape(first.model)}}}"
    else:
        backbone = _trained_backbone_zh(view, first.model)
    data_ = (
        "数据取自 Python 的语言参考和标准库，标签由其结构给出。"
        if first.train_file == "embedded"
        else "数据为作者自备。"
    )
    optimiser = (
        f"任务头以 {_span(view, 'batch_size', ' 至 ')} 个样例为一批，"
        f"微调 {_span(view, 'num_train_epochs', ' 至 ')} 轮，使用 "
        f"AdamW~\\cite{{loshchilov2019decoupled}} 和线性学习率，"
        f"每个输入至多 {_span(view, 'max_length', ' 至 ')} 个词元。"
        if is_trained
        else ""
    )
    return (
        f"我们在{backbone}上评测 Transformers~\\cite{{wolf2020transformers}} 的任务头 {names}。{data_}{optimiser}"
        f"分类用准确率和宏平均 F1 衡量，实体用整段匹配的微平均 F1 衡量，"
        f"答案用 SQuAD 规范化之后的完全匹配和词级 F1 衡量，"
        f"遮蔽文本和连续文本用困惑度衡量。不带任务头的特征用最近的类均值来判断。基线总是给出测试集中最常见的答案。\n"
    )
