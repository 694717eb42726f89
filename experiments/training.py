"""Train a causal language model with DistributedDataParallel; rows differ in processes, batch or any other parameter.

Model, tokenizer and optimiser state come from one seed; the data order follows it too. What a trial reports is measured
after the last step on text that was never trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from papergen.experiment import Context, Metric
from papergen.training.available import unavailable as unavailable
from papergen.training.settings import TrainingSettings, data_digests

if TYPE_CHECKING:
    from papergen.report.parts import Part, View
    from papergen.report.tables import Table

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
    from papergen.training.loop import train

    trained = train(
        params,
        seed=ctx.trial.seed,
        rank=ctx.rank,
        world_size=ctx.world_size,
        local_rank=ctx.local_rank,
        device=ctx.device,
        folder=ctx.folder,
        project=ctx.project,
        checkpoints=ctx.scratch / "checkpoints",
        resume=True,
        should_save=ctx.should_save,
        log=lambda step, values: ctx.log(step, **values),
        progress=lambda done, total, values: ctx.step(done, total, **values),
    )
    for name, value in trained.facts.items():
        ctx.fact(name, value)
    return trained.metrics


def report(view: View) -> Part:
    """Loss curves, the table of rows, the hyperparameters and a method paragraph."""
    from papergen.report.appendix import hyperparameter_table
    from papergen.report.figures import Figure, Series
    from papergen.report.parts import Part
    from papergen.report.tables import table_of

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
        texts={"method": method(view)},
    )


def compared(view: View) -> Table:
    """Final validation loss, its difference from the first row's by seeds, and whether that is more than noise."""
    import dataclasses

    from papergen.report.cells import Cell, NotAvailable
    from papergen.report.derived import difference
    from papergen.report.noise import verdicts
    from papergen.report.tables import Column, table_of

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
    names = {"ddp": "DDP", "single": "single process", "dp": "DataParallel", "fsdp2": "FSDP2"}
    stem, *grid = row.split("@")
    return ", ".join([names.get(stem, stem.replace("_", " ")), *(item.replace("-", " ", 1) for item in grid)])


def ranks_and_threads(view: View, row: str) -> str:
    """Processes and CPU threads of each, as they were: `2 × 1`; "" for a row that cannot run here."""
    if row in view.unavailable:
        return ""
    provenance = view.finished(row)[0].provenance
    return f"{view.finished(row)[0].trial.num_ranks} × {provenance.num_threads}"


def method(view: View) -> Any:
    """The set-up in words, from the recorded parameters and facts."""
    from papergen.report.tex import Tex

    if view.language == "zh":
        return Tex(_method_zh(view))
    first: Any = view.params(view.rows[0])
    facts = view.finished(view.rows[0])[0].outcome.facts
    numbers = view.finished(view.rows[0])[0].outcome.metrics
    sizes = sorted({view.params(row).world_size for row in view.rows})  # type: ignore[attr-defined]
    if first.model is None:
        model = (
            f"a GPT-2-shaped model~\\cite{{radford2019language}} with {first.n_layer} layers of width {first.n_embd}, "
            f"{first.n_head} heads and {grouped(numbers['num_parameters'])} parameters, over a byte-level BPE "
            f"vocabulary~\\cite{{sennrich2016neural}} of {grouped(facts['vocab_size'])} tokens"
        )
    else:
        model = f"\\texttt{{{view.escape(first.model)}}} with {grouped(numbers['num_parameters'])} parameters"
    corpus = (
        "the text of the Python language reference that every CPython carries"
        if first.corpus == "embedded"
        else f"\\texttt{{{view.escape(first.corpus)}}}"
    )
    processes = " and ".join(str(size) for size in sizes)
    return Tex(
        f"We train {model}. The corpus is {corpus} ({grouped(facts['num_characters'])} characters), of which "
        f"{grouped(facts['num_validation_characters'])} are held out and never trained on. Training takes "
        f"{grouped(numbers['num_steps'])} steps of {first.batch_size} sequences of {first.block_size} tokens with "
        f"AdamW~\\cite{{loshchilov2019decoupled}} at a peak learning rate of ${power(first.learning_rate)}$ "
        f"({first.lr_scheduler_type} schedule, {first.warmup_steps} warm-up steps), "
        f"in {view.escape(first.dtype)} arithmetic. "
        f"DistributedDataParallel~\\cite{{li2020pytorch}} spreads every batch over {processes} "
        f"process{'es' if sizes[-1] > 1 else ''} (backend {view.escape(str(facts['backend']))}); "
        f"each process draws its share of a common shuffle that changes every epoch, "
        f"and the loss is the mean over all tokens of the step.\n"
    )


def _method_zh(view: View) -> str:
    """`method` in Chinese."""
    first: Any = view.params(view.rows[0])
    facts = view.finished(view.rows[0])[0].outcome.facts
    numbers = view.finished(view.rows[0])[0].outcome.metrics
    sizes = sorted({view.params(row).world_size for row in view.rows})  # type: ignore[attr-defined]
    if first.model is None:
        model = (
            f"GPT-2 结构的语言模型~\\cite{{radford2019language}}，共 {first.n_layer} 层，宽度 {first.n_embd}，"
            f"{first.n_head} 个注意力头，{grouped(numbers['num_parameters'])} 个参数；词表由字节级 BPE"
            f"~\\cite{{sennrich2016neural}} 得到，含 {grouped(facts['vocab_size'])} 个词元"
        )
    else:
        model = f"\\texttt{{{view.escape(first.model)}}}，共 {grouped(numbers['num_parameters'])} 个参数"
    corpus = (
        "每个 CPython 都附带的 Python 语言参考手册"
        if first.corpus == "embedded"
        else f"\\texttt{{{view.escape(first.corpus)}}}"
    )
    schedule = {"linear": "线性", "cosine": "余弦", "constant": "恒定"}.get(
        first.lr_scheduler_type, view.escape(first.lr_scheduler_type)
    )
    processes = "、".join(str(size) for size in sizes)
    return (
        f"我们训练的是{model}。语料为{corpus}，共 {grouped(facts['num_characters'])} 个字符，其中 "
        f"{grouped(facts['num_validation_characters'])} 个字符留作验证，从不用于训练。"
        f"训练共 {grouped(numbers['num_steps'])} 步，每步 {first.batch_size} 个长 {first.block_size} 个词元的序列；"
        f"优化器为 AdamW~\\cite{{loshchilov2019decoupled}}，峰值学习率为 ${power(first.learning_rate)}$"
        f"（{schedule}调度，预热 {first.warmup_steps} 步），数值精度为 {view.escape(first.dtype)}。"
        f"DistributedDataParallel~\\cite{{li2020pytorch}} 把每一批数据分给 {processes} 个进程"
        f"（通信后端为 {view.escape(str(facts['backend']))}）；数据每轮重新打乱一次，所有进程共用同一顺序，各取一份，"
        f"损失是该步全部词元上的均值。\n"
    )


def grouped(number: float | None) -> str:
    """A count with thin spaces between thousands."""
    assert number is not None, "counts are always finite"
    return f"{number:,.0f}".replace(",", "\\,")


def power(number: float) -> str:
    """A learning rate as people write it: 2e-3 as `2\\cdot 10^{-3}`."""
    mantissa, _, exponent = f"{number:e}".partition("e")
    digits = mantissa.rstrip("0").rstrip(".")
    return f"{digits}\\cdot 10^{{{int(exponent)}}}" if digits != "1" else f"10^{{{int(exponent)}}}"
