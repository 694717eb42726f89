"""Strategies of decoding in a paper: their comparison, its figures, prompts continued by all, the method in words."""

from __future__ import annotations

from papergen.core.phrase import Phrase
from papergen.core.widths import excerpt
from papergen.latex.text import Tex
from papergen.ml.decoding.describing import describe
from papergen.ml.decoding.settings import DecodingSettings
from papergen.ml.decoding.setup import limits
from papergen.ml.words import PERPLEXITY
from papergen.report.derived import compare, difference
from papergen.report.figures.figure import Figure, Series
from papergen.report.parts import View
from papergen.report.statistics import holm
from papergen.report.tables.table import Column, Row, Table, marked_against, table_of

DIVERSITY = Phrase("Diversity", "多样性")
LENGTH_OF_A_SAMPLE = 240
"""Letters of a text in the table of samples."""


def strategies(view: View) -> Table:
    """Every strategy against the human text; stars for what differs significantly from the first strategy."""
    names = ["perplexity", "rep_2", "rep_4", "diversity", "distinct_2", "self_bleu", "zipf", "length", "tokens_per_s"]
    names[1:1] = [name for name in ("scorer_perplexity", "mauve", "coverage") if _has_metric(view, name)]
    names += [name for name in ("acceptance_rate", "tokens_per_pass") if _has_metric(view, name)]
    table = table_of(view.results, "strategies", view.experiment, names, corner=Phrase("Strategy", "策略"))
    generating = _generating(view)
    return marked_against(table, generating[0]) if generating else table


def comparisons(view: View) -> Table:
    """Differences of diversity between every two strategies, row minus column, with stars as in `strategies`."""
    rows = _generating(view)
    values = {row: view.value(row, "diversity") for row in rows}
    pairs = [(a, b) for place, a in enumerate(rows) for b in rows[:place]]
    ps = holm([compare(values[a], values[b]).p for a, b in pairs])
    notes = {pair: r"$^{*}$" for pair, p in zip(pairs, ps, strict=True) if p is not None and p < 0.05}
    return Table(
        name="comparisons",
        columns=tuple(Column(name=row, heading=view.label(row), show="mean") for row in rows[:-1]),
        rows=tuple(
            Row(
                name=a,
                label=view.label(a),
                cells=tuple(difference(values[a], values[b]) if (a, b) in pairs else Tex("") for b in rows[:-1]),
            )
            for a in rows[1:]
        ),
        corner=DIVERSITY,
        marks_best=False,
        notes=notes,
    )


def quality_diversity(view: View) -> Figure:
    """Perplexity against diversity: the nearer to the human text, the better."""
    series = []
    for row in view.rows:
        diversity, perplexity = view.value(row, "diversity"), view.value(row, "perplexity")
        has_interval = diversity.low is not None and diversity.high is not None
        series.append(
            Series(
                label="",
                x=[diversity.mean],
                y=[perplexity.mean],
                x_low=[diversity.low] if has_interval and diversity.low is not None else None,
                x_high=[diversity.high] if has_interval and diversity.high is not None else None,
                names=[view.label(row)],
                is_reference=_params(view, row).reference,
                digests=diversity.digests,
            )
        )
    return Figure(
        name="quality-diversity",
        kind="scatter",
        series=tuple(series),
        x_label=DIVERSITY,
        y_label=PERPLEXITY,
        y_scale="log",
    )


def repetition(view: View) -> Figure:
    """Share of tokens that occurred shortly before, over the position in the continuation."""
    series = []
    for row in view.rows:
        band = view.series(row, "repeated")
        smooth = [
            sum(band.mean[max(0, i - 7) : i + 1]) / len(band.mean[max(0, i - 7) : i + 1]) for i in range(len(band.mean))
        ]
        series.append(Series(label=view.label(row), x=band.steps, y=smooth, is_reference=_params(view, row).reference))
    return Figure(
        name="repetition",
        kind="line",
        series=tuple(series),
        x_label=Phrase("Position (tokens, mean of 8)", "位置 (词元，8 个平均)"),
        y_label=Phrase("Repeated tokens (%)", "重复的词元 (%)"),
    )


def lengths(view: View) -> Figure:
    """How long the continuations are."""
    rows = _generating(view)
    series = [
        Series(label=view.label(row), x=[float(len(sample["ids"])) for sample in view.samples(row)]) for row in rows
    ]
    return Figure(
        name="lengths",
        kind="hist",
        series=tuple(series),
        x_label=Phrase("Length (tokens)", "长度 (词元)"),
        y_label=Phrase("Continuations", "续写数"),
    )


def speed_quality(view: View) -> tuple[Figure, ...]:
    """Tokens per second against diversity, where anything was timed."""
    rows = _generating(view)
    if not rows:
        return ()
    points = [(view.value(row, "tokens_per_s"), view.value(row, "diversity"), row) for row in rows]
    series = tuple(
        Series(label="", x=[speed.mean], y=[diversity.mean], names=[view.label(row)], digests=speed.digests)
        for speed, diversity, row in points
    )
    return (
        Figure(
            name="speed",
            kind="scatter",
            series=series,
            x_label=Phrase("Tokens per second", "每秒词元数"),
            y_label=DIVERSITY,
        ),
    )


