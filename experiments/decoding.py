"""Generate from one model by several decoding strategies; a row is one strategy under transformers' parameter names.

Prompts are passages of the corpus's held-out part; how the human author went on is the reference. A continuation
depends on (prompt, seed, sample index) alone, and a row that draws no random numbers is run once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import model_validator

from papergen import Context
from papergen.ml.decoding.reported_metrics import TEXT_METRICS
from papergen.ml.decoding.settings import DecodingSettings, digests, shared_models

if TYPE_CHECKING:
    from papergen.experiment.shared_models import SharedModel
    from papergen.report.figures.figure import Figure
    from papergen.report.parts import Part, View
    from papergen.report.tables.table import Table

METRICS = TEXT_METRICS


class Params(DecodingSettings):
    """A strategy, the model it decodes, and the prompts it continues."""

    @model_validator(mode="after")
    def _reference_generates_nothing(self) -> Params:
        if fault := self.reference_faults():
            raise ValueError(fault)
        return self


def is_seeded(params: Params) -> bool:
    """Only a strategy that draws random numbers depends on the seed."""
    return params.draws


def num_ranks(params: Params) -> int:
    """One process per rank."""
    return params.num_ranks


def data(params: Params, project: Path) -> Mapping[str, str]:
    """The corpus, and the model folders that are named by path."""
    from papergen.ml.training.corpus import load_corpus

    return {"corpus": load_corpus(params, project).digest, **digests(params, project)}


def models(params: Params, upstream: Mapping[str, Path], project: Path) -> list[SharedModel]:
    """What the fork server may load once for all rows."""
    return shared_models(params, upstream, project)


def run(params: Params, ctx: Context) -> Mapping[str, float]:
    """Continue the prompts, store the samples, and measure them."""
    from papergen.ml.decoding.trial import generated_texts, human_texts, load, record
    from papergen.ml.training.corpus import load_corpus, prompts

    loaded = load(params, ctx)
    corpus = load_corpus(params, ctx.project)
    passages = prompts(
        corpus,
        loaded.tokenizer,
        count=params.num_prompts,
        prompt_tokens=params.prompt_tokens,
        reference_tokens=loaded.most_new(params),
    )
    ctx.fact("corpus_digest", corpus.digest)
    starts = [passage.ids for passage in passages]
    texts = human_texts(passages, loaded.eos) if params.reference else generated_texts(loaded, starts, params, ctx)
    return record(loaded, passages, starts, texts, params, ctx)


def report(view: View) -> Part:
    """The comparison of strategies, its figures, one prompt continued by all of them, and the method in words."""
    from papergen.report.appendix import hyperparameter_table
    from papergen.report.parts import Part

    return Part(
        tables=(
            strategies(view),
            *([comparisons(view)] if len(view.rows) > 2 else []),
            hyperparameter_table({row: view.params(row) for row in view.rows}),
        ),
        figures=(quality_diversity(view), repetition(view), lengths(view), *speed_quality(view)),
        texts={"method": method(view), "samples": samples(view)},
    )


def row_label(row: str) -> str:
    """What a row is called in tables and figures: `nucleus@top_p-0.9` is nucleus, top_p 0.9."""
    from papergen.report.tables import table as tables

    names = {
        "human": "human text",
        "top_k": "top-k",
        "beam_sample": "beam sampling",
        "min_p": "min-p",
        "beam": "beam search",
    }
    return tables.row_label(row, names)


def strategies(view: View) -> Table:
    """Every strategy against the human text; stars for what differs significantly from the first strategy."""
    from papergen.report.tables.table import marked_against, table_of

    names = ["perplexity", "rep_2", "rep_4", "diversity", "distinct_2", "self_bleu", "zipf", "length", "tokens_per_s"]
    names[1:1] = [name for name in ("scorer_perplexity", "mauve", "coverage") if has_metric(view, name)]
    names += [name for name in ("acceptance_rate", "tokens_per_pass") if has_metric(view, name)]
    table = table_of(view.results, "strategies", view.experiment, names, labels=row_label, corner="Strategy")
    base = baseline(view)
    return table if base is None else marked_against(table, base)


def comparisons(view: View) -> Table:
    """Differences of diversity between every two strategies, row minus column, with stars as in `strategies`."""
    from papergen.latex.text import Tex
    from papergen.report.derived import compare, difference
    from papergen.report.statistics import holm
    from papergen.report.tables.table import Column, Row, Table

    rows = [row for row in view.rows if not params_of(view, row).reference]
    values = {row: view.value(row, "diversity") for row in rows}
    pairs = [(a, b) for place, a in enumerate(rows) for b in rows[:place]]
    ps = holm([compare(values[a], values[b]).p for a, b in pairs])
    notes = {pair: r"$^{*}$" for pair, p in zip(pairs, ps, strict=True) if p is not None and p < 0.05}
    return Table(
        name="comparisons",
        columns=tuple(Column(name=row, heading=row_label(row), show="mean") for row in rows[:-1]),
        rows=tuple(
            Row(
                name=a,
                label=row_label(a),
                cells=tuple(difference(values[a], values[b]) if (a, b) in pairs else Tex("") for b in rows[:-1]),
            )
            for a in rows[1:]
        ),
        corner="Diversity",
        marks_best=False,
        notes=notes,
    )


def params_of(view: View, row: str) -> Params:
    """The typed parameters of a row."""
    found = view.params(row)
    assert isinstance(found, Params)
    return found


def baseline(view: View) -> str | None:
    """The first strategy, with which the others are compared."""
    return next((row for row in view.rows if not params_of(view, row).reference), None)


def has_metric(view: View, name: str) -> bool:
    """Whether any row reports it."""
    return any(name in result.outcome.metrics for row in view.rows for result in view.finished(row))


def quality_diversity(view: View) -> Figure:
    """Perplexity against diversity: the nearer to the human text, the better."""
    from papergen.report.figures.figure import Figure, Series

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
                names=[row_label(row)],
                is_reference=params_of(view, row).reference,
                digests=diversity.digests,
            )
        )
    return Figure(
        name="quality-diversity",
        kind="scatter",
        series=tuple(series),
        x_label="Diversity",
        y_label="Perplexity",
        y_scale="log",
    )


def repetition(view: View) -> Figure:
    """Share of tokens that occurred shortly before, over the position in the continuation."""
    from papergen.report.figures.figure import Figure, Series

    series = []
    for row in view.rows:
        band = view.series(row, "repeated")
        smooth = [
            sum(band.mean[max(0, i - 7) : i + 1]) / len(band.mean[max(0, i - 7) : i + 1]) for i in range(len(band.mean))
        ]
        series.append(Series(label=row_label(row), x=band.steps, y=smooth, is_reference=params_of(view, row).reference))
    return Figure(
        name="repetition",
        kind="line",
        series=tuple(series),
        x_label="Position (tokens, mean of 8)",
        y_label="Repeated tokens (%)",
    )


def lengths(view: View) -> Figure:
    """How long the continuations are."""
    from papergen.report.figures.figure import Figure, Series

    rows = [row for row in view.rows if not params_of(view, row).reference]
    series = [
        Series(label=row_label(row), x=[float(len(sample["ids"])) for sample in view.samples(row)]) for row in rows
    ]
    return Figure(name="lengths", kind="hist", series=tuple(series), x_label="Length (tokens)", y_label="Continuations")


def speed_quality(view: View) -> tuple[Figure, ...]:
    """Tokens per second against diversity, where anything was timed."""
    from papergen.report.figures.figure import Figure, Series

    rows = [row for row in view.rows if not params_of(view, row).reference]
    if not rows:
        return ()
    points = [(view.value(row, "tokens_per_s"), view.value(row, "diversity"), row) for row in rows]
    series = tuple(
        Series(label="", x=[speed.mean], y=[diversity.mean], names=[row_label(row)], digests=speed.digests)
        for speed, diversity, row in points
    )
    return (Figure(name="speed", kind="scatter", series=series, x_label="Tokens per second", y_label="Diversity"),)


def method(view: View) -> Any:
    """The set-up in words, from the parameters of the rows."""
    from papergen.latex.text import Tex
    from papergen.ml.decoding.describing import describe
    from papergen.ml.decoding.setup import limits

    rows = [row for row in view.rows if not params_of(view, row).reference]
    phrases = [describe(params_of(view, row)) for row in rows]
    seeds = max((len(view.finished(row)) for row in rows), default=1)
    if view.language == "zh":
        return Tex(_method_zh(view, rows, seeds))
    num_ranks = num_ranks_of(view, rows)
    shared = f", the prompts shared by {num_ranks} processes" if num_ranks > 1 else ""
    listed = "; ".join(phrases[:-1]) + ("; and " if len(phrases) > 1 else "") + phrases[-1] if phrases else ""
    seeded = (
        f" Strategies that draw random numbers are run under {seeds} seeds; the others are run once. "
        "Every prompt has random numbers of its own, so that an interval over the prompts covers the seeds as well."
        if seeds > 1
        else ""
    )
    tested = (
        " Strategies are compared by paired $t$ tests over the prompts~\\cite{student1908probable} with Holm's "
        "correction~\\cite{holm1979simple}."
        if len(rows) > 1
        else ""
    )
    return Tex(
        f"We continue {view.each('num_prompts')} held-out passages of {view.each('prompt_tokens')} tokens by up to "
        f"{limits(view)} tokens, in {view.each('dtype', view.escape)} arithmetic{shared}. "
        f"The strategies are {listed}.{seeded}{tested} "
        "Measures of a whole set of continuations (perplexity, distinct-$n$, self-BLEU, Zipf) have the interval of the "
        "jackknife over the prompts~\\cite{efron1993introduction}.\n"
    )


def num_ranks_of(view: View, rows: list[str]) -> int:
    """Processes that share the prompts of every row; 1 where the rows differ in it, as the table of settings says."""
    found = {params_of(view, row).num_ranks for row in rows}
    return found.pop() if len(found) == 1 else 1


def _method_zh(view: View, rows: list[str], seeds: int) -> str:
    """`method` in Chinese."""
    from papergen.ml.decoding.describing_zh import describe
    from papergen.ml.decoding.setup import limits

    num_ranks = num_ranks_of(view, rows)
    shared = f"，提示由 {num_ranks} 个进程分担" if num_ranks > 1 else ""
    listed = "；".join(describe(params_of(view, row)) for row in rows)
    seeded = (
        f"含随机性的策略用 {seeds} 个随机种子各运行一次，其余策略只运行一次。"
        "每个提示都有自己的随机数，因此对提示求得的区间也涵盖了随机种子的变化。"
        if seeds > 1
        else ""
    )
    tested = (
        "策略之间的比较采用对提示的配对 $t$ 检验~\\cite{student1908probable}，并作 Holm 校正~\\cite{holm1979simple}。"
        if len(rows) > 1
        else ""
    )
    return (
        f"我们续写 {view.each('num_prompts')} 段留出的文本，每段给出 {view.each('prompt_tokens')} 个词元，续写至多 "
        f"{limits(view)} 个词元，数值精度为 {view.each('dtype', view.escape)}{shared}。"
        f"所用策略为：{listed}。{seeded}{tested}"
        "对整组续写定义的度量（困惑度、distinct-$n$、self-BLEU、Zipf 系数）的区间由对提示的刀切法"
        "~\\cite{efron1993introduction} 求得。\n"
    )


def samples(view: View) -> Any:
    """Two prompts side by side and how every row continues them: a tabular for a float over both columns."""
    from papergen.latex.text import Tex
    from papergen.report.words import translated

    of_rows = {row: {one["prompt_index"]: one for one in reversed(view.samples(row))} for row in view.rows}
    indices = list(dict.fromkeys([0, max(map(len, of_rows.values())) // 2]))
    if not all(index in found for found in of_rows.values() for index in indices):
        return Tex("")
    first = next(iter(of_rows.values()))
    lines = [(translated("prompt", view.language), [first[index]["prompt"] for index in indices])]
    lines += [
        (translated(row_label(row), view.language), [found[index]["text"] for index in indices])
        for row, found in of_rows.items()
    ]
    body = "\n\\addlinespace\n".join(
        " & ".join([view.escape(label), *(rf"{{\raggedright {quoted(view, text)}\par}}" for text in texts)]) + r" \\"
        for label, texts in lines
    )
    column = r"p{0.42\textwidth}"
    return Tex(
        f"\\begin{{tabular}}{{@{{}}p{{0.1\\textwidth}}{column * len(indices)}@{{}}}}\n\\toprule\n{body}\n"
        "\\bottomrule\n\\end{tabular}\n"
    )


def quoted(view: View, text: str, most: int = 240) -> str:
    """A sample on the page: white space made single, cut after about `most` letters; a Chinese one is two wide."""
    from papergen.report.excerpts import excerpt

    return view.escape(excerpt(text, most))
