"""Which characters each engine prints, and by what TeX: the facts behind `escape` and the linter.

Sources: `t1enc.dfu` and `ts1enc.dfu` of the LaTeX kernel (what pdflatex reads as UTF-8 once
`\\usepackage[T1]{fontenc}` is loaded), and the symbols of plain math mode, which need no package.
"""

from __future__ import annotations

import unicodedata

T1_RANGES = """
00A1 00A3 00AB 00BB 00BF-00D6 00D8-00F6 00F8-0125 0128-0133 0136-0137 0139-013E 0141-0148 014C-0165 0168-017E
01CD-01D4 01E2-01E3 01E6-01EB 01F4-01F5 0218-021B 0232-0233 02D9 02DB 1E02-1E03 1E0D 1E1E-1E21 1E25 1E30-1E31 1E37
1E43 1E45 1E47 1E5B 1E63 1E6D 1E8E-1E91 1E9E 1EF2-1EF3 2013-2014 2018-201A 201C-201E 2030-2031 2039-203A 2423
FB00-FB04 00A2-00AA 00AC 00AE-00B7 00B9-00BA 00BC-00BE 00D7 00F7 0192 02C7 02D8 02DD 0E3F 2016 2020-2022 2026 203B
2044 204E 2052 20A1 20A4 20A6 20A9 20AB-20AC 20B1 2103 2116-2117 211E 2120 2122 2126-2127 212E 2190-2193 25E6 25EF
266A 27E8-27E9 3008-3009
"""
"""Code points that pdflatex prints when they stand raw in a T1 document; without those that T1 declares and Times
has no
glyph for (eng, the dotless j and its accents, the interrobang), which would vanish without a word in the log."""

MATHS = r"""
α \alpha     β \beta      γ \gamma     δ \delta     ϵ \epsilon   ε \varepsilon ζ \zeta      η \eta       θ \theta
ϑ \vartheta  ι \iota      κ \kappa     λ \lambda    μ \mu        ν \nu         ξ \xi        π \pi        ϖ \varpi
ρ \rho       ϱ \varrho    σ \sigma     ς \varsigma  τ \tau       υ \upsilon    φ \varphi    ϕ \phi       χ \chi
ψ \psi       ω \omega     Γ \Gamma     Δ \Delta     Θ \Theta     Λ \Lambda     Ξ \Xi        Π \Pi        Σ \Sigma
Υ \Upsilon   Φ \Phi       Ψ \Psi       Ω \Omega     ↔ \leftrightarrow          ↕ \updownarrow            ⇐ \Leftarrow
⇑ \Uparrow   ⇒ \Rightarrow             ⇓ \Downarrow ⇔ \Leftrightarrow          ↦ \mapsto    ↗ \nearrow   ↘ \searrow
↖ \nwarrow   ↙ \swarrow   ↩ \hookleftarrow          ↪ \hookrightarrow          ≤ \leq       ≥ \geq       ≠ \neq
≈ \approx    ≡ \equiv     ∼ \sim       ≃ \simeq     ≅ \cong      ∝ \propto     ∞ \infty     ∂ \partial   ∇ \nabla
∑ \sum       ∏ \prod        ∫ \int       √ \surd      ∈ \in         ∉ \notin     ∋ \ni        ⊂ \subset
⊃ \supset    ⊆ \subseteq  ⊇ \supseteq  ∪ \cup       ∩ \cap       ∧ \wedge      ∨ \vee       ∀ \forall    ∃ \exists
∅ \emptyset  ⊕ \oplus     ⊖ \ominus    ⊗ \otimes    ⊘ \oslash    ⊙ \odot       ⊥ \perp      ⊤ \top       ∥ \parallel
∣ \mid       ⌈ \lceil     ⌉ \rceil     ⌊ \lfloor    ⌋ \rfloor    ∘ \circ       ∙ \bullet    ⋅ \cdot      ⋆ \star
∗ \ast       ∓ \mp        ≪ \ll        ≫ \gg        ≺ \prec      ≻ \succ       ⊢ \vdash     ⊣ \dashv     ℓ \ell
ℜ \Re        ℑ \Im        ℵ \aleph     ℘ \wp        ′ \prime     ⋯ \cdots      ⋮ \vdots     ⋱ \ddots     △ \triangle
♠ \spadesuit ♣ \clubsuit  ♡ \heartsuit ♢ \diamondsuit            ♭ \flat       ♮ \natural   ♯ \sharp     ⊎ \uplus
∖ \setminus  ≀ \wr        ⊓ \sqcap     ⊔ \sqcup     ≍ \asymp     ⌢ \frown      ⌣ \smile     ∠ \angle     − -
"""
"""Characters that pdflatex prints by a command of plain math mode."""

SPACES = {
    "\u00a0": "~",
    "\u2002": r"\enspace{}",
    "\u2003": r"\quad{}",
    "\u2004": r"\enspace{}",
    "\u2005": r"\,",
    "\u2006": r"\,",
    "\u2007": r"\enspace{}",
    "\u2008": r"\,",
    "\u2009": r"\,",
    "\u200a": r"\,",
    "\u202f": r"\,",
    "\u205f": r"\,",
}
"""Spaces other than U+0020, in any engine."""

HYPHENS = {"\u2010": "-{}", "\u2011": r"\mbox{-}", "\u2012": "\u2013", "\u2015": "\u2014"}
"""Hyphens and dashes that T1 fonts have only under another code point that looks the same."""

SUPERSCRIPTS = dict(zip("⁰ⁱ⁴⁵⁶⁷⁸⁹⁺⁼⁽⁾ⁿ", "0i456789+=()n", strict=True))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₌₍₎", "0123456789+=()", strict=True))


def _expand(ranges: str) -> frozenset[str]:
    chars: set[str] = set()
    for word in ranges.split():
        first, _, last = word.partition("-")
        chars.update(chr(code) for code in range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(chars)


def _pdflatex_symbols() -> dict[str, str]:
    words = MATHS.split()
    table = {char: rf"\ensuremath{{{tex}}}" for char, tex in zip(words[::2], words[1::2], strict=True)}
    table |= {char: rf"\textsuperscript{{{tex}}}" for char, tex in SUPERSCRIPTS.items()}
    table |= {char: rf"\textsubscript{{{tex}}}" for char, tex in SUBSCRIPTS.items()}
    return table | HYPHENS


T1 = _expand(T1_RANGES)
PDFLATEX_SYMBOLS = _pdflatex_symbols()


def code_name(char: str) -> str:
    """`U+4F60` for `你`."""
    return f"U+{ord(char):04X}"


def is_hidden(char: str) -> bool:
    """Whether a character has no glyph of its own: controls, format marks (bidi, joiners, BOM), surrogates."""
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} or "\ufe00" <= char <= "\ufe0f"


def is_common_chinese(char: str) -> bool:
    """Whether a character is one of GB 2312's Chinese characters or signs, which every Chinese font has."""
    if char < "\u2e80":
        return False
    try:
        char.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def is_ideograph(char: str) -> bool:
    """Whether a character is a Chinese one, rare ones and those of names included."""
    return "\u3400" <= char < "\ua000" or "\uf900" <= char < "\ufb00" or "\U00020000" <= char < "\U00040000"
