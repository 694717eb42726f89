r"""Numbers as they are typed in prose: `12.3`, `12,345`, `12\,345`, `$1.2\times10^{-4}$`, `45.6\,\%`, `3.4k`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_GAP = r"(?:,|\{,\}|\\,|\\ |~)"
_NUMBER = re.compile(
    rf"""(?<![\w.\#@/\\:^_])(?<![_^]\{{)(?<![_^{{]-)(?<![A-Za-z0-9]-)
    (?P<digits>\d{{1,3}}(?:{_GAP}\d{{3}})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)
    (?:[eE](?P<e>[-+]?\d+)|\s*(?:\$\s*)?\\(?:times|cdot)\s*10\s*\^\s*\{{?(?P<power>-?\d+)\}}?)?
    (?P<suffix>[kKMB](?!\w)|(?:ms|s|x)(?!\w))?
    (?![\w]|\.\d|-[A-Za-z]|\s*(?:pt|em|ex|cm|mm|bp)\b)""",
    re.VERBOSE,
)
_PERCENT = re.compile(r"\s*(?:\\,|~|\\ |\{\}|\$|\\;|\\:)*\s*(?:\\%|per\s?cent\b|percentage\s+points?\b|％)")
_NAMED = re.compile(
    r"(?:\b(?:Sections?|Sec\.|Figures?|Figs?\.|Tables?|Tabs?\.|Equations?|Eqs?\.|Appendix|Appendices|Chapters?|Theorems?|"
    r"Lemmas?|Algorithms?|Lines?|Steps?|Pages?|Seeds?|Versions?|version|seed|step|page|line|layer|Python|PyTorch|CUDA|Ubuntu"
    r"|Debian|Linux|Windows|macOS|transformers|v)|[§第])\s*[~(]*\s*\$?\s*$"
)
_MAGNITUDE = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}


@dataclass(frozen=True)
class Typed:
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


def typed_numbers(prose: str) -> Iterator[Typed]:
    """Every number of the prose that is not part of a word, an index, a length, a version or a reference."""
    for match in _NUMBER.finditer(prose):
        if _NAMED.search(prose[max(0, match.start() - 40) : match.start()]):
            continue
        digits = re.sub(_GAP, "", match["digits"])
        power = int(match["e"] or match["power"] or 0)
        factor = 10.0**power * _MAGNITUDE.get(match["suffix"] or "", 1.0)
        whole, _, fraction = digits.partition(".")
        bare = (whole + fraction).lstrip("0")
        is_whole = not fraction and factor >= 1
        if not fraction:
            bare = bare.rstrip("0")
        percent = _PERCENT.match(prose, match.end())
        yield Typed(
            match.start(),
            percent.end() if percent else match.end(),
            prose[match.start() : match.end()],
            float(digits) * factor,
            10.0 ** -len(fraction) * factor,
            len(bare),
            percent is not None,
            is_whole,
        )
