r"""A strategy in the words of a method section: a LaTeX-safe noun phrase with \cite commands, and the keys it cites."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from papergen.latex.text import escape

if TYPE_CHECKING:
    from papergen.ml.decoding.settings import Strategy

DECIDES_NUMBERS = False
"""Wording may change without making a result stale."""

_FILTERS = {
    "top_k": ("top-$k$", "k", "fan2018hierarchical"),
    "top_p": ("nucleus", "p", "holtzman2020curious"),
    "min_p": ("min-$p$", r"p_{\min}", "nguyen2025turning"),
    "typical_p": ("locally typical", r"\tau", "meister2023locally"),
    "epsilon_cutoff": (r"$\epsilon$", r"\epsilon", "hewitt2022truncation"),
    "eta_cutoff": (r"$\eta$", r"\eta", "hewitt2022truncation"),
}
"""Parameter -> (adjective, symbol, bibliography key), in the order in which transformers applies the filters."""


def describe(strategy: Strategy) -> str:
    """E.g. `nucleus sampling with $p=0.95$~\\cite{holtzman2020curious}`; more parts follow after commas."""
    first, *others = [*_core(strategy), *_scores(strategy), *_lengths(strategy)]
    return ", ".join([first, *others])


def citations(strategy: Strategy) -> tuple[str, ...]:
    """The keys in `describe()`, each once, in order."""
    keys = [key for group in re.findall(r"\\cite\{([^}]*)\}", describe(strategy)) for key in group.split(",")]
    return tuple(dict.fromkeys(keys))


def _core(s: Strategy) -> Iterator[str]:
    match s.mode:
        case "greedy":
            yield "greedy decoding"
        case "sample":
            yield from _sampling(s)
        case "beam":
            yield f"beam search with {s.num_beams} beams{cite('graves2012sequence')}"
        case "beam_sample":
            yield f"beam search with {s.num_beams} beams whose continuations are drawn without replacement"
            yield from _truncations(s)
        case "diverse":
            yield (
                f"diverse beam search with {s.num_beams} beams in {s.num_beam_groups} groups and diversity penalty"
                f" ${number(s.diversity_penalty)}${cite('vijayakumar2018diverse')}"
            )
        case "constrained":
            yield (
                f"lexically constrained beam search with {s.num_beams} beams and dynamic beam allocation"
                f"{cite('hokamp2017lexically', 'post2018fast')}{_constraints(s)}"
            )
        case "contrastive":
            yield (
                f"contrastive search with $k={s.top_k}$ and $\\alpha={number(s.penalty_alpha)}$"
                f"{cite('su2022contrastive')}"
            )
        case "dola":
            how = "sampling" if s.do_sample else "greedy decoding"
            yield f"{how} with contrasted layers (DoLa, {_layers(s)}){cite('chuang2024dola')}"
            if s.do_sample:
                yield from _truncations(s)
        case "assisted":
            name = escape((s.assistant_model or "").rstrip("/").rsplit("/", 1)[-1])
            yield (
                f"{_speculative(s)} with drafts of up to {s.num_assistant_tokens} tokens by \\texttt{{{name}}}"
                f"{cite('leviathan2023fast', 'chen2023accelerating')}"
            )
            if s.do_sample:
                yield from _truncations(s)
        case "prompt_lookup":
            yield (
                f"{_speculative(s)} with drafts of up to {s.prompt_lookup_num_tokens} tokens looked up in the"
                f" text so far{cite('saxena2023prompt')}"
            )
            if s.do_sample:
                yield from _truncations(s)
    if s.is_search and (s.length_penalty != 1.0 or s.early_stopping is not False):
        yield from _ranking(s)


def _speculative(s: Strategy) -> str:
    return "speculative sampling" if s.do_sample else "greedy speculative decoding"


def _sampling(s: Strategy) -> Iterator[str]:
    active = active_filters(s)
    if not active:
        yield "ancestral sampling from the full vocabulary"
    elif len(active) == 1:
        adjective, formula = filtered(s, active[0])
        yield f"{adjective} sampling with {formula}"
    else:
        yield "sampling"
    yield from (part for part in _truncations(s) if len(active) > 1 or part.startswith("temperature"))


def _truncations(s: Strategy) -> Iterator[str]:
    """What changes the distribution before a draw, in the order in which it is applied."""
    if s.temperature != 1.0:
        yield f"temperature ${number(s.temperature)}${cite('ackley1985learning')}"
    for name in active_filters(s):
        adjective, formula = filtered(s, name)
        yield f"{adjective} truncation with {formula}"


def active_filters(s: Strategy) -> list[str]:
    """The truncations that are switched on."""
    return [name for name in _FILTERS if getattr(s, name) not in {0, 1.0, None}]


def filtered(s: Strategy, name: str) -> tuple[str, str]:
    """What a truncation is called, and its formula with citation."""
    adjective, symbol, key = _FILTERS[name]
    return adjective, f"${symbol}={number(getattr(s, name))}${cite(key)}"


def _ranking(s: Strategy) -> Iterator[str]:
    if s.length_penalty != 1.0:
        yield f"hypotheses ranked by $\\log p / \\mathit{{length}}^{{{number(s.length_penalty)}}}$"
    if s.early_stopping is True:
        yield f"stopped at the first {s.num_beams} finished hypotheses"
    elif s.early_stopping == "never":
        yield "stopped when no better hypothesis is possible"


def _constraints(s: Strategy) -> str:
    words = s.force_words or ()
    if not words:
        count = len(s.force_words_ids or ())
        return f" and {count} forced phrase{'s' if count != 1 else ''}"
    spelled = [
        " or ".join(f"``{escape(word)}''" for word in ((item,) if isinstance(item, str) else item)) for item in words
    ]
    return f" that must contain {' and '.join(spelled)}"


def _layers(s: Strategy) -> str:
    if isinstance(s.dola_layers, str):
        return f"{s.dola_layers} layers"
    return "layers " + ", ".join(str(layer) for layer in s.dola_layers or ())


def _scores(s: Strategy) -> Iterator[str]:
    if s.repetition_penalty != 1.0:
        yield f"repetition penalty ${number(s.repetition_penalty)}${cite('keskar2019ctrl')}"
    if s.no_repeat_ngram_size:
        yield f"no repeated {s.no_repeat_ngram_size}-grams{cite('paulus2018deep')}"
    for sequence, bias in s.sequence_bias or ():
        if sequence == ("eos",):
            yield f"a bias of ${number(bias)}$ on the end-of-sequence token"
    others = sum(sequence != ("eos",) for sequence, _ in s.sequence_bias or ())
    if others:
        yield f"a bias on {others} token sequence{'s' if others != 1 else ''}"
    if s.suppress_tokens == ("eos",):
        yield "the end-of-sequence token suppressed"
    elif s.suppress_tokens:
        yield f"{len(s.suppress_tokens)} token{'s' if len(s.suppress_tokens) != 1 else ''} suppressed"
    if s.bad_words_ids:
        yield f"{len(s.bad_words_ids)} forbidden token sequence{'s' if len(s.bad_words_ids) != 1 else ''}"
    if s.exponential_decay_length_penalty:
        start, factor = s.exponential_decay_length_penalty
        yield f"an end-of-sequence score that grows by ${number(factor)}$ per token from token {start} on"


def _lengths(s: Strategy) -> Iterator[str]:
    if s.eos_token_id is None:
        yield "no end-of-sequence token"
    if s.min_new_tokens is not None:
        yield f"at least {s.min_new_tokens} new tokens"
    if s.min_length is not None:
        yield f"at least {s.min_length} tokens with the prompt"


def cite(*keys: str) -> str:
    """The \\cite command with the tie before it."""
    return f"~\\cite{{{','.join(keys)}}}"


def number(value: float | None) -> str:
    """Shortest spelling that reads back as the same number, for math mode."""
    assert value is not None, "only parameters that are set are described"
    digits, e, exponent = repr(value).partition("e")
    return f"{digits}\\cdot 10^{{{int(exponent)}}}" if e else digits.removesuffix(".0")
