"""Generate from one model by several decoding strategies; a row is one strategy under transformers' parameter names.

Prompts are passages of the corpus's held-out part; how the human author went on is the reference. A continuation
depends on (prompt, seed, sample index) alone, and a row that draws no random numbers is run once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from papergen.decoding.settings import Strategy
from papergen.errors import PapergenError
from papergen.experiment import Context, From, Metric

if TYPE_CHECKING:
    from papergen.report.figures import Figure
    from papergen.report.parts import Part, View
    from papergen.report.tables import Table

HUMAN = "human"

METRICS = (
    Metric(name="perplexity", label="PPL", closest_to=HUMAN),
    Metric(name="nll", label="NLL", unit="nats/token", over="prompts", closest_to=HUMAN),
    Metric(name="rep_2", label="rep-2", unit="%", over="prompts", closest_to=HUMAN),
    Metric(name="rep_3", label="rep-3", unit="%", over="prompts", closest_to=HUMAN),
    Metric(name="rep_4", label="rep-4", unit="%", over="prompts", closest_to=HUMAN),
    Metric(name="repetition", label="Repetition", unit="%", over="prompts", closest_to=HUMAN),
    Metric(name="diversity", label="Diversity", over="prompts", closest_to=HUMAN),
    Metric(name="distinct_1", label="distinct-1", closest_to=HUMAN),
    Metric(name="distinct_2", label="distinct-2", closest_to=HUMAN),
    Metric(name="distinct_3", label="distinct-3", closest_to=HUMAN),
    Metric(name="self_bleu", label="self-BLEU", over="prompts", closest_to=HUMAN),
    Metric(name="zipf", label="Zipf", closest_to=HUMAN),
    Metric(name="log_prob", label="Log-probability", unit="nats", over="prompts"),
    Metric(name="length", label="Length", unit="tokens", over="prompts", closest_to=HUMAN),
    Metric(name="eos_rate", label="EOS", unit="%", over="prompts"),
    Metric(name="truncation_rate", label="Cut off", unit="%", over="prompts"),
    Metric(name="duplicates", label="Duplicates", unit="%", direction="lower", over="prompts"),
    Metric(name="constraints_met", label="Constraints met", unit="%", direction="higher", over="prompts"),
    Metric(name="tokens_per_s", label="Speed", unit="tokens/s", direction="higher"),
    Metric(name="time_to_first_token_s", label="First token", unit="s", direction="lower"),
    Metric(name="inter_token_latency_p50_s", label="Latency p50", unit="s", direction="lower"),
    Metric(name="inter_token_latency_p95_s", label="Latency p95", unit="s", direction="lower"),
    Metric(name="peak_memory_mib", label="Peak memory", unit="MiB", direction="lower"),
)


class Params(Strategy):
    """A strategy, the model it decodes, and the prompts it continues."""

    model: From | str = Field(
        description="{from: experiment}, a local model folder, or a name on the Hugging Face Hub."
    )
    scorer: str | None = Field(
        default=None, description="Model whose perplexity is reported; the generating model itself when absent."
    )
    corpus: str = Field(default="embedded", description="Text whose held-out part gives the prompts; as in training.")
    encoding: str = Field(default="utf-8", description="Encoding of the corpus files.")
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="Share of the corpus that is held out; as in training."
    )
    num_prompts: int = Field(default=64, ge=2, description="Held-out passages to continue.")
    prompt_tokens: int = Field(default=32, ge=1, description="Tokens of a passage that the model is shown.")
    max_new_tokens: int | None = Field(default=96, ge=1, description="Most tokens to generate per prompt.")
    batch_size: int = Field(default=32, ge=1, description="Prompts per batch; decides the speed, not the text.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="float32", description="Arithmetic of the model.")
    reference: bool = Field(default=False, description="Measure the human continuation instead of generating one.")

    @model_validator(mode="after")
    def _reference_generates_nothing(self) -> Params:
        if self.reference and (self.do_sample or self.num_beams > 1 or self.num_return_sequences > 1):
            raise ValueError("reference = true measures the human text and generates nothing. Leave the strategy out.")
        return self


def is_seeded(params: Params) -> bool:
    """Only a strategy that draws random numbers depends on the seed."""
    return not params.reference and not params.is_deterministic


def data(params: Params, project: Path) -> Mapping[str, str]:
    """The corpus, and the model folders that are named by path."""
    from papergen.files import digest_folder
    from papergen.training.corpus import load_corpus

    found = {"corpus": load_corpus(params, project).digest}
    for name in ("model", "scorer", "assistant_model"):
        value = getattr(params, name)
        if not isinstance(value, str):
            continue
        folder = project / Path(value).expanduser()
        if folder.is_dir():
            found[name] = digest_folder(folder)
        elif value.startswith((".", "/", "~")) or value.count("/") > 1:
            raise PapergenError(
                f"{name} = {value!r}: there is no such folder.",
                hint="Write {from: training}, the path of a model folder, or a name on the Hugging Face Hub.",
            )
    return found


def models(params: Params, upstream: Mapping[str, Path], project: Path) -> list[tuple[str, str]]:
    """What a warm worker may load once for all rows."""
    places = [str(upstream.get("model") or local(params.model, project))]
    if params.scorer is not None:
        places.append(local(params.scorer, project))
    return [(place, params.dtype) for place in places]


def run(params: Params, ctx: Context) -> Mapping[str, float]:
    """Continue the prompts, store the samples, and measure them."""
    import dataclasses

    from papergen.decoding.generate import generate
    from papergen.decoding.measure import Continuation, measure, repetition_by_position
    from papergen.decoding.models import load_model, load_tokenizer
    from papergen.decoding.scoring import score_continuations, score_texts
    from papergen.decoding.speed import BatchTiming, PeakMemory, summarise
    from papergen.training.corpus import load_corpus, prompts

    source = ctx.upstream.get("model") or local(params.model, ctx.project)
    model, tokenizer = load_model(source, dtype=params.dtype, device=ctx.device), load_tokenizer(source)
    corpus = load_corpus(params, ctx.project)
    length = params.max_new_tokens or (params.max_length or 0) - params.prompt_tokens
    passages = prompts(
        corpus, tokenizer, count=params.num_prompts, prompt_tokens=params.prompt_tokens, reference_tokens=length
    )
    starts = [passage.ids for passage in passages]
    ctx.fact("num_prompts", len(passages))
    ctx.fact("corpus_digest", corpus.digest)
    ctx.fact("num_parameters", model.num_parameters())
    speed: dict[str, float] = {}
    if params.reference:
        continuations = [
            Continuation(prompt_index=index, ids=passage.reference_ids, is_ended=False)
            for index, passage in enumerate(passages)
        ]
        full = [continuation.ids for continuation in continuations]
    else:
        timings: list[BatchTiming] = []
        with PeakMemory(ctx.device) as memory:
            found = generate(
                model,
                tokenizer,
                starts,
                params,
                seed=ctx.trial.seed,
                batch_size=params.batch_size,
                progress=lambda done, total: ctx.progress(
                    done, total, tokens_per_s=summarise(timings).tokens_per_s if timings else 0.0
                ),
                timings=timings,
            )
        continuations = [
            Continuation(
                prompt_index=item.prompt_index,
                ids=item.ids[:-1] if item.finish == "eos" else item.ids,
                is_ended=item.finish == "eos",
                is_met=item.is_met,
            )
            for item in found
        ]
        full = [item.ids for item in found]
        speed = {
            name: value for name, value in dataclasses.asdict(summarise(timings)).items() if isinstance(value, float)
        }
        speed["peak_memory_mib"] = memory.mib
    of_prompts = [starts[continuation.prompt_index] for continuation in continuations]
    texts = [tokenizer.decode(continuation.ids, skip_special_tokens=True) for continuation in continuations]
    if params.scorer is None:
        scores = score_continuations(model, of_prompts, full, batch_size=params.batch_size)
    else:
        place = local(params.scorer, ctx.project)
        scorer, scorer_tokenizer = load_model(place, dtype=params.dtype, device=ctx.device), load_tokenizer(place)
        shown = [passages[continuation.prompt_index].text for continuation in continuations]
        scores = score_texts(scorer, scorer_tokenizer, shown, texts, batch_size=params.batch_size)
    measured = measure(continuations, scores)
    for name, values in measured.units.items():
        ctx.units(name, values)
    for position, share in repetition_by_position([continuation.ids for continuation in continuations]):
        ctx.log(position, repeated=share)
    for continuation, text, score in zip(continuations, texts, scores, strict=True):
        passage = passages[continuation.prompt_index]
        ctx.sample(
            prompt_index=continuation.prompt_index,
            document=passage.document,
            prompt=passage.text,
            text=text,
            ids=list(continuation.ids),
            log_prob=score.log_prob,
            finish="eos" if continuation.is_ended else "length",
        )
    return {**measured.metrics, **{name: value for name, value in speed.items() if name in known_metrics()}}


def known_metrics() -> set[str]:
    """The names in `METRICS`."""
    return {metric.name for metric in METRICS}


def local(model: From | str, project: Path) -> str:
    """A model named in the YAML: a folder of the project by its path, else as it is written."""
    assert isinstance(model, str), "an upstream model comes by its folder"
    return str(project / model) if (project / model).is_dir() else model


def report(view: View) -> Part:
    """The comparison of strategies, its figures, one prompt continued by all of them, and the method in words."""
    from papergen.report.appendix import hyperparameter_table
    from papergen.report.parts import Part

    return Part(
        tables=(strategies(view), hyperparameter_table({row: view.params(row) for row in view.rows})),
        figures=(quality_diversity(view), repetition(view), lengths(view), *speed_quality(view)),
        texts={"method": method(view), "samples": samples(view)},
    )


def row_label(row: str) -> str:
    """What a row is called in tables and figures."""
    names = {
        "human": "human text",
        "top_k": "top-k",
        "beam_sample": "beam sampling",
        "min_p": "min-p",
        "beam": "beam search",
    }
    return names.get(row, row.replace("_", " "))


def strategies(view: View) -> Table:
    """Every strategy against the human text; intervals run over prompts, so corpus-wide metrics have none."""
    import dataclasses

    from papergen.report.tables import table_of

    names = ["perplexity", "rep_2", "rep_4", "diversity", "distinct_2", "self_bleu", "zipf", "length", "tokens_per_s"]
    table = table_of(view.results, "strategies", view.experiment, names, labels=row_label, corner="Strategy")
    over = {metric.name: metric.over for metric in METRICS}
    columns = tuple(
        dataclasses.replace(column, show="pm" if over.get(column.name) == "prompts" else "mean")
        for column in table.columns
    )
    return dataclasses.replace(table, columns=columns)


def quality_diversity(view: View) -> Figure:
    """Perplexity against diversity: the nearer to the human text, the better."""
    from papergen.report.figures import Figure, Series

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
                is_reference=row == HUMAN,
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
    from papergen.report.figures import Figure, Series

    series = []
    for row in view.rows:
        band = view.series(row, "repeated")
        smooth = [
            sum(band.mean[max(0, i - 7) : i + 1]) / len(band.mean[max(0, i - 7) : i + 1]) for i in range(len(band.mean))
        ]
        series.append(Series(label=row_label(row), x=band.steps, y=smooth, is_reference=row == HUMAN))
    return Figure(
        name="repetition",
        kind="line",
        series=tuple(series),
        x_label="Position (tokens, mean of 8)",
        y_label="Repeated tokens (%)",
    )


def lengths(view: View) -> Figure:
    """How long the continuations are."""
    from papergen.report.figures import Figure, Series

    rows = [row for row in view.rows if row != HUMAN]
    series = [
        Series(label=row_label(row), x=[float(len(sample["ids"])) for sample in view.samples(row)]) for row in rows
    ]
    return Figure(name="lengths", kind="hist", series=tuple(series), x_label="Length (tokens)", y_label="Continuations")


def speed_quality(view: View) -> tuple[Figure, ...]:
    """Tokens per second against diversity, where anything was timed."""
    from papergen.report.figures import Figure, Series

    rows = [row for row in view.rows if row != HUMAN]
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
    from papergen.decoding.describing import describe
    from papergen.report.tex import Tex

    rows = [row for row in view.rows if not view.params(row).reference]  # type: ignore[attr-defined]
    first: Any = view.params(view.rows[0])
    phrases = [describe(view.params(row)) for row in rows]  # type: ignore[arg-type]
    seeds = max((len(view.finished(row)) for row in rows), default=1)
    listed = "; ".join(phrases[:-1]) + ("; and " if len(phrases) > 1 else "") + phrases[-1] if phrases else ""
    seeded = (
        f" Strategies that draw random numbers are run under {seeds} seeds; the others are run once."
        if seeds > 1
        else ""
    )
    return Tex(
        f"We continue {first.num_prompts} held-out passages of {first.prompt_tokens} tokens by up to "
        f"{first.max_new_tokens} tokens, in {view.escape(first.dtype)} arithmetic. "
        f"The strategies are {listed}.{seeded}\n"
    )


def samples(view: View) -> Any:
    """One prompt and how every row continues it."""
    from papergen.report.tex import Tex

    of_rows = {row: view.samples(row) for row in view.rows}
    if not all(of_rows.values()):
        return Tex("")
    prompt = next(iter(of_rows.values()))[0]
    lines = [rf"\item[prompt] {quoted(view, prompt['prompt'])}"]
    for row, found in of_rows.items():
        lines.append(rf"\item[{view.escape(row_label(row))}] {quoted(view, found[0]['text'])}")
    body = "\n".join(lines)
    return Tex(f"\\begin{{description}}\n{body}\n\\end{{description}}\n")


def quoted(view: View, text: str) -> str:
    """A sample on the page: white space made single, cut after some lines."""
    words = " ".join(text.split())
    return view.escape(words if len(words) <= 360 else words[:360].rsplit(" ", 1)[0] + " ...")
