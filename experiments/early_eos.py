"""Texts that end too early, and what is done against it: one remedy a row, on the same prompts and the same model.

Remedies are parameters of the strategy (min_new_tokens, suppress_tokens, sequence_bias, ...) or other prompts. Those
that change nothing are refused there; `idle_remedy` runs them through transformers itself, to show that they do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from papergen import Context, Metric
from papergen.core.errors import PapergenError
from papergen.ml.decoding.reported_metrics import HUMAN, TEXT_METRICS
from papergen.ml.decoding.settings import DecodingSettings, digests, shared_models
from papergen.ml.decoding.strategy import Strategy

if TYPE_CHECKING:
    from papergen.experiment.shared_models import SharedModel
    from papergen.report.figures.figure import Figure
    from papergen.report.parts import Part, View
    from papergen.report.tables.table import Table

LABEL = "Early ends of text"
NONE = "none"
"""Name of the row without a remedy, with which the others are compared."""

LIMITS = ("max_new_tokens", "max_length")

METRICS = (
    Metric(name="early_rate", label="Early", unit="%", over="prompts", closest_to=HUMAN),
    Metric(name="inner_eos", label="EOS inside", over="prompts", direction="lower"),
    Metric(name="changed", label="Changed", unit="%", over="prompts"),
    *TEXT_METRICS,
)


class Params(DecodingSettings):
    """A strategy with its remedy, the model, and the openings of documents that it continues."""

    documents: Literal["whole", "paragraphs"] = Field(
        default="paragraphs", description="Where documents of the corpus end; as in the training of the model."
    )
    prompt_tokens: int = Field(default=8, ge=1, description="Tokens of a document that the model is shown.")
    early_tokens: int = Field(default=32, ge=1, description="A text that EOS ends before this many tokens ends early.")
    prompt_prefix: str = Field(default="", description="Wording put before every prompt.")
    prompt_suffix: str = Field(default="", description="Wording put after every prompt.")
    idle_remedy: Literal["pad_token_id", "bad_words_ids", "length_penalty"] | None = Field(
        default=None,
        description="A remedy without effect, tried on transformers' greedy decoding: pad_token_id = EOS, EOS among"
        " bad_words_ids, or length_penalty without beams.",
    )

    @model_validator(mode="after")
    def _one_thing_at_a_time(self) -> Params:
        if fault := self.reference_faults():
            raise ValueError(fault)
        if self.reference and (self.prompt_prefix or self.prompt_suffix):
            raise ValueError("reference = true measures the human text, which no wording changes. Leave it out.")
        if self.idle_remedy is not None and (self.reference or not self.is_plain):
            raise ValueError(
                f"idle_remedy = {self.idle_remedy} runs plain greedy decoding with nothing else. Leave the rest out."
            )
        # An encoder-decoder model counts no prompt in max_length; which kind the model is, is known when it is loaded.
        if fault := self.too_early(self.max_new_tokens or (self.max_length or 0) - 1):
            raise ValueError(fault)
        return self

    def too_early(self, most_new: int) -> str | None:
        """Why every text that may have `most_new` tokens would end early, None where not."""
        if self.early_tokens <= most_new:
            return None
        return f"early_tokens = {self.early_tokens} is above the {most_new} tokens there may be. Try {most_new}."

    @property
    def num_ranks(self) -> int:
        """Processes of the trial; transformers' own decoding is not shared."""
        return 1 if self.idle_remedy is not None else super().num_ranks

    @property
    def is_plain(self) -> bool:
        """Whether this is greedy decoding of the prompts as they are, without any remedy."""
        names = [*Strategy.model_fields, "prompt_prefix", "prompt_suffix"]
        fields = type(self).model_fields
        return all(getattr(self, name) == fields[name].default for name in names if name not in LIMITS)


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
    """Continue the openings, and count the ends."""
    from papergen.ml.decoding.early_eos import end_counts
    from papergen.ml.decoding.ineffective_remedies import texts_with_remedy
    from papergen.ml.decoding.trial import generated_texts, human_texts, load, record
    from papergen.ml.training.corpus import load_corpus, openings

    loaded = load(params, ctx)
    if fault := params.too_early(loaded.most_new(params)):
        raise PapergenError(f"{fault} max_length counts the prompt as well.")
    passages = openings(
        load_corpus(params, ctx.project),
        loaded.tokenizer,
        count=params.num_prompts,
        prompt_tokens=params.prompt_tokens,
        reference_tokens=loaded.most_new(params),
    )
    before, after = (
        loaded.tokenizer.encode(wording, add_special_tokens=False)
        for wording in (params.prompt_prefix, params.prompt_suffix)
    )
    prompts = [(*before, *passage.ids, *after) for passage in passages]
    units: dict[str, list[float]] = {}
    if params.reference:
        texts = human_texts(passages, loaded.eos)
    elif params.idle_remedy is not None:
        texts, units["changed"] = texts_with_remedy(loaded, prompts, params.idle_remedy, params)
    else:
        texts = generated_texts(loaded, prompts, params, ctx)
    units |= end_counts(texts.continuations, loaded.eos, early_tokens=params.early_tokens)
    for name, values in units.items():
        ctx.units(name, values)
    means = {name: sum(values) / len(values) for name, values in units.items()}
    return {**record(loaded, passages, prompts, texts, params, ctx), **means}


