"""The set-up of training runs in words: what all rows share, and every value of what they differ in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from papergen.core.errors import counted
from papergen.core.numbers import grouped, rounded
from papergen.latex.text import Tex, number_tex
from papergen.report.parts import View
from papergen.report.words import either, translated

CITED = {"ddp": "li2020pytorch", "fsdp2": "zhao2023fsdp"}
NAMES = {"ddp": "DistributedDataParallel", "fsdp2": "FSDP2"}
SCHEDULES_ZH = {"linear": "线性", "cosine": "余弦", "constant": "恒定"}


class Setup:
    """What the rows of a training experiment recorded, as lists over the rows and in the words of the paper."""

    def __init__(self, view: View, rows: Sequence[str], label: Callable[[str], str]) -> None:
        self.view, self.rows, self._label = view, rows, label
        self.params: list[Any] = [view.params(row) for row in rows]
        self._outcomes = [view.finished(row)[0].outcome for row in rows]
        self.backends = [str(outcome.facts["backend"]) for outcome in self._outcomes]

    def of(self, name: str, show: Callable[[Any], str] = str) -> str:
        """A parameter of the rows: `2`, or `2 or 8` where they differ."""
        return either([show(getattr(params, name)) for params in self.params], self.view.language)

    def recorded(self, name: str) -> str:
        """A count that was recorded with the results, a metric or a fact."""
        found = [outcome.metrics.get(name, outcome.facts.get(name)) for outcome in self._outcomes]
        return either([counted_tex(number) for number in found], self.view.language)

    def escaped(self, value: Any) -> str:
        """Text of a parameter, safe in TeX."""
        return self.view.escape(str(value))

    def by_model(self) -> dict[str | None, Setup]:
        """The rows apart, by the model that they start from; None: a new one."""
        starts = dict.fromkeys(params.model for params in self.params)
        rows = list(zip(self.rows, self.params, strict=True))
        return {
            model: Setup(self.view, [row for row, params in rows if params.model == model], self._label)
            for model in starts
        }

    def named(self, value: str) -> str:
        """A path or a Hub id."""
        return f"\\texttt{{{self.escaped(value)}}}"

    def rows_with(self, name: str, value: Any) -> str:
        """The rows in which a parameter has that value, by their names."""
        chosen = zip(self.rows, self.params, strict=True)
        labels = [self._label(row) for row, params in chosen if getattr(params, name) == value]
        names = [self.view.escape(translated(label, self.view.language)) for label in labels]
        return either(names, self.view.language, last="and")

    def spread_over(self, strategy: str) -> tuple[str, str]:
        """Over how many processes the rows of a strategy spread a batch, and what carries their gradients."""
        found = [(p.world_size, b) for p, b in zip(self.params, self.backends, strict=True) if p.strategy == strategy]
        several = sorted({(size, backend) for size, backend in found if size > 1})
        sizes, backends = ([str(size) for size, _ in several], [self.view.escape(name) for _, name in several])
        return either(sizes, self.view.language, last="and"), either(backends, self.view.language)

    @property
    def has_single(self) -> bool:
        """Whether a row is one process with one replica."""
        return any(params.world_size == 1 and params.strategy != "dp" for params in self.params)

    @property
    def has_data_parallel(self) -> bool:
        """Whether a row is one process that splits its batch over GPUs."""
        return any(params.strategy == "dp" for params in self.params)


def method(view: View, label: Callable[[str], str]) -> Tex:
    """The set-up in words; no row of the experiment contradicts it. `label` says what a row is called."""
    return Tex((_chinese if view.language == "zh" else _english)(Setup(view, view.rows, label)))


def _english(said: Setup) -> str:
    corpora = {"embedded": "the text of the Python language reference that every CPython carries"}
    return (
        f"We train {either([_model(model, rows) for model, rows in said.by_model().items()], 'en', last='and')}. "
        f"The corpus is {said.of('corpus', lambda name: corpora.get(name) or said.named(name))} "
        f"({said.recorded('num_characters')} characters), of which {said.recorded('num_validation_characters')} are "
        f"held out and never trained on. Training takes {counted(said.recorded('num_steps'), 'step')} of "
        f"{counted(said.of('batch_size'), 'sequence')} of {counted(said.of('block_size'), 'token')} with "
        f"AdamW~\\cite{{loshchilov2019decoupled}} at a peak learning rate of "
        f"{said.of('learning_rate', lambda rate: f'${power(rate)}$')} ({said.of('lr_scheduler_type', said.escaped)} "
        f"schedule, {counted(said.of('warmup_steps'), 'warm-up step')}), "
        f"in {said.of('dtype', said.escaped)} arithmetic. {_parallel(said)} {_order(said)}, and {_average(said)}.\n"
    )


def _model(model: str | None, said: Setup) -> str:
    if model is not None:
        return f"{said.named(model)} with {said.recorded('num_parameters')} parameters"
    layers, heads = (counted(said.of(name), noun) for name, noun in (("n_layer", "layer"), ("n_head", "head")))
    return (
        f"a GPT-2-shaped model~\\cite{{radford2019language}} with {layers} of width {said.of('n_embd')}, {heads} and "
        f"{said.recorded('num_parameters')} parameters, over a byte-level BPE vocabulary~\\cite{{sennrich2016neural}} "
        f"of {said.recorded('vocab_size')} tokens"
    )


def _parallel(said: Setup) -> str:
    clauses = []
    for strategy, name in NAMES.items():
        sizes, backend = said.spread_over(strategy)
        if sizes:
            clauses.append(
                f"{name}~\\cite{{{CITED[strategy]}}} spreads every batch over {sizes} processes (backend {backend})"
            )
    if said.has_data_parallel:
        clauses.append("DataParallel splits every batch over the GPUs of one process")
    if said.has_single:
        clauses.append("a single process takes whole batches")
    sentence = either(clauses, "en", last="and")
    return sentence[0].upper() + sentence[1:] + ";"


def _order(said: Setup) -> str:
    several = any(params.world_size > 1 for params in said.params)
    shuffle = "each process draws its share of a common shuffle" if several else "the batches follow a shuffle"
    kept = {params.set_epoch for params in said.params}
    if kept == {False}:
        return f"{shuffle} that is the same in every epoch"
    return f"{shuffle} that changes every epoch" + (
        f" (the same one in every epoch for {said.rows_with('set_epoch', False)})" if False in kept else ""
    )


def _average(said: Setup) -> str:
    averages = {params.loss_average for params in said.params}
    if averages == {"ranks"}:
        return "the loss is the mean of the processes' means"
    return "the loss is the mean over all tokens of the step" + (
        f" (the mean of the processes' means for {said.rows_with('loss_average', 'ranks')})"
        if "ranks" in averages
        else ""
    )


def _chinese(said: Setup) -> str:
    corpora = {"embedded": "每个 CPython 都附带的 Python 语言参考手册"}
    return (
        f"我们训练的是{either([_model_zh(model, rows) for model, rows in said.by_model().items()], 'zh', last='and')}。"
        f"语料为{said.of('corpus', lambda name: corpora.get(name) or said.named(name))}，"
        f"共 {said.recorded('num_characters')} 个字符，"
        f"其中 {said.recorded('num_validation_characters')} 个字符留作验证，从不用于训练。"
        f"训练共 {said.recorded('num_steps')} 步，每步 {said.of('batch_size')} 个"
        f"长 {said.of('block_size')} 个词元的序列；优化器为 AdamW~\\cite{{loshchilov2019decoupled}}，峰值学习率为 "
        f"{said.of('learning_rate', lambda rate: f'${power(rate)}$')}"
        f"（{said.of('lr_scheduler_type', lambda name: SCHEDULES_ZH.get(name, said.escaped(name)))}调度，"
        f"预热 {said.of('warmup_steps')} 步），数值精度为 {said.of('dtype', said.escaped)}。"
        f"{_parallel_zh(said)}{_order_zh(said)}，{_average_zh(said)}。\n"
    )


def _model_zh(model: str | None, said: Setup) -> str:
    if model is not None:
        return f"{said.named(model)}，共 {said.recorded('num_parameters')} 个参数"
    return (
        f"GPT-2 结构的语言模型~\\cite{{radford2019language}}，共 {said.of('n_layer')} 层，宽度 {said.of('n_embd')}，"
        f"{said.of('n_head')} 个注意力头，{said.recorded('num_parameters')} 个参数；词表由字节级 BPE"
        f"~\\cite{{sennrich2016neural}} 得到，含 {said.recorded('vocab_size')} 个词元"
    )


def _parallel_zh(said: Setup) -> str:
    clauses = []
    for strategy, name in NAMES.items():
        sizes, backend = said.spread_over(strategy)
        if sizes:
            clauses.append(
                f"{name}~\\cite{{{CITED[strategy]}}} 把每一批数据分给 {sizes} 个进程（通信后端为 {backend}）"
            )
    if said.has_data_parallel:
        clauses.append("DataParallel 把每一批数据分给同一进程的多块 GPU")
    if said.has_single:
        clauses.append("单进程独自处理整批数据")
    return "，".join(clauses) + "；"


def _order_zh(said: Setup) -> str:
    whose = "，所有进程共用同一顺序，各取一份" if any(params.world_size > 1 for params in said.params) else ""
    kept = {params.set_epoch for params in said.params}
    if kept == {False}:
        return f"数据只打乱一次，每轮顺序相同{whose}"
    others = f"（{said.rows_with('set_epoch', False)}除外）" if False in kept else ""
    return f"数据每轮重新打乱一次{others}{whose}"


def _average_zh(said: Setup) -> str:
    averages = {params.loss_average for params in said.params}
    if averages == {"ranks"}:
        return "损失是各进程均值的均值"
    return "损失是该步全部词元上的均值" + (
        f"（{said.rows_with('loss_average', 'ranks')}中为各进程均值的均值）" if "ranks" in averages else ""
    )


def counted_tex(number: float | None) -> str:
    """A count as TeX, written as everywhere in the paper."""
    assert number is not None, "counts are always finite"
    return number_tex(grouped(rounded(number, 0)))


def power(number: float) -> str:
    """A learning rate as people write it: 2e-3 as `2\\cdot 10^{-3}`."""
    mantissa, _, exponent = f"{number:e}".partition("e")
    digits = mantissa.rstrip("0").rstrip(".")
    return f"{digits}\\cdot 10^{{{int(exponent)}}}" if digits != "1" else f"10^{{{int(exponent)}}}"
