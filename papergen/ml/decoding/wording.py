"""Pieces of phrases about decoding that several algorithms share, in LaTeX: citations, numbers, truncations."""

from __future__ import annotations

from collections.abc import Iterator

from papergen.core.phrase import Phrase
from papergen.ml.decoding.parameters import StrategyParameters

DECIDES_NUMBERS = False
"""Wording may change without making a result stale."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}

_FILTERS = {
    "top_k": (Phrase("top-$k$", "top-$k$ "), "k", "fan2018hierarchical"),
    "top_p": (Phrase("nucleus", "核"), "p", "holtzman2020curious"),
    "min_p": (Phrase("min-$p$", "min-$p$ "), r"p_{\min}", "nguyen2025turning"),
    "typical_p": (Phrase("locally typical", "局部典型"), r"\tau", "meister2023locally"),
    "epsilon_cutoff": (Phrase(r"$\epsilon$", r"$\epsilon$ "), r"\epsilon", "hewitt2022truncation"),
    "eta_cutoff": (Phrase(r"$\eta$", r"$\eta$ "), r"\eta", "hewitt2022truncation"),
}
"""Parameter -> (adjective, symbol, bibliography key), in the order in which transformers applies the filters."""


def sampling(s: StrategyParameters) -> Iterator[Phrase]:
    """Plain sampling by the name of its only truncation, or `sampling` and what changes the distribution."""
    active = active_truncations(s)
    if not active:
        yield Phrase("ancestral sampling from the full vocabulary", "在整个词表上的纯采样")
    elif len(active) == 1:
        yield Phrase("{} sampling with {}", "{}采样（{}）").format(_FILTERS[active[0]][0], _formula(s, active[0]))
    else:
        yield Phrase("sampling", "采样")
    yield from _temperature(s)
    if len(active) > 1:
        yield from _truncations(s)


def distribution(s: StrategyParameters) -> Iterator[Phrase]:
    """What changes the distribution before a draw, in the order in which it is applied; nothing without draws."""
    if s.do_sample:
        yield from _temperature(s)
        yield from _truncations(s)


def active_truncations(s: StrategyParameters) -> list[str]:
    """The parameters of the truncations that are switched on."""
    return [name for name in _FILTERS if getattr(s, name) not in {0, 1.0, None}]


def _temperature(s: StrategyParameters) -> Iterator[Phrase]:
    if s.temperature != 1.0:
        yield Phrase("temperature ${}${}", "温度 ${}${}").format(number(s.temperature), cite("ackley1985learning"))


def _truncations(s: StrategyParameters) -> Iterator[Phrase]:
    for name in active_truncations(s):
        yield Phrase("{} truncation with {}", "{}截断（{}）").format(_FILTERS[name][0], _formula(s, name))


def _formula(s: StrategyParameters, name: str) -> str:
    _, symbol, key = _FILTERS[name]
    return f"${symbol}={number(getattr(s, name))}${cite(key)}"


def cite(*keys: str) -> str:
    """The \\cite command with the tie before it."""
    return f"~\\cite{{{','.join(keys)}}}"


def number(value: float | None) -> str:
    """Shortest spelling that reads back as the same number, for math mode."""
    assert value is not None, "only parameters that are set are described"
    digits, e, exponent = repr(value).partition("e")
    return f"{digits}\\cdot 10^{{{int(exponent)}}}" if e else digits.removesuffix(".0")


def escaped(text: str) -> str:
    """The text with the ten specials of TeX made visible."""
    return "".join(_SPECIAL.get(character, character) for character in text)
