"""The sentence around a place of a TeX source: what a number is said of, and what a change of it affects."""

from __future__ import annotations

import re

from papergen.latex.sources import masked

_BREAK = re.compile(
    r"\n[ \t]*\n|(?<!al)(?<!e\.g)(?<!i\.e)(?<!cf)(?<!vs)(?<!Fig)(?<!Eq)(?<!Sec)(?<!Tab)[.!?][\"')}]*\s+(?=[A-Z\\$(`])"
    r"|[。！？]|\\\\"
    r"|\\(?:item|(?:sub)*section|paragraph|caption|title|begin|end)\b\*?(?:\{[a-z*]+\}(?=\s))?"
)
_REACH = 3000
"""Characters before and after a place in which the ends of its sentence are looked for."""


def sentence_bounds(plain: str, start: int, end: int) -> tuple[int, int]:
    """Where the sentence, table row or heading begins and ends that holds the characters from `start` to `end`."""
    begin, stop = max(0, start - _REACH), min(len(plain), end + _REACH)
    first, last = begin, stop
    for match in _BREAK.finditer(plain, begin, stop):
        if match.end() <= start:
            first = match.end()
        elif match.start() >= end:
            last = match.start() + len(match[0].rstrip()) if match[0][0] in ".!?。！？" else match.start()
            break
    return first, last


def sentence_at(text: str, offset: int) -> str:
    """The sentence of a TeX source that holds the character at `offset`, on one line, comments left out."""
    plain = masked(text, comments_only=True)
    first, last = sentence_bounds(plain, offset, offset)
    return re.sub(r"\s+", " ", plain[first:last]).strip()
