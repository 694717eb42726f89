"""Texts that end too early, and what is done against it: one remedy a row, on the same prompts and the same model.

Remedies are parameters of the strategy (min_new_tokens, suppress_tokens, sequence_bias, ...) or other prompts. Those
that change nothing are refused there; `idle_remedy` runs them through transformers itself, to show that they do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from papergen import Context, Metric, Phrase
from papergen.core.errors import InvalidParametersError, PapergenError, ParameterFault
from papergen.ml.decoding.reported_metrics import REFERENCE, TEXT_METRICS
from papergen.ml.decoding.settings import DecodingSettings, digests, shared_models
from papergen.ml.decoding.strategy import Strategy

if TYPE_CHECKING:
    from papergen.experiment.shared_models import SharedModel
    from papergen.report.parts import Part, View

LABEL = "Early ends of text"
LIMITS = ("max_new_tokens", "max_length")

METRICS = (
    Metric(name="early_rate", label=Phrase("Early", "过早结束"), unit="%", over="prompts", closest_where=REFERENCE),
    Metric(name="inner_eos", label=Phrase("EOS inside", "内含 EOS"), over="prompts", direction="lower"),
    Metric(name="changed", label=Phrase("Changed", "有改动"), unit="%", over="prompts"),
    *TEXT_METRICS,
)

ROW_LABELS = {
    "human": Phrase("human", "人类文本", also=("人类",)),
    "none": Phrase("none", "无"),
    "min_new_tokens": Phrase("min new tokens", "最少新词元数"),
    "min_length": Phrase("min length", "最小长度"),
    "suppress_tokens": Phrase("suppress tokens", "禁止 EOS"),
    "sequence_bias": Phrase("sequence bias", "EOS 偏置"),
    "eos_disabled": Phrase("eos disabled", "忽略 EOS"),
    "beam": Phrase("beam", "束搜索", also=("集束搜索",)),
    "length_penalty": Phrase("length penalty", "长度惩罚"),
    "wording": Phrase("wording", "改写提示"),
}


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
            raise InvalidParametersError(fault)
        if self.reference and (self.prompt_prefix or self.prompt_suffix):
            raise InvalidParametersError(
                ParameterFault(
                    "reference = true measures the human text, which no wording changes. Leave it out.", "reference"
                )
            )
        if self.idle_remedy is not None and (self.reference or not self.is_plain):
            raise InvalidParametersError(
                ParameterFault(
                    f"idle_remedy = {self.idle_remedy} runs plain greedy decoding with nothing else."
                    " Leave the rest out.",
                    "idle_remedy",
                )
            )
        # An encoder-decoder model counts no prompt in max_length; which kind the model is, is known when it is loaded.
        if fault := self.too_early(self.max_new_tokens or (self.max_length or 0) - 1):
            raise InvalidParametersError(ParameterFault(fault, "early_tokens"))
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
    from papergen.ml.decoding import early_eos_report as early
    from papergen.report.parts import Part

    return Part(
        tables=(early.remedies(view), view.hyperparameters()),
        figures=(early.survival(view), early.cost(view)),
        texts={"method": early.method(view), "idle": early.idle(view)},
    )
