"""Combinations of decoding parameters that mean nothing: each is refused with its reason and what to type instead."""

from __future__ import annotations

from collections.abc import Iterator

from papergen.core.errors import ParameterFault
from papergen.ml.decoding.algorithm import Algorithm, algorithms, selected
from papergen.ml.decoding.parameters import StrategyParameters

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


def faults(strategy: StrategyParameters) -> list[ParameterFault]:
    """All faults of the strategy; empty when it means something. Needs no model."""
    checks = (_one_algorithm, _algorithm, _owned, _drawing, _returns, _lengths, _end_of_text)
    return [fault for check in checks for fault in check(strategy)]


def _one_algorithm(s: StrategyParameters) -> Iterator[ParameterFault]:
    names = list(dict.fromkeys(one.asked_by for one in selected(s)))
    if len(names) > 1:
        asking = [name for one in selected(s) for name in _asking(one, s)]
        yield ParameterFault(f"{' and '.join(names)} are different algorithms. Keep one of them.", *asking)


def _asking(one: Algorithm, s: StrategyParameters) -> list[str]:
    """The parameters that ask for the algorithm in this strategy."""
    return [name for name in one.asking if getattr(s, name) != type(s).model_fields[name].default]


def _algorithm(s: StrategyParameters) -> Iterator[ParameterFault]:
    """What the algorithms that are asked for refuse."""
    for one in selected(s):
        if one.needs_cache and not s.use_cache:
            yield ParameterFault(
                f"{one.asked_by} works on the cache of past tokens. Try use_cache: true.", *_asking(one, s), "use_cache"
            )
        yield from one.faults(s)


def _owned(s: StrategyParameters) -> Iterator[ParameterFault]:
    """Parameters that only other algorithms look at."""
    used = {name for one in selected(s) for name in one.own_parameters}
    owners = {name: one for one in reversed(algorithms()) for name in one.own_parameters}
    for name, owner in sorted(owners.items()):
        if name not in used and getattr(s, name) != type(s).model_fields[name].default:
            yield owner.fault_without(s, name)


def _drawing(s: StrategyParameters) -> Iterator[ParameterFault]:
    if s.do_sample:
        if s.top_k == 1:
            yield ParameterFault(
                "top_k = 1 draws among one token, which is greedy decoding. Try do_sample: false without top_k.",
                "top_k",
                "do_sample",
            )
        return
    changed = [name for name, idle in _DRAWING.items() if getattr(s, name) != idle]
    changed = [name for name in changed if not any(name in one.also_reads for one in selected(s))]
    if changed:
        values = ", ".join(f"{name} = {getattr(s, name)}" for name in changed)
        yield ParameterFault(
            f"{values} without do_sample changes nothing: the likeliest token stays so. Try do_sample: true.", *changed
        )


def _returns(s: StrategyParameters) -> Iterator[ParameterFault]:
    n = s.num_return_sequences
    limits = [limit for one in selected(s) if (limit := one.most_outputs(s)) is not None]
    most = min(limits, default=n)
    if n <= most:
        return
    if most == 1:
        yield ParameterFault(
            f"num_return_sequences = {n} would return {n} copies: this strategy has one output per prompt. Try 1.",
            "num_return_sequences",
        )
    elif most == s.num_beams:
        yield ParameterFault(
            f"num_return_sequences = {n} is more than the num_beams = {most} hypotheses there are.",
            "num_return_sequences",
            "num_beams",
        )
    else:
        yield ParameterFault(
            f"num_return_sequences = {n} is more than the {most} outputs per prompt of this strategy. Try {most}.",
            "num_return_sequences",
        )


