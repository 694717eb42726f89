r"""Numbers as they are typed in prose: `12.3`, `12,345`, `$1.2\times10^{-4}$`, `45.6\,\%`, `3.4k`, `1.2万`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from papergen.paper.check.chinese import LETTER, NUMERALS, number_of

_GAP = r"(?:,|\{,\}|\\,|\\ |~)"
_SPACE = r"(?:\\,|~|\\ |\{\}|\$|\\;|\\:|\s)*"
_NUMBER = re.compile(
    rf"""(?<!{LETTER})(?<![.\#@/\\:^_])(?<![_^]\{{)(?<![_^{{]-)(?<![A-Za-z0-9]-)
    (?P<digits>\d{{1,3}}(?:{_GAP}\d{{3}})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)
    (?:[eE](?P<e>[-+]?\d+)|\s*(?:\$\s*)?\\(?:times|cdot)\s*10\s*\^\s*\{{?(?P<power>-?\d+)\}}?)?
    (?P<suffix>[kKMB](?!{LETTER})|(?:ms|s|x)(?!{LETTER})|{_SPACE}(?:[十百千]?万|[十百千万]?亿)(?!分))?
    (?!{LETTER}|\.\d|-[A-Za-z]|\s*(?:pt|em|ex|cm|mm|bp)\b|{_SPACE}(?:[章页]|节(?![省约])))""",
    re.VERBOSE,
)
_PERCENT = re.compile(rf"{_SPACE}(?:\\%|per\s?cent\b|percentage\s+points?\b|％|个?百分点)")
_BEFORE_PERCENT = re.compile(rf"百分之{_SPACE}$")
_SPELLED_PERCENT = re.compile(rf"百分之([{NUMERALS}]+(?:点[{NUMERALS}]+)?)")
_NAMED = re.compile(
    r"(?:\b(?:Sections?|Sec\.|Figures?|Figs?\.|Tables?|Tabs?\.|Equations?|Eqs?\.|Appendix|Appendices|Chapters?|Theorems?|"
    r"Lemmas?|Algorithms?|Lines?|Steps?|Pages?|Seeds?|Versions?|version|seed|step|page|line|layer|Python|PyTorch|CUDA|Ubuntu"
    r"|Debian|Linux|Windows|macOS|transformers|v)|[§第图式页]|(?<!代)表|附录|算法|定理|引理|版本|种子)\s*[~(]*\s*\$?\s*$"
)
_MAGNITUDE = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "十": 10, "百": 100, "千": 1e3, "万": 1e4, "亿": 1e8}


@dataclass(frozen=True)
class TypedNumber:
    """One number of the prose; `step` is the worth of one unit of its last digit."""

    start: int
    end: int
    text: str
    number: float
    step: float
    num_digits: int
    """Significant digits: leading zeros, and the trailing ones of a whole number, do not count."""
    is_percent: bool
    is_whole: bool


def typed_numbers(prose: str) -> Iterator[TypedNumber]:
    """Every number of the prose that is not part of a word, an index, a length, a version or a reference."""
    for match in _NUMBER.finditer(prose):
        if _NAMED.search(prose[max(0, match.start() - 40) : match.start()]):
            continue
        digits = re.sub(_GAP, "", match["digits"])
        power = int(match["e"] or match["power"] or 0)
        factor = 10.0**power * prod(_MAGNITUDE.get(sign, 1.0) for sign in match["suffix"] or "")
        whole, _, fraction = digits.partition(".")
        bare = (whole + fraction).lstrip("0")
        is_whole = not fraction and factor >= 1
        if not fraction:
            bare = bare.rstrip("0")
        percent = _PERCENT.match(prose, match.end())
        is_percent = percent is not None or _BEFORE_PERCENT.search(prose, 0, match.start()) is not None
        yield TypedNumber(
            match.start(),
            percent.end() if percent else match.end(),
            prose[match.start() : match.end()],
            float(digits) * factor,
            10.0 ** -len(fraction) * factor,
            len(bare),
            is_percent,
            is_whole,
        )
    for match in _SPELLED_PERCENT.finditer(prose):
        if (number := number_of(match[1])) is not None:
            step = 10.0 ** -len(match[1].partition("点")[2])
            bare = f"{number / step:.0f}"
            num_digits = len(bare if step < 1 else bare.rstrip("0"))
            yield TypedNumber(match.start(), match.end(), match[0], number, step, num_digits, True, step == 1)
