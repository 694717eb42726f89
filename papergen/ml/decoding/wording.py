"""Pieces of phrases about decoding that several algorithms share, in LaTeX: citations, numbers, truncations."""

from __future__ import annotations

from collections.abc import Iterator

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
    "top_k": ("top-$k$", "top-$k$ ", "k", "fan2018hierarchical"),
    "top_p": ("nucleus", "核", "p", "holtzman2020curious"),
    "min_p": ("min-$p$", "min-$p$ ", r"p_{\min}", "nguyen2025turning"),
    "typical_p": ("locally typical", "局部典型", r"\tau", "meister2023locally"),
    "epsilon_cutoff": (r"$\epsilon$", r"$\epsilon$ ", r"\epsilon", "hewitt2022truncation"),
    "eta_cutoff": (r"$\eta$", r"$\eta$ ", r"\eta", "hewitt2022truncation"),
}
"""Parameter -> (adjective, the same in Chinese, symbol, bibliography key), in the order in which transformers applies
the filters."""


def sampling_en(s: StrategyParameters) -> Iterator[str]:
    """Plain sampling by the name of its only truncation, or `sampling` and what changes the distribution."""
    active = active_truncations(s)
    if not active:
        yield "ancestral sampling from the full vocabulary"
    elif len(active) == 1:
        yield f"{_FILTERS[active[0]][0]} sampling with {_formula(s, active[0])}"
    else:
        yield "sampling"
    yield from _temperature_en(s)
    if len(active) > 1:
        yield from _truncations_en(s)


def sampling_zh(s: StrategyParameters) -> Iterator[str]:
    """The same in Chinese."""
    active = active_truncations(s)
    if not active:
        yield "在整个词表上的纯采样"
    elif len(active) == 1:
        yield f"{_FILTERS[active[0]][1]}采样（{_formula(s, active[0])}）"
    else:
        yield "采样"
    yield from _temperature_zh(s)
    if len(active) > 1:
        yield from _truncations_zh(s)


def distribution_en(s: StrategyParameters) -> Iterator[str]:
    """What changes the distribution before a draw, in the order in which it is applied; nothing without draws."""
    if s.do_sample:
        yield from _temperature_en(s)
        yield from _truncations_en(s)


def distribution_zh(s: StrategyParameters) -> Iterator[str]:
    """The same in Chinese."""
    if s.do_sample:
        yield from _temperature_zh(s)
        yield from _truncations_zh(s)


def active_truncations(s: StrategyParameters) -> list[str]:
    """The parameters of the truncations that are switched on."""
    return [name for name in _FILTERS if getattr(s, name) not in {0, 1.0, None}]


def _temperature_en(s: StrategyParameters) -> Iterator[str]:
    if s.temperature != 1.0:
        yield f"temperature ${number(s.temperature)}${cite('ackley1985learning')}"


def _temperature_zh(s: StrategyParameters) -> Iterator[str]:
    if s.temperature != 1.0:
        yield f"温度 ${number(s.temperature)}${cite('ackley1985learning')}"


def _truncations_en(s: StrategyParameters) -> Iterator[str]:
    for name in active_truncations(s):
        yield f"{_FILTERS[name][0]} truncation with {_formula(s, name)}"


def _truncations_zh(s: StrategyParameters) -> Iterator[str]:
    for name in active_truncations(s):
        yield f"{_FILTERS[name][1]}截断（{_formula(s, name)}）"


def _formula(s: StrategyParameters, name: str) -> str:
    _, _, symbol, key = _FILTERS[name]
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
