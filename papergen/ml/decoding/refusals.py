"""Combinations of decoding parameters that mean nothing: each is refused with its reason and what to type instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from papergen.ml.decoding.settings import Strategy

DRAFTING = {
    "prompt_lookup_num_tokens": ("max_matching_ngram_size",),
    "assistant_model": ("num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"),
}
"""What only one kind of drafts looks at."""

_DRAWING = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}
"""Parameters that only change a random draw, with the values at which they do nothing."""


def refusals(strategy: Strategy) -> list[str]:
    """One sentence per fault of the strategy; empty when it means something. Needs no model."""
    checks = (_one_algorithm, _drafting, _drawing, _searching, _forced, _returns, _lengths, _end_of_text)
    return [fault for check in checks for fault in check(strategy)]


def _one_algorithm(s: Strategy) -> Iterator[str]:
    asked = {
        "num_beams > 1": s.num_beams > 1,
        "penalty_alpha": s.penalty_alpha is not None,
        "dola_layers": s.dola_layers is not None,
        "prompt_lookup_num_tokens": s.prompt_lookup_num_tokens is not None,
        "assistant_model": s.assistant_model is not None,
    }
    names = [name for name, is_asked in asked.items() if is_asked]
    if len(names) > 1:
        yield f"{' and '.join(names)} are different algorithms. Keep one of them."
    if s.penalty_alpha is not None and s.do_sample:
        yield "penalty_alpha takes the best token of each step, so do_sample = true has no place. Try do_sample: false."
    cached = [name for name in ("penalty_alpha", "prompt_lookup_num_tokens", "assistant_model") if asked[name]]
    if cached and not s.use_cache:
        yield f"{cached[0]} works on the cache of past tokens. Try use_cache: true."
    if s.penalty_alpha is not None and s.top_k < 2:
        yield f"top_k = {s.top_k} leaves contrastive search no choice. Try top_k: 4 with penalty_alpha: 0.6."
    if s.dola_layers == ():
        yield "dola_layers = [] names no layer. Try low, high or a list of layer numbers."


def _drafting(s: Strategy) -> Iterator[str]:
    for drafter, names in DRAFTING.items():
        for name in names:
            if getattr(s, drafter) is None and getattr(s, name) != type(s).model_fields[name].default:
                yield f"{name} = {getattr(s, name)} without {drafter} changes nothing. Leave it out, or set {drafter}."


def _drawing(s: Strategy) -> Iterator[str]:
    if s.do_sample:
        if s.top_k == 1:
            yield "top_k = 1 draws among one token, which is greedy decoding. Try do_sample: false without top_k."
        return
    changed = [name for name, idle in _DRAWING.items() if getattr(s, name) != idle]
    if s.penalty_alpha is not None:
        changed = [name for name in changed if name != "top_k"]
    if changed:
        values = ", ".join(f"{name} = {getattr(s, name)}" for name in changed)
        yield f"{values} without do_sample changes nothing: the likeliest token stays so. Try do_sample: true."


def _searching(s: Strategy) -> Iterator[str]:
    if s.num_beams % s.num_beam_groups:
        good = [str(n) for n in range(2, s.num_beams + 1) if s.num_beams % n == 0]
        remedy = f"Try {' or '.join(good)}." if good else "Raise num_beams first."
        yield f"num_beam_groups = {s.num_beam_groups} does not divide num_beams = {s.num_beams}. {remedy}"
    elif s.num_beam_groups > 1 and s.diversity_penalty == 0:
        yield "num_beam_groups > 1 with diversity_penalty = 0 runs the same search in every group. Try 0.5."
    if s.num_beam_groups == 1 and s.diversity_penalty > 0:
        yield f"diversity_penalty = {s.diversity_penalty} acts between groups. Try num_beam_groups: {s.num_beams}."
    if s.num_beam_groups > 1 and s.do_sample:
        yield "num_beam_groups > 1 with do_sample is no known algorithm. Try do_sample: false."
    if s.num_beams == 1 and s.num_beam_groups == 1:
        for name, idle in (("length_penalty", 1.0), ("early_stopping", False)):
            if getattr(s, name) != idle:
                yield f"{name} = {getattr(s, name)} ranks hypotheses, and num_beams = 1 has one. Try num_beams: 4."


def _forced(s: Strategy) -> Iterator[str]:
    if not s.is_constrained:
        return
    if s.num_beams == 1:
        yield "Forced words need a beam search to place them. Try num_beams: 4."
    if s.do_sample:
        yield "Forced words with do_sample is no known algorithm. Try do_sample: false."
    if s.num_beam_groups > 1:
        yield "Forced words with num_beam_groups > 1 is no known algorithm. Keep one of them."
    for name in ("force_words", "force_words_ids"):
        given = getattr(s, name)
        if given is None:
            continue
        if not given or any(len(item) == 0 or any(_is_empty(part) for part in item) for item in given):
            yield f"{name} = {given!r} contains an empty word, phrase or choice. Leave it out."
        elif len(set(given)) < len(given):
            yield f"{name} names the same constraint twice; an output with the word once meets both. Leave one out."


def _is_empty(part: object) -> bool:
    return part in ((), "")


def _returns(s: Strategy) -> Iterator[str]:
    n = s.num_return_sequences
    if n == 1:
        return
    if s.num_beams > 1:
        if n > s.num_beams:
            yield f"num_return_sequences = {n} is more than the num_beams = {s.num_beams} hypotheses there are."
    elif not s.do_sample:
        yield f"num_return_sequences = {n} would return {n} copies: this strategy has one output per prompt. Try 1."


def _lengths(s: Strategy) -> Iterator[str]:
    if s.max_new_tokens is None and s.max_length is None:
        yield "No length limit. Give max_new_tokens, for example 128."
    if s.max_new_tokens is not None and s.max_length is not None:
        yield (
            f"max_length = {s.max_length} is a second limit beside max_new_tokens = {s.max_new_tokens}; transformers"
            " ignores it. Leave it out, or write max_new_tokens: null beside it."
        )
    for low, high in (("min_new_tokens", "max_new_tokens"), ("min_length", "max_length")):
        least, most = getattr(s, low), getattr(s, high)
        if least is not None and most is not None and least > most:
            yield f"{low} = {least} is above {high} = {most}."
    if s.exponential_decay_length_penalty is not None:
        start, factor = s.exponential_decay_length_penalty
        given = f"exponential_decay_length_penalty = [{start}, {factor}]"
        if start < 0 or factor <= 0:
            yield f"{given}: the start counts new tokens and the factor is above 0. Try [20, 1.05]."
        elif s.max_new_tokens is not None and start >= s.max_new_tokens - 1:
            yield f"{given} begins after max_new_tokens = {s.max_new_tokens}, so it changes nothing."


def _end_of_text(s: Strategy) -> Iterator[str]:
    eos = s.eos_token_id
    ids = (eos,) if isinstance(eos, int) else eos if isinstance(eos, tuple) else ()
    if eos == ():
        yield "eos_token_id = [] names no token. Write null for no end of text, or leave it out for the model's own."
    if any(token < 0 for token in ids):
        yield f"eos_token_id = {eos} is no token. Write null to disable EOS."
    end = {"eos", *ids}
    for words in s.bad_words_ids or ():
        if not words:
            yield "bad_words_ids contains an empty sequence. Leave it out."
        elif len(words) == 1 and words[0] in end:
            yield "bad_words_ids with EOS does nothing: transformers drops it from them. Try suppress_tokens: [eos]."
    if s.pad_token_id != "model" and s.pad_token_id in ids:
        yield "pad_token_id = eos_token_id does not delay EOS: padding is masked. Leave it out; try min_new_tokens."
    if any(not sequence for sequence, _ in s.sequence_bias or ()):
        yield "sequence_bias contains an empty sequence. Leave it out."
    if s.suppress_tokens == ():
        yield "suppress_tokens = [] names no token. Leave it out."
    if s.bad_words_ids == ():
        yield "bad_words_ids = [] names no word. Leave it out."
    yield from _idle_without_end(s)


def _idle_without_end(s: Strategy) -> Iterator[str]:
    """What acts on the end of a text, or on hypotheses of unequal length, where no text can end."""
    is_suppressed = "eos" in (s.suppress_tokens or ())
    if s.eos_token_id is not None and not is_suppressed:
        return
    cause = "eos_token_id = null leaves none" if s.eos_token_id is None else "suppress_tokens: [eos] never lets it come"
    acts = {
        "min_new_tokens": s.min_new_tokens is not None,
        "min_length": s.min_length is not None,
        "exponential_decay_length_penalty": s.exponential_decay_length_penalty is not None,
        "suppress_tokens: [eos]": s.eos_token_id is None and is_suppressed,
        "sequence_bias on eos": any("eos" in sequence for sequence, _ in s.sequence_bias or ()),
    }
    for name in (name for name, is_given in acts.items() if is_given):
        yield f"{name} acts on EOS, and {cause}. Keep one of them."
    if s.num_beams > 1:
        for name, idle in (("length_penalty", 1.0), ("early_stopping", False)):
            if getattr(s, name) != idle:
                yield f"{name} is about texts that end, and {cause}: all are equally long. Keep one of them."
