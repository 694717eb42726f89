"""Early ends of text: what people try against them, side by side as named strategies, and what of it does nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from papergen.core.phrase import Phrase
from papergen.ml.decoding.strategy import Strategy

if TYPE_CHECKING:
    from papergen.ml.decoding.measure import Continuation


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """One way to make texts longer."""

    name: str
    """Name of the row, fit for a result key."""
    changes: Mapping[str, Any]
    """What it sets on top of the base strategy."""
    note: str
    """What it does, in one sentence."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A remedy that people try and that does nothing."""

    name: str
    changes: Mapping[str, Any]
    reason: str
    """What our own checks say when it is asked for."""
    why: str
    """The same for a reader of the paper."""


WHY = {
    "pad_token_id": Phrase(
        "The padding token set to the end-of-text token: padding is masked and decides nothing.",
        "把填充符设为文本结束符：填充处被掩码屏蔽，不起任何作用。",
    ),
    "bad_words_ids": Phrase(
        "The end-of-text token among the forbidden words: transformers takes it off that list unasked.",
        "把文本结束符列入禁用词：transformers 会自行把它从列表中去掉。",
    ),
    "length_penalty": Phrase(
        "A length penalty without beams: it ranks hypotheses, and greedy decoding has one.",
        "不用束搜索时的长度惩罚：它只给候选排序，而贪心搜索只有一个候选。",
    ),
}


def remedies(base: Strategy, *, min_new_tokens: int, prompt_tokens: int, eos_bias: float = -5.0) -> dict[str, Remedy]:
    """Every remedy that applies to `base`, by name, `none` first.

    `min_new_tokens` is the length wanted, `prompt_tokens` the length of the prompts, which min_length counts. Prompt
    wording, the remaining remedy, changes the prompts and not the strategy: run `none` on the other prompts.
    """
    found = [
        Remedy(name="none", changes={}, note="The base strategy, for comparison."),
        Remedy(
            name="min_new_tokens",
            changes={"min_new_tokens": min_new_tokens},
            note="EOS is impossible for the first new tokens.",
        ),
        Remedy(
            name="min_length",
            changes={"min_length": prompt_tokens + min_new_tokens},
            note="The same, with the prompt's tokens counted.",
        ),
        Remedy(
            name="suppress_tokens",
            changes={"suppress_tokens": ["eos"]},
            note="EOS is never generated: every text runs to the limit.",
        ),
        Remedy(
            name="sequence_bias",
            changes={"sequence_bias": {"eos": eos_bias}},
            note="The score of EOS is lowered by a constant.",
        ),
        Remedy(
            name="eos_disabled",
            changes={"eos_token_id": None},
            note="EOS may be generated but ends nothing: what follows is a new text.",
        ),
    ]
    if base.is_search:
        found.append(
            Remedy(
                name="length_penalty",
                changes={"length_penalty": base.length_penalty + 1.0},
                note="Scores divided by a higher power of the length favour long hypotheses.",
            )
        )
    return {remedy.name: remedy for remedy in found}


def strategy_with(base: Strategy, changes: Mapping[str, Any]) -> Strategy:
    """The base strategy with the changes; pydantic's ValidationError when the combination means nothing."""
    return Strategy.model_validate({**base.model_dump(mode="json"), **changes})


def refused(base: Strategy, *, eos_token_id: int) -> list[Refused]:
    """The remedies that do nothing, each with the reason that our own checks give; for the table of the experiment."""
    tried: dict[str, dict[str, Any]] = {
        "pad_token_id": {"eos_token_id": eos_token_id, "pad_token_id": eos_token_id},
        "bad_words_ids": {"eos_token_id": eos_token_id, "bad_words_ids": [[eos_token_id]]},
    }
    if not base.is_search:
        tried["length_penalty"] = {"length_penalty": 2.0}
    found = []
    for name, changes in tried.items():
        try:
            strategy_with(base, changes)
        except ValidationError as error:
            (told,) = error.errors()
            reason = " ".join(map(str, told["ctx"]["error"].faults))
            found.append(Refused(name=name, changes=changes, reason=reason, why=WHY[name]))
        else:
            raise AssertionError(f"{name} does nothing against early ends and was not refused")
    return found


def end_counts(
    continuations: Sequence[Continuation], eos: Sequence[int], *, early_tokens: int
) -> dict[str, list[float]]:
    """Per prompt: the share, in percent, of texts that end before `early_tokens` tokens, and EOS tokens inside."""
    early: dict[int, list[float]] = {}
    inner: dict[int, list[float]] = {}
    for one in continuations:
        early.setdefault(one.prompt_index, []).append(100.0 * (one.is_ended and len(one.ids) < early_tokens))
        inner.setdefault(one.prompt_index, []).append(float(sum(token in eos for token in one.ids)))
    return {
        "early_rate": [sum(values) / len(values) for values in early.values()],
        "inner_eos": [sum(values) / len(values) for values in inner.values()],
    }
