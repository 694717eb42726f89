"""Generate from one model by several decoding strategies; a row is one strategy under transformers' parameter names.

Prompts are passages of the corpus's held-out part; how the human author went on is the reference. A continuation
depends on (prompt, seed, sample index) alone, and a row that draws no random numbers is run once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import model_validator

from papergen import Context, Phrase
from papergen.core.errors import InvalidParametersError
from papergen.ml.decoding.reported_metrics import TEXT_METRICS
from papergen.ml.decoding.settings import DecodingSettings, digests, shared_models

if TYPE_CHECKING:
    from papergen.experiment.shared_models import SharedModel
    from papergen.report.parts import Part, View

METRICS = TEXT_METRICS

ROW_LABELS = {
    "human": Phrase("human text", "人类文本", also=("人类",)),
    "greedy": Phrase("greedy", "贪心搜索", also=("贪心", "贪婪")),
    "beam": Phrase("beam search", "束搜索", also=("集束搜索",)),
    "beam_sample": Phrase("beam sampling", "束采样"),
    "diverse": Phrase("diverse", "多样束搜索"),
    "contrastive": Phrase("contrastive", "对比搜索"),
    "multinomial": Phrase("multinomial", "纯采样"),
    "temperature": Phrase("temperature", "温度采样"),
    "top_k": "top-k",
    "nucleus": Phrase("nucleus", "核采样"),
    "min_p": "min-p",
    "typical": Phrase("typical", "典型采样"),
}


class Params(DecodingSettings):
    """A strategy, the model it decodes, and the prompts it continues."""

    @model_validator(mode="after")
    def _reference_generates_nothing(self) -> Params:
        if fault := self.reference_faults():
            raise InvalidParametersError(fault)
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
    from papergen.ml.decoding import report as decoding
    from papergen.report.parts import Part

    return Part(
        tables=(
            decoding.strategies(view),
            *([decoding.comparisons(view)] if len(view.rows) > 2 else []),
            view.hyperparameters(),
        ),
        figures=(
            decoding.quality_diversity(view),
            decoding.repetition(view),
            decoding.lengths(view),
            *decoding.speed_quality(view),
        ),
        texts={"method": decoding.method(view), "samples": decoding.samples(view)},
    )