def method(view: View) -> Tex:
    """The set-up in words, from the parameters of the rows."""
    rows = _generating(view)
    phrases = [describe(_params(view, row)) for row in rows]
    seeds = max((len(view.finished(row)) for row in rows), default=1)
    num_ranks = _num_ranks(view, rows)
    shared = Phrase(f", the prompts shared by {num_ranks} processes", f"，提示由 {num_ranks} 个进程分担")
    *before, last = phrases or [Phrase("", "")]
    and_last = "; and " if before else ""
    strategies = Phrase("; ".join(before) + and_last + last, "；".join(phrase.zh for phrase in phrases))
    seeded = Phrase(
        f" Strategies that draw random numbers are run under {seeds} seeds; the others are run once. "
        "Every prompt has random numbers of its own, so that an interval over the prompts covers the seeds as well.",
        f"含随机性的策略用 {seeds} 个随机种子各运行一次，其余策略只运行一次。"
        "每个提示都有自己的随机数，因此对提示求得的区间也涵盖了随机种子的变化。",
    )
    tested = Phrase(
        " Strategies are compared by paired $t$ tests over the prompts~\\cite{student1908probable} with Holm's "
        "correction~\\cite{holm1979simple}.",
        "策略之间的比较采用对提示的配对 $t$ 检验~\\cite{student1908probable}，并作 Holm 校正~\\cite{holm1979simple}。",
    )
    return Tex(
        view.said(
            Phrase(
                "We continue {prompts} held-out passages of {tokens} tokens by up to {limits} tokens, in {dtype} "
                "arithmetic{shared}. The strategies are {strategies}.{seeded}{tested} "
                "Measures of a whole set of continuations (perplexity, distinct-$n$, self-BLEU, Zipf) have the "
                "interval of the jackknife over the prompts~\\cite{{efron1993introduction}}.\n",
                "我们续写 {prompts} 段留出的文本，每段给出 {tokens} 个词元，续写至多 {limits} 个词元，"
                "数值精度为 {dtype}{shared}。所用策略为：{strategies}。{seeded}{tested}"
                "对整组续写定义的度量（困惑度、distinct-$n$、self-BLEU、Zipf 系数）的区间由对提示的刀切法"
                "~\\cite{{efron1993introduction}} 求得。\n",
            ).format(
                prompts=view.each("num_prompts"),
                tokens=view.each("prompt_tokens"),
                limits=limits(view),
                dtype=view.each("dtype", view.escape),
                shared=shared if num_ranks > 1 else "",
                strategies=strategies,
                seeded=seeded if seeds > 1 else "",
                tested=tested if len(rows) > 1 else "",
            )
        )
    )


def samples(view: View) -> Tex:
    """Two prompts side by side and how every row continues them: a tabular for a float over both columns."""
    of_rows = {row: {one["prompt_index"]: one for one in reversed(view.samples(row))} for row in view.rows}
    indices = list(dict.fromkeys([0, max(map(len, of_rows.values())) // 2]))
    if not all(index in found for found in of_rows.values() for index in indices):
        return Tex("")
    first = next(iter(of_rows.values()))
    lines = [(view.said(Phrase("prompt", "提示")), [first[index]["prompt"] for index in indices])]
    lines += [
        (view.said(view.label(row)), [found[index]["text"] for index in indices]) for row, found in of_rows.items()
    ]
    body = "\n\\addlinespace\n".join(
        " & ".join(
            [
                view.escape(label),
                *(rf"{{\raggedright {view.escape(excerpt(text, LENGTH_OF_A_SAMPLE))}\par}}" for text in texts),
            ]
        )
        + r" \\"
        for label, texts in lines
    )
    column = r"p{0.42\textwidth}"
    return Tex(
        f"\\begin{{tabular}}{{@{{}}p{{0.1\\textwidth}}{column * len(indices)}@{{}}}}\n\\toprule\n{body}\n"
        "\\bottomrule\n\\end{tabular}\n"
    )


def _generating(view: View) -> list[str]:
    """The rows that generate: all but the human text."""
    return [row for row in view.rows if not _params(view, row).reference]


def _num_ranks(view: View, rows: list[str]) -> int:
    """Processes that share the prompts of every row; 1 where the rows differ in it, as the table of settings says."""
    found = {_params(view, row).num_ranks for row in rows}
    return found.pop() if len(found) == 1 else 1


def _params(view: View, row: str) -> DecodingSettings:
    found = view.params(row)
    assert isinstance(found, DecodingSettings)
    return found


def _has_metric(view: View, name: str) -> bool:
    """Whether any row reports it."""
    return any(name in result.outcome.metrics for row in view.rows for result in view.finished(row))
