"""Early ends in a paper: the remedies side by side, texts that still run at each length, costs, the set-up in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from papergen.core.phrase import Phrase, listed
from papergen.latex.text import Tex
from papergen.ml.decoding.describing import describe
from papergen.ml.decoding.early_eos import refused
from papergen.ml.decoding.setup import limits, most_new
from papergen.ml.decoding.strategy import Strategy
from papergen.ml.words import PERPLEXITY
from papergen.report.figures.figure import Figure, Rule, Series
from papergen.report.parts import View
from papergen.report.tables.table import Table, marked_against, table_of
from papergen.report.values import Value, summary

NONE = "none"
"""Name of the row without a remedy, with which the others are compared."""


def remedies(view: View) -> Table:
    """Rate and length, what was changed, and the cost; marks for what differs from the row without a remedy."""
    names = ["early_rate", "eos_rate", "length", "inner_eos", "changed", "perplexity", "rep_4", "diversity"]
    label = lambda row: Tex(rf"\texttt{{{view.escape(row)}}}")  # noqa: E731
    table = table_of(view.results, "remedies", view.experiment, names, labels=label, corner=Phrase("Remedy", "对策"))
    at = names.index("changed")
    rows = []
    for row in table.rows:
        group = Phrase("Without effect", "无效") if _params(view, row.name).idle_remedy else ""
        cells = list(row.cells)
        cells[at] = _changed(view, row.name) if cells[at] is None else cells[at]
        rows.append(replace(row, cells=tuple(cells), group=group))
    rows.sort(key=lambda row: bool(row.group))
    table = replace(table, rows=tuple(rows))
    return marked_against(table, NONE) if NONE in view.rows else table


def survival(view: View) -> Figure:
    """Share of texts that are not over yet, by the number of tokens."""
    series = []
    for row in view.rows:
        if _params(view, row).idle_remedy:
            continue
        found = view.samples(row)
        # A text that the limit cut off is not over at its length.
        ends = [len(sample["ids"]) if sample["finish"] == "eos" else None for sample in found]
        steps = range(most_new(view, row) + 1)
        open_ = [100.0 * sum(end is None or end > step for end in ends) / len(ends) for step in steps]
        series.append(
            Series(
                label=view.label(row),
                x=list(steps),
                y=open_,
                is_reference=_params(view, row).reference,
                digests=tuple(result.trial.digest for result in view.finished(row)),
            )
        )
    early = _params(view, view.rows[0]).early_tokens
    return Figure(
        name="survival",
        kind="line",
        series=tuple(series),
        x_label=Phrase("Tokens", "词元数"),
        y_label=Phrase("Texts not ended (%)", "尚未结束的文本 (%)"),
        y_limits=(0, 105),
        rules=(Rule(value=early, axis="x", label=Phrase("early", "过早")),),
    )


def cost(view: View) -> Figure:
    """Perplexity against the rate of early ends: what an end that is kept away costs."""
    series = []
    for row in view.rows:
        if _params(view, row).idle_remedy:
            continue
        rate, perplexity = view.value(row, "early_rate"), view.value(row, "perplexity")
        ends = [end for end in (rate.low, rate.high, perplexity.low, perplexity.high) if end is not None]
        has_interval = len(ends) == 4 and perplexity.low is not None and perplexity.low > 0
        series.append(
            Series(
                label="",
                x=[rate.mean],
                y=[perplexity.mean],
                x_low=[max(0.0, ends[0])] if has_interval else None,
                x_high=[min(100.0, ends[1])] if has_interval else None,
                low=[ends[2]] if has_interval else None,
                high=[ends[3]] if has_interval else None,
                names=[view.label(row)],
                is_reference=_params(view, row).reference,
                digests=rate.digests,
            )
        )
    return Figure(
        name="cost",
        kind="scatter",
        series=tuple(series),
        x_label=Phrase("Texts that end early (%)", "过早结束的文本 (%)"),
        y_label=PERPLEXITY,
        y_scale="log",
    )


def method(view: View) -> Tex:
    """The set-up in words, from the parameters of the rows."""
    rows = [row for row in view.rows if not _params(view, row).reference and _params(view, row).idle_remedy is None]
    remedies = [_remedy(view, row) for row in rows]
    return Tex(
        view.said(
            Phrase(
                "The model continues the first {shown} tokens of {documents} held-out documents by up to {limits} "
                "tokens. Documents are single paragraphs, after which the model has learnt to end. "
                "A continuation that the end-of-text token closes before token {early} has ended early. "
                "How the authors went on is measured alike, with the ends that they chose. "
                "Perplexity and repetition~\\cite{{welleck2020neural}} of the longer texts are the cost of a remedy. "
                "The remedies are {remedies}.\n",
                "模型读入 {documents} 篇留出文档各自开头的 {shown} 个词元，续写至多 {limits} 个词元。"
                "每篇文档是一个段落，模型在训练中学会了在段落之后结束文本。"
                "续写若在第 {early} 个词元之前以文本结束符收尾，即为过早结束。"
                "作者本人的续写以同样的方式测量，其结尾由作者自己决定。"
                "文本变长之后的困惑度与重复率~\\cite{{welleck2020neural}} 即为对策的代价。所用对策为：{remedies}。\n",
            ).format(
                shown=view.each("prompt_tokens"),
                documents=view.each("num_prompts"),
                limits=limits(view),
                early=view.each("early_tokens"),
                remedies=Phrase("; ".join(remedies), "；".join(remedy.zh for remedy in remedies)),
            )
        )
    )


def _remedy(view: View, row: str) -> Phrase:
    """A row in words: its name as it is typed, in Chinese with what the figures call it."""
    params, label = _params(view, row), view.label(row)
    name = f"\\texttt{{{view.escape(row)}}}"
    shown = Phrase(name, f"{name}（{view.escape(label.zh)}）" if isinstance(label, Phrase) else name)
    wordings = (
        (params.prompt_prefix, Phrase("before", "前")),
        (params.prompt_suffix, Phrase("after", "后")),
    )
    wording = [
        Phrase("the words ``{text}'' {where} every prompt", "在每个提示{where}加上“{text}”").format(
            text=view.escape(text.strip()), where=where
        )
        for text, where in wordings
        if text
    ]
    return Phrase("{}: {}", "{}：{}").format(shown, listed([describe(params), *wording]))


def idle(view: View) -> Tex:
    """What is often tried and does nothing: the reasons, and how many texts it changed where that was run."""
    tried = {
        _params(view, row).idle_remedy: view.value(row, "changed")
        for row in view.rows
        if _params(view, row).idle_remedy
    }
    lines = []
    for one in refused(Strategy(max_new_tokens=most_new(view, view.rows[0])), eos_token_id=0):
        outcome: str = ""
        if one.name in tried:
            number = tried[one.name]
            count = round(number.mean * number.n / 100)
            outcome = Phrase(f" It changed {count} of {number.n} texts.", f"在 {number.n} 个文本中改变了 {count} 个。")
        lines.append(
            f"\\item[\\texttt{{{view.escape(one.name)}}}] {view.escape(view.said(one.why))}{view.said(outcome)}"
        )
    body = "\n".join(lines)
    return Tex(f"\\begin{{description}}\n{body}\n\\end{{description}}\n")


def _changed(view: View, row: str) -> Value | None:
    """Share of the prompts whose text differs from that of the row without a remedy; None where there is none."""
    if NONE not in view.rows or row == NONE or _params(view, row).reference:
        return None
    base = {sample["prompt_index"]: sample["ids"] for sample in view.samples(NONE)}
    flags = [100.0 * (sample["ids"] != base.get(sample["prompt_index"])) for sample in view.samples(row)]
    digests = tuple(view.finished(name)[0].trial.digest for name in (row, NONE))
    return Value(key=view.key(row, "changed"), unit="%", over="prompts", digests=digests, **summary(flags))


def _params(view: View, row: str) -> Any:
    """The parameters of a row, of the kind's own class."""
    return view.params(row)
