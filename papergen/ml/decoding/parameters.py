"""The parameters of a decoding strategy, under transformers' names where transformers has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field

from papergen.experiment.api import Params

Token = int | Literal["eos"]
"""A token id, or `eos` for every end-of-sequence token that applies: the model's own, or those of eos_token_id."""


def _tuples(value: Any) -> Any:
    """Lists, which YAML and JSON give, as tuples, all the way down."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def _bias_pairs(value: Any) -> Any:
    """`{eos: -5}` as `[[[eos], -5.0]]`; both spellings mean the same."""
    if isinstance(value, Mapping):
        value = [[key if isinstance(key, list | tuple) else [key], bias] for key, bias in value.items()]
    return _tuples(value)


Tokens = Annotated[tuple[Token, ...], BeforeValidator(_tuples)]
Phrase = tuple[int, ...]
ForcedIds = Annotated[tuple[Phrase | tuple[Phrase, ...], ...], BeforeValidator(_tuples)]
ForcedWords = Annotated[tuple[str | tuple[str, ...], ...], BeforeValidator(_tuples)]
Bias = Annotated[tuple[tuple[tuple[Token, ...], float], ...], BeforeValidator(_bias_pairs)]
BadWords = Annotated[tuple[tuple[Token, ...], ...], BeforeValidator(_tuples)]
Decay = Annotated[tuple[int, float], BeforeValidator(_tuples)]
Layers = Annotated[Literal["low", "high"] | tuple[int, ...], BeforeValidator(_tuples)]
EosIds = Annotated[Literal["model"] | int | tuple[int, ...] | None, BeforeValidator(_tuples)]


class StrategyParameters(Params):
    """What every strategy may set; an algorithm of another name than transformers' brings fields of its own."""

    model_config = ConfigDict(allow_inf_nan=False)

    # How many tokens
    max_new_tokens: int | None = Field(default=None, ge=1, description="Most tokens to generate per prompt.")
    min_new_tokens: int | None = Field(default=None, ge=1, description="Tokens before EOS becomes possible.")
    max_length: int | None = Field(
        default=None,
        ge=2,
        description="Most tokens of prompt and continuation together, counted per prompt, not padded; with an"
        " encoder-decoder model, of the decoder's start token and the continuation.",
    )
    min_length: int | None = Field(
        default=None,
        ge=1,
        description="Tokens of prompt and continuation before EOS becomes possible, counted as in max_length.",
    )
    num_return_sequences: int = Field(default=1, ge=1, description="Continuations per prompt.")

    # Drawing at random
    do_sample: bool = Field(default=False, description="Draw each token at random instead of taking the likeliest.")
    temperature: float = Field(default=1.0, gt=0, description="Divides the logits before drawing; below 1 sharpens.")
    top_k: int = Field(
        default=0,
        ge=0,
        description="Draw among the k likeliest tokens; 0 for all (transformers silently adds 50). In contrastive"
        " search, the number of candidates.",
    )
    top_p: float = Field(default=1.0, gt=0, le=1, description="Draw from the smallest set of tokens with this mass.")
    min_p: float | None = Field(default=None, gt=0, lt=1, description="Drop tokens below this share of the likeliest.")
    typical_p: float = Field(default=1.0, gt=0, le=1, description="Mass of the locally typical set to draw from.")
    epsilon_cutoff: float = Field(default=0.0, ge=0, lt=1, description="Drop tokens whose probability is below this.")
    eta_cutoff: float = Field(default=0.0, ge=0, lt=1, description="Entropy-dependent cutoff of eta sampling.")

    # Searching
    num_beams: int = Field(default=1, ge=1, description="Hypotheses kept per prompt; 1 for no search.")
    num_beam_groups: int = Field(default=1, ge=1, description="Groups of diverse beam search; divides num_beams.")
    diversity_penalty: float = Field(
        default=0.0,
        ge=0,
        description="Taken off a token's score for each earlier group that chose it at the same step.",
    )
    length_penalty: float = Field(
        default=1.0,
        description="Exponent a of a hypothesis's score, (sum of log-probabilities) / length**a; above 0 favours long."
        " transformers' formula, not the one of Wu et al. (2016).",
    )
    early_stopping: bool | Literal["never"] = Field(
        default=False,
        description="Stop a search at num_beams finished hypotheses (true), when a better one is unlikely (false) or"
        " impossible (never).",
    )
    force_words: ForcedWords | None = Field(
        default=None,
        description="Words or phrases that every continuation must contain; a list inside is a choice of one. The"
        " search keeps num_beams hypotheses twice over.",
    )
    force_words_ids: ForcedIds | None = Field(
        default=None, description="The same as token ids: [[1, 2]] is a phrase, [[[1], [2, 3]]] a choice of one."
    )
    penalty_alpha: float | None = Field(
        default=None, gt=0, lt=1, description="Weight of the degeneration penalty of contrastive search."
    )
    dola_layers: Layers | None = Field(
        default=None, description="Layers whose logits are contrasted with the last one's: low, high or numbers."
    )
    prompt_lookup_num_tokens: int | None = Field(
        default=None, ge=1, description="Draft this many tokens by looking up the last n-gram in the text so far."
    )
    max_matching_ngram_size: int = Field(default=2, ge=1, description="Longest n-gram that prompt lookup looks for.")
    assistant_model: str | None = Field(
        default=None,
        description="Smaller model (folder or id) that drafts tokens for speculative decoding; also with do_sample.",
    )
    num_assistant_tokens: int = Field(default=5, ge=1, description="Most tokens of a draft of the assistant.")
    num_assistant_tokens_schedule: Literal["constant", "heuristic_transient"] = Field(
        default="constant",
        description="constant, or heuristic_transient: each text's next draft is two tokens longer after one that was"
        " right throughout, else one shorter.",
    )
    assistant_confidence_threshold: float = Field(
        default=0.4, ge=0, lt=1, description="A draft ends after a token of which the assistant is less sure than this."
    )

    # Changing the scores
    repetition_penalty: float = Field(
        default=1.0, gt=0, description="Divides the positive, multiplies the negative scores of tokens already there."
    )
    no_repeat_ngram_size: int = Field(default=0, ge=0, description="n-grams of this size occur once; 0 for no limit.")
    sequence_bias: Bias | None = Field(
        default=None,
        validation_alias=AliasChoices("sequence_bias", "logit_bias"),
        description="Added to the score of a token (or of a sequence's last token): {eos: -5} or [[[5, 7], -2.0]].",
    )
    suppress_tokens: Tokens | None = Field(default=None, description="Tokens that are never generated; `eos` works.")
    bad_words_ids: BadWords | None = Field(default=None, description="Token sequences that are never generated.")
    exponential_decay_length_penalty: Decay | None = Field(
        default=None, description="[start, factor]: from `start` new tokens on, EOS grows likelier by factor**steps."
    )

    # Tokens with a role, and the machinery
    eos_token_id: EosIds = Field(
        default="model", description="Tokens that end a continuation: `model` for its own, null for none."
    )
    pad_token_id: Literal["model"] | int = Field(
        default="model", description="Filler of unequal prompts; it is masked and decides nothing."
    )
    use_cache: bool = Field(
        default=True, description="Keep keys and values of past tokens; off is slow, not different."
    )

    @property
    def is_constrained(self) -> bool:
        """Whether words are forced."""
        return self.force_words is not None or self.force_words_ids is not None

    @property
    def is_deterministic(self) -> bool:
        """Whether the seed decides nothing, so that one seed is enough."""
        return not self.do_sample