def report(view: View) -> Part:
    """The remedies side by side, how many texts still run at each length, what each costs, and the set-up in words."""
    from papergen.report.appendix import hyperparameter_table
    from papergen.report.parts import Part

    return Part(
        tables=(remedies(view), hyperparameter_table({row: view.params(row) for row in view.rows})),
        figures=(survival(view), cost(view)),
        texts={"method": method(view), "idle": idle(view)},
    )


def of(view: View, row: str) -> Params:
    """The typed parameters of a row."""
    found = view.params(row)
    assert isinstance(found, Params)
    return found


def remedies(view: View) -> Table:
    """Rate and length, what was changed, and the cost; marks for what differs from the row without a remedy."""
    import dataclasses

    from papergen.latex.text import Tex
    from papergen.report.tables.table import marked_against, table_of

    names = ["early_rate", "eos_rate", "length", "inner_eos", "changed", "perplexity", "rep_4", "diversity"]
    label = lambda row: Tex(rf"\texttt{{{view.escape(row)}}}")  # noqa: E731
    table = table_of(view.results, "remedies", view.experiment, names, labels=label, corner="Remedy")
    at = names.index("changed")
    rows = []
    for row in table.rows:
        group = "Without effect" if of(view, row.name).idle_remedy else ""
        cells = list(row.cells)
        cells[at] = changed(view, row.name) if cells[at] is None else cells[at]
        rows.append(dataclasses.replace(row, cells=tuple(cells), group=group))
    rows.sort(key=lambda row: bool(row.group))
    table = dataclasses.replace(table, rows=tuple(rows))
    return marked_against(table, NONE) if NONE in view.rows else table


def changed(view: View, row: str) -> Any:
    """Share of the prompts whose text differs from that of the row without a remedy; None where there is none."""
    from papergen.report.values import Value, summary

    if NONE not in view.rows or row == NONE or of(view, row).reference:
        return None
    base = {sample["prompt_index"]: sample["ids"] for sample in view.samples(NONE)}
    flags = [100.0 * (sample["ids"] != base.get(sample["prompt_index"])) for sample in view.samples(row)]
    digests = tuple(view.finished(name)[0].trial.digest for name in (row, NONE))
    return Value(key=view.key(row, "changed"), unit="%", over="prompts", digests=digests, **summary(flags))


def survival(view: View) -> Figure:
    """Share of texts that are not over yet, by the number of tokens."""
    from papergen.ml.decoding.setup import most_new
    from papergen.report.figures.figure import Figure, Rule, Series
    from papergen.report.tables.table import row_label

    series = []
    for row in view.rows:
        if of(view, row).idle_remedy:
            continue
        found = view.samples(row)
        # A text that the limit cut off is not over at its length.
        ends = [len(sample["ids"]) if sample["finish"] == "eos" else None for sample in found]
        steps = range(most_new(view, row) + 1)
        open_ = [100.0 * sum(end is None or end > step for end in ends) / len(ends) for step in steps]
        series.append(
            Series(
                label=row_label(row),
                x=list(steps),
                y=open_,
                is_reference=of(view, row).reference,
                digests=tuple(result.trial.digest for result in view.finished(row)),
            )
        )
    early = of(view, view.rows[0]).early_tokens
    return Figure(
        name="survival",
        kind="line",
        series=tuple(series),
        x_label="Tokens",
        y_label="Texts not ended (%)",
        y_limits=(0, 105),
        rules=(Rule(value=early, axis="x", label="early"),),
    )


