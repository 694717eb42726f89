"""Biases of shortcuts in a paper: by number of ranks as a table, the gradient's as a figure, the method in words."""

from __future__ import annotations

from typing import Any

from papergen.core.phrase import Phrase
from papergen.latex.text import Tex
from papergen.ml.training.scaling import RANKS
from papergen.report.figures.figure import Figure, Series
from papergen.report.parts import View
from papergen.report.tables.table import Table, table_of


def by_ranks(view: View) -> Table:
    """All biases, row by row in the order of the ranks."""
    return table_of(
        view.results,
        "biases",
        view.experiment,
        ["gradient_bias", "padded_bias", "rank_mean_bias", "num_repeated"],
        rows=_by_size(view),
        labels=lambda row: str(_size(view, row)),
        corner=RANKS,
        marks_best=False,
        groups=dict.fromkeys(("padded_bias", "rank_mean_bias", "num_repeated"), Phrase("Evaluation", "评估")),
    )


def gradient(view: View) -> Figure:
    """The error of the gradient over the number of ranks, with its interval over the batches."""
    rows = _by_size(view)
    bias = [view.value(row, "gradient_bias") for row in rows]
    sizes = [_size(view, row) for row in rows]
    return Figure(
        name="gradient",
        kind="line",
        series=(
            Series(
                label="",
                x=sizes,
                y=[value.mean for value in bias],
                low=[value.mean if value.low is None else value.low for value in bias],
                high=[value.mean if value.high is None else value.high for value in bias],
                digests=[digest for value in bias for digest in value.digests],
            ),
        ),
        x_label=RANKS,
        y_label=Phrase("Error of the gradient (%)", "梯度误差 (%)"),
        x_scale="log",
        x_ticks=sorted(set(sizes)),
        y_limits=(0, None),
    )


def method(view: View) -> Tex:
    """What was compared, from the recorded parameters."""
    return Tex(
        view.said(
            Phrase(
                "At the weights of the trained model we compare the gradient of the mean over all tokens of a step "
                "with the mean of the ranks' means, over {steps} steps of {sequences} sequences that end with their "
                "document (at most {tokens} tokens); the error is the norm of the difference over the norm of the "
                "former. The held-out text is scored exactly, and as a sampler reports it that repeats sequences until "
                "all ranks have equally many.\n",
                "在训练所得的权重处，我们将一步中全部词元上均值的梯度与各进程均值的平均相比较，"
                "共 {steps} 步，每步 {sequences} 个随文档结束的序列（最长 {tokens} 个词元）；"
                "误差为二者之差的范数与前者范数之比。"
                "留出的文本既作准确评分，也按采样器所报告的方式评分，即重复一些序列，直到各进程的序列数相等。\n",
            ).format(steps=view.each("num_batches"), sequences=view.each("batch_size"), tokens=view.each("block_size"))
        )
    )


def _size(view: View, row: str) -> int:
    params: Any = view.params(row)
    return int(params.world_size)


def _by_size(view: View) -> list[str]:
    return sorted(view.rows, key=lambda row: _size(view, row))
