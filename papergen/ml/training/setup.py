"""The set-up of training runs in words: what all rows share, and every value of what they differ in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from papergen.core.errors import counted
from papergen.core.numbers import grouped, rounded
from papergen.core.phrase import Phrase
from papergen.latex.text import Tex, number_tex
from papergen.report.parts import View
from papergen.report.words import either

CITED = {"ddp": "li2020pytorch", "fsdp2": "zhao2023fsdp"}
NAMES = {"ddp": "DistributedDataParallel", "fsdp2": "FSDP2"}
SCHEDULES = {
    "linear": Phrase("linear", "线性"),
    "cosine": Phrase("cosine", "余弦"),
    "constant": Phrase("constant", "恒定"),
}
EMBEDDED = Phrase(
    "the text of the Python language reference that every CPython carries",
    "每个 CPython 都附带的 Python 语言参考手册",
)


class Setup:
    """What the rows of a training experiment recorded, as lists over the rows and in the words of the paper."""

    def __init__(self, view: View, rows: Sequence[str]) -> None:
        self.view, self.rows = view, rows
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
        return {model: Setup(self.view, [row for row, params in rows if params.model == model]) for model in starts}

    def named(self, value: str) -> str:
        """A path or a Hub id."""
        return f"\\texttt{{{self.escaped(value)}}}"

    def rows_with(self, name: str, value: Any) -> str:
        """The rows in which a parameter has that value, by their names."""
        chosen = zip(self.rows, self.params, strict=True)
        labels = [self.view.label(row) for row, params in chosen if getattr(params, name) == value]
        names = [self.view.escape(self.view.said(label)) for label in labels]
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


def method(view: View) -> Tex:
    """The set-up in words; no row of the experiment contradicts it."""
    setup = Setup(view, view.rows)
    models = [_model(model, rows) for model, rows in setup.by_model().items()]
    return Tex(
        view.said(
            Phrase(
                "We train {models}. The corpus is {corpus} ({characters} characters), of which {held_out} are held out "
                "and never trained on. Training takes {steps} of {sequences} of {tokens} with "
                "AdamW~\\cite{{loshchilov2019decoupled}} at a peak learning rate of {rate} ({schedule} schedule, "
                "{warmup}), in {dtype} arithmetic. {parallel} {order}, and {average}.\n",
                "我们训练的是{models}。语料为{corpus}，共 {characters} 个字符，"
                "其中 {held_out} 个字符留作验证，从不用于训练。"
                "训练共 {steps} 步，每步 {sequences} 个长 {tokens} 个词元的序列；"
                "优化器为 AdamW~\\cite{{loshchilov2019decoupled}}，"
                "峰值学习率为 {rate}（{schedule}调度，预热 {warmup} 步），"
                "数值精度为 {dtype}。{parallel}{order}，{average}。\n",
            ).format(
                models=either(models, view.language, last="and"),
                corpus=setup.of("corpus", lambda name: EMBEDDED if name == "embedded" else setup.named(name)),
                characters=setup.recorded("num_characters"),
                held_out=setup.recorded("num_validation_characters"),
                steps=_counted(setup.recorded("num_steps"), "step"),
                sequences=_counted(setup.of("batch_size"), "sequence"),
                tokens=_counted(setup.of("block_size"), "token"),
                rate=setup.of("learning_rate", lambda rate: f"${power(rate)}$"),
                schedule=setup.of("lr_scheduler_type", lambda name: SCHEDULES.get(name) or setup.escaped(name)),
                warmup=_counted(setup.of("warmup_steps"), "warm-up step"),
                dtype=setup.of("dtype", setup.escaped),
                parallel=_parallel(setup),
                order=_order(setup),
                average=_average(setup),
            )
        )
    )


def _counted(count: str, noun: str) -> Phrase:
    """A count: with its noun in English, without it in Chinese, where the sentence has the noun."""
    return Phrase(counted(count, noun), count)


def _model(model: str | None, setup: Setup) -> Phrase:
    parameters = setup.recorded("num_parameters")
    if model is not None:
        return Phrase("{} with {} parameters", "{}，共 {} 个参数").format(setup.named(model), parameters)
    return Phrase(
        "a GPT-2-shaped model~\\cite{{radford2019language}} with {layers} of width {width}, {heads} and "
        "{parameters} parameters, over a byte-level BPE vocabulary~\\cite{{sennrich2016neural}} of {pieces} tokens",
        "GPT-2 结构的语言模型~\\cite{{radford2019language}}，共 {layers} 层，宽度 {width}，{heads} 个注意力头，"
        "{parameters} 个参数；词表由字节级 BPE~\\cite{{sennrich2016neural}} 得到，含 {pieces} 个词元",
    ).format(
        layers=_counted(setup.of("n_layer"), "layer"),
        width=setup.of("n_embd"),
        heads=_counted(setup.of("n_head"), "head"),
        parameters=parameters,
        pieces=setup.recorded("vocab_size"),
    )


def _parallel(setup: Setup) -> Phrase:
    clauses = []
    for strategy, name in NAMES.items():
        sizes, backend = setup.spread_over(strategy)
        if sizes:
            clauses.append(
                Phrase(
                    f"{name}~\\cite{{{CITED[strategy]}}} spreads every batch over {sizes} processes "
                    f"(backend {backend})",
                    f"{name}~\\cite{{{CITED[strategy]}}} 把每一批数据分给 {sizes} 个进程（通信后端为 {backend}）",
                )
            )
    if setup.has_data_parallel:
        clauses.append(
            Phrase(
                "DataParallel splits every batch over the GPUs of one process",
                "DataParallel 把每一批数据分给同一进程的多块 GPU",
            )
        )
    if setup.has_single:
        clauses.append(Phrase("a single process takes whole batches", "单进程独自处理整批数据"))
    sentence = either(clauses, "en", last="and")
    return Phrase(sentence[0].upper() + sentence[1:] + ";", "，".join(clause.zh for clause in clauses) + "；")


def _order(setup: Setup) -> Phrase:
    if any(params.world_size > 1 for params in setup.params):
        shuffle = Phrase("each process draws its share of a common shuffle", "，所有进程共用同一顺序，各取一份")
    else:
        shuffle = Phrase("the batches follow a shuffle", "")
    kept = {params.set_epoch for params in setup.params}
    if kept == {False}:
        return Phrase("{} that is the same in every epoch", "数据只打乱一次，每轮顺序相同{}").format(shuffle)
    others = setup.rows_with("set_epoch", False)
    but = Phrase(f" (the same one in every epoch for {others})", f"（{others}除外）") if False in kept else ""
    return Phrase("{shuffle} that changes every epoch{but}", "数据每轮重新打乱一次{but}{shuffle}").format(
        shuffle=shuffle, but=but
    )


def _average(setup: Setup) -> Phrase:
    averages = {params.loss_average for params in setup.params}
    if averages == {"ranks"}:
        return Phrase("the loss is the mean of the processes' means", "损失是各进程均值的均值")
    others = setup.rows_with("loss_average", "ranks")
    but = Phrase(f" (the mean of the processes' means for {others})", f"（{others}中为各进程均值的均值）")
    return Phrase("the loss is the mean over all tokens of the step{}", "损失是该步全部词元上的均值{}").format(
        but if "ranks" in averages else ""
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
