r"""Words that are claims: a phrase of the prose and what it is said of become an assertion over the results.

    \says[speed/ddp-2/tokens_per_s, speed/ddp-1/tokens_per_s]{almost twice as fast}
    \says[decoding/nucleus, [decoding/greedy, decoding/beam], on=[rep_4, mauve]]{outperforms both on 3 of 4}

`assertion_of` gives the assertion in the language of claims; the phrase is printed only while it holds.
"""

from __future__ import annotations

import re

from papergen.core.errors import PapergenError
from papergen.report.formats import WORDS

LEVEL = 0.05
"""What "significantly" means; several comparisons share it by Holm's correction."""
WITHIN = "10%"
"""How near "twice" is to 2; "1.8 times" is as near as its last digit."""

_FACTORS = {
    "twice": 2.0,
    "double": 2.0,
    "thrice": 3.0,
    "half": 0.5,
    "a third": 1 / 3,
    "a quarter": 0.25,
    "a tenth": 0.1,
}
_HIGHER = "higher|larger|more|greater|longer|bigger"
_LOWER = "lower|smaller|fewer|less|shorter"
_BETTER = "better|faster|outperforms?|beats?|quicker|stronger|improves? on|ahead of"
_WORSE = "worse|slower|behind|underperforms?|weaker"
_GOODNESS = "fast|good|quick|well|efficient|strong"
_NUMBER = rf"\d+(?:\.\d+)?|{'|'.join(WORDS[1:])}"
_OPENING = r"(?:is|are|was|were|has|have|be|being|by|to)?\s*"
_RATIO = re.compile(
    rf"^{_OPENING}(?P<how>about|roughly|nearly|almost|around|more than|over|at least|less than|under|at most)?\s*"
    rf"(?P<factor>{'|'.join(_FACTORS)}|(?P<number>{_NUMBER})(?:\s*(?:times|x|×|\\times|fold|-fold)))"
    r"(?:\s+(?:as|the|better|faster)?\s*(?P<what>[a-z]+)?.*)?$"
)
_COUNT = re.compile(
    rf"\b(?:on|in|against)\s+(?:at least\s+)?(?P<wins>{_NUMBER})\s+(?:out\s+)?of\s+(?P<all>{_NUMBER})\b"
)


def assertion_of(phrase: str, arguments: str) -> str:
    """The assertion that a phrase makes of its arguments, which are written as those of a function.

    PapergenError for a phrase that says nothing checkable.
    """
    words = " ".join(re.sub(r"[~$]|\\(?![A-Za-z])", " ", phrase.lower()).split())
    if not arguments.strip():
        raise PapergenError("the phrase is said of nothing.", hint=r"Write \says[key, key]{twice as fast}.")
    if match := _RATIO.match(words):
        return _ratio(match, arguments)
    is_significant = "significant" in words
    if re.search(r"\bnot\s+(?:statistically\s+)?significant|no\s+significant|insignificant", words):
        return f"not significant({arguments}, level={LEVEL})"
    if re.search(rf"\b(?:{_BETTER})\b", words):
        return f"outperforms({arguments}{_options(words, is_significant)})"
    first, _, second = arguments.partition(",")
    if re.search(rf"\b(?:{_WORSE})\b", words):
        return f"outperforms({second.strip()}, {first.strip()}{_options(words, is_significant)})"
    if match := re.search(rf"\b(?P<higher>{_HIGHER})\b|\b(?:{_LOWER})\b", words):
        sign = ">" if match["higher"] else "<"
        also = f" and significant({arguments}, level={LEVEL})" if is_significant else ""
        return f"{first.strip()} {sign} {second.strip()}{also}"
    if match := re.search(r"\b(?P<which>best|highest|lowest|largest|smallest|fastest)\b", words):
        return _extreme(match["which"], arguments)
    if re.search(r"\b(?:equal|same|similar|comparable|on par|as good as)\b", words):
        return f"about({arguments}, within={WITHIN})"
    raise PapergenError(
        f"the phrase {phrase!r} says nothing that can be checked.",
        hint="Known: twice as fast, 1.8 times as many, significantly better, outperforms on 3 of 4, higher, lower, "
        "the best, not significantly different, comparable. For anything else write \\claim[assertion]{sentence}.",
    )


def _ratio(match: re.Match[str], arguments: str) -> str:
    number = match["number"]
    factor = _FACTORS.get(match["factor"]) or _value(number)
    function = "gain" if match["what"] and re.match(_GOODNESS, match["what"]) else "ratio"
    of = f"{function}({arguments})"
    how = match["how"] or ""
    if how in {"more than", "over"}:
        return f"{of} > {factor:g}"
    if how == "at least":
        return f"{of} >= {factor:g}"
    if how in {"less than", "under"}:
        return f"{of} < {factor:g}"
    if how == "at most":
        return f"{of} <= {factor:g}"
    if how in {"nearly", "almost"}:
        return f"{0.85 * factor:g} <= {of} <= {factor:g}"
    if number and "." in number:
        step = 10.0 ** -len(number.partition(".")[2])
        return f"{factor - step / 2:g} <= {of} <= {factor + step / 2:g}"
    return f"about({of}, {factor:g}, within={WITHIN})"


def _options(words: str, is_significant: bool) -> str:
    count = _COUNT.search(words)
    wins = f", at_least={_value(count['wins']):g}" if count else ""
    return wins + (f", level={LEVEL}" if is_significant else "")


def _extreme(which: str, arguments: str) -> str:
    experiment, slash, rest = arguments.strip().partition("/")
    row, second, metric = rest.partition("/")
    if not slash or not second or "," in arguments:
        raise PapergenError(f"{which!r} is said of one key, such as decoding/nucleus/rep_4.")
    function = {"highest": "argmax", "largest": "argmax", "lowest": "argmin", "smallest": "argmin"}.get(
        which, "argbest"
    )
    return f'{function}({experiment}, {metric}) == "{row}"'


def _value(word: str) -> float:
    return float(WORDS.index(word)) if word in WORDS else float(word)