def _lengths(s: StrategyParameters) -> Iterator[ParameterFault]:
    if s.max_new_tokens is None and s.max_length is None:
        yield ParameterFault("No length limit. Give max_new_tokens, for example 128.")
    if s.max_new_tokens is not None and s.max_length is not None:
        yield ParameterFault(
            f"max_length = {s.max_length} is a second limit beside max_new_tokens = {s.max_new_tokens}; transformers"
            " ignores it. Leave it out, or write max_new_tokens: null beside it.",
            "max_length",
            "max_new_tokens",
        )
    for low, high in (("min_new_tokens", "max_new_tokens"), ("min_length", "max_length")):
        least, most = getattr(s, low), getattr(s, high)
        if least is not None and most is not None and least > most:
            yield ParameterFault(f"{low} = {least} is above {high} = {most}.", low, high)
    if s.exponential_decay_length_penalty is not None:
        start, factor = s.exponential_decay_length_penalty
        given = f"exponential_decay_length_penalty = [{start}, {factor}]"
        if start < 0 or factor <= 0:
            yield ParameterFault(
                f"{given}: the start counts new tokens and the factor is above 0. Try [20, 1.05].",
                "exponential_decay_length_penalty",
            )
        elif s.max_new_tokens is not None and start >= s.max_new_tokens - 1:
            yield ParameterFault(
                f"{given} begins after max_new_tokens = {s.max_new_tokens}, so it changes nothing.",
                "exponential_decay_length_penalty",
                "max_new_tokens",
            )


def _end_of_text(s: StrategyParameters) -> Iterator[ParameterFault]:
    eos = s.eos_token_id
    ids = (eos,) if isinstance(eos, int) else eos if isinstance(eos, tuple) else ()
    if eos == ():
        yield ParameterFault(
            "eos_token_id = [] names no token. Write null for no end of text, or leave it out for the model's own.",
            "eos_token_id",
        )
    if any(token < 0 for token in ids):
        yield ParameterFault(f"eos_token_id = {eos} is no token. Write null to disable EOS.", "eos_token_id")
    end = {"eos", *ids}
    for words in s.bad_words_ids or ():
        if not words:
            yield ParameterFault("bad_words_ids contains an empty sequence. Leave it out.", "bad_words_ids")
        elif len(words) == 1 and words[0] in end:
            yield ParameterFault(
                "bad_words_ids with EOS does nothing: transformers drops it from them. Try suppress_tokens: [eos].",
                "bad_words_ids",
            )
    if s.pad_token_id != "model" and s.pad_token_id in ids:
        yield ParameterFault(
            "pad_token_id = eos_token_id does not delay EOS: padding is masked. Leave it out; try min_new_tokens.",
            "pad_token_id",
            "eos_token_id",
        )
    if any(not sequence for sequence, _ in s.sequence_bias or ()):
        yield ParameterFault("sequence_bias contains an empty sequence. Leave it out.", "sequence_bias")
    if s.suppress_tokens == ():
        yield ParameterFault("suppress_tokens = [] names no token. Leave it out.", "suppress_tokens")
    if s.bad_words_ids == ():
        yield ParameterFault("bad_words_ids = [] names no word. Leave it out.", "bad_words_ids")
    yield from _idle_without_end(s)


def _idle_without_end(s: StrategyParameters) -> Iterator[ParameterFault]:
    """What acts on the end of a text, or on hypotheses of unequal length, where no text can end."""
    is_suppressed = "eos" in (s.suppress_tokens or ())
    if s.eos_token_id is not None and not is_suppressed:
        return
    cause = "eos_token_id = null leaves none" if s.eos_token_id is None else "suppress_tokens: [eos] never lets it come"
    without_end = "eos_token_id" if s.eos_token_id is None else "suppress_tokens"
    acts = {
        "min_new_tokens": ("", s.min_new_tokens is not None),
        "min_length": ("", s.min_length is not None),
        "exponential_decay_length_penalty": ("", s.exponential_decay_length_penalty is not None),
        "suppress_tokens": (": [eos]", s.eos_token_id is None and is_suppressed),
        "sequence_bias": (" on eos", any("eos" in sequence for sequence, _ in s.sequence_bias or ())),
    }
    for name, (value, is_given) in acts.items():
        if is_given:
            yield ParameterFault(f"{name}{value} acts on EOS, and {cause}. Keep one of them.", name, without_end)
    if s.num_beams > 1:
        for name, idle in (("length_penalty", 1.0), ("early_stopping", False)):
            if getattr(s, name) != idle:
                yield ParameterFault(
                    f"{name} is about texts that end, and {cause}: all are equally long. Keep one of them.",
                    name,
                    without_end,
                )