def cost(view: View) -> Figure:
    """Perplexity against the rate of early ends: what an end that is kept away costs."""
    from papergen.report.figures.figure import Figure, Series
    from papergen.report.tables.table import row_label

    series = []
    for row in view.rows:
        if of(view, row).idle_remedy:
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
                names=[row_label(row)],
                is_reference=of(view, row).reference,
                digests=rate.digests,
            )
        )
    return Figure(
        name="cost",
        kind="scatter",
        series=tuple(series),
        x_label="Texts that end early (%)",
        y_label="Perplexity",
        y_scale="log",
    )


def method(view: View) -> Any:
    """The set-up in words, from the parameters of the rows."""
    from papergen.latex.text import Tex
    from papergen.ml.decoding.describing import describe
    from papergen.ml.decoding.setup import limits

    rows = [row for row in view.rows if not of(view, row).reference and of(view, row).idle_remedy is None]
    if view.language == "zh":
        return Tex(_method_zh(view, rows))
    phrases = []
    for row in rows:
        params = of(view, row)
        words = describe(params)
        wording = [
            f"the words ``{view.escape(text.strip())}'' {where} every prompt"
            for text, where in ((params.prompt_prefix, "before"), (params.prompt_suffix, "after"))
            if text
        ]
        phrases.append(", ".join([f"\\texttt{{{view.escape(row)}}}: {words}", *wording]))
    return Tex(
        f"The model continues the first {view.each('prompt_tokens')} tokens of {view.each('num_prompts')} held-out "
        f"documents by up to {limits(view)} tokens. "
        "Documents are single paragraphs, after which the model has learnt to end. "
        f"A continuation that the end-of-text token closes before token {view.each('early_tokens')} has ended early. "
        "How the authors went on is measured alike, with the ends that they chose. "
        "Perplexity and repetition~\\cite{welleck2020neural} of the longer texts are the cost of a remedy. "
        f"The remedies are {'; '.join(phrases)}.\n"
    )


def _method_zh(view: View, rows: list[str]) -> str:
    """`method` in Chinese."""
    from papergen.ml.decoding.describing_zh import describe
    from papergen.ml.decoding.setup import limits
    from papergen.report.words import translated

    phrases = []
    for row in rows:
        params = of(view, row)
        wording = [
            f"在每个提示{where}加上“{view.escape(text.strip())}”"
            for text, where in ((params.prompt_prefix, "前"), (params.prompt_suffix, "后"))
            if text
        ]
        name = translated(row, "zh")  # as the figures call it; the table has the names of the parameters
        shown = f"\\texttt{{{view.escape(row)}}}" + (f"（{view.escape(name)}）" if name != row else "")
        phrases.append(f"{shown}：{'，'.join([describe(params), *wording])}")
    return (
        f"模型读入 {view.each('num_prompts')} 篇留出文档各自开头的 {view.each('prompt_tokens')} 个词元，续写至多 "
        f"{limits(view)} 个词元。每篇文档是一个段落，模型在训练中学会了在段落之后结束文本。"
        f"续写若在第 {view.each('early_tokens')} 个词元之前以文本结束符收尾，即为过早结束。"
        "作者本人的续写以同样的方式测量，其结尾由作者自己决定。"
        "文本变长之后的困惑度与重复率~\\cite{welleck2020neural} 即为对策的代价。"
        f"所用对策为：{'；'.join(phrases)}。\n"
    )


def idle(view: View) -> Any:
    """What is often tried and does nothing: the reasons, and how many texts it changed where that was run."""
    from papergen.latex.text import Tex
    from papergen.ml.decoding.early_eos import refused
    from papergen.ml.decoding.setup import most_new
    from papergen.report.words import translated

    tried = {of(view, row).idle_remedy: view.value(row, "changed") for row in view.rows if of(view, row).idle_remedy}
    lines = []
    for one in refused(Strategy(max_new_tokens=most_new(view, view.rows[0])), eos_token_id=0):
        outcome = ""
        if one.name in tried:
            number = tried[one.name]
            count = round(number.mean * number.n / 100)
            outcome = f" It changed {count} of {number.n} texts."
            if view.language == "zh":
                outcome = f"在 {number.n} 个文本中改变了 {count} 个。"
        lines.append(
            f"\\item[\\texttt{{{view.escape(one.name)}}}] {view.escape(translated(one.why, view.language))}{outcome}"
        )
    body = "\n".join(lines)
    return Tex(f"\\begin{{description}}\n{body}\n\\end{{description}}\n")
