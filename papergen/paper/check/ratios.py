r"""Ratios typed by hand that are those of two results: "1.8 times as fast", "40\,\% lower", "halves".

Any two rows have some ratio, so a ratio is a finding only where the sentence speaks of the metric and of both rows.
What `\says` and a `\claim` about a ratio hold is checked at every build already and left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from papergen.latex.problems import Code, Problem
from papergen.latex.sources import Lines, group, masked, sentence_bounds
from papergen.paper.check.base import Check, Subject
from papergen.paper.check.chinese import LETTER, NUMERALS, number_of
from papergen.paper.check.prose import prose_of
from papergen.paper.check.typed import Candidate, candidates_of, speaks_of, words_of
from papergen.report.claims.claim import evaluate
from papergen.report.formats import WORDS, plain

WITHIN = 0.1
"""How near "twice" is to 2, and a whole number of times to that number."""
_NUMBER = r"\d+(?:\.\d+)?"
_SPELLED = rf"[{NUMERALS}]+(?:点[{NUMERALS}]+)?"
_SPACE = r"(?:\s|~|\\,|\\ |\\;|\$|\{\}|-)*"
_ALONE = rf"(?<!{LETTER})(?<![.\\#-])"
_TIMES = re.compile(
    rf"{_ALONE}(?:(?:(?P<number>{_NUMBER})|(?P<word>{'|'.join(WORDS[2:])})(?=\W))"
    rf"{_SPACE}(?:x\b|×|\\times\b|times\b(?!\s*\d)|fold\b|倍)|(?<![第{NUMERALS}点])(?P<spelled>{_SPELLED})倍)"
    rf"(?!{_SPACE}\d)",
    re.IGNORECASE,
)
_PERCENT = re.compile(
    rf"{_ALONE}(?:百分之{_SPACE}(?:(?P<after>{_NUMBER})|(?P<spelled>{_SPELLED}))"
    rf"|(?<!百分之)(?P<number>{_NUMBER}){_SPACE}(?:\\%|per\s?cent\b|％)(?!\s*points?))",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"\b(?:(?P<half>halv(?:es|ed|e|ing)|half (?:as|the)|by half)|(?P<twice>twice|doubl(?:es|ed|e|ing)|twofold)"
    r"|(?P<thrice>thrice|tripl(?:es|ed|e|ing)|threefold))\b"
    r"|(?P<halved>减半|[减降低少](?:[低少了]|了近|了约)*一半|[是为的]一半)|(?P<doubled>翻了?一?[倍番]|加倍)",
    re.IGNORECASE,
)
_UP = re.compile(
    r"\b(?:higher|larger|more|greater|longer|bigger|increase[sd]?|increasing|above|grow)"
    r"|提高|提升|增加|增大|增长|上升|(?<!最)高|更[多大长]|[多大长][了出]"
)
_DOWN = re.compile(
    r"\b(?:lower|smaller|fewer|less|shorter|reduc\w+|decrease[sd]?|decreasing|below|saves?|saved|drop\w*|cut)"
    r"|降低|减少|减小|下降|缩短|节[省约]|(?<!最)低|更[少小短]|[少小短]了"
)
_EITHER = re.compile(
    r"\b(?:faster|slower|better|worse|quicker|improve\w*|gain\w*|speed.?ups?|outperform\w*)|快|慢|好|差(?!异)|优于|改[善进]"
)
_OF_RATIO = re.compile(r"\b(?:ratio|gain|about)\s*\(|/\s")
_BY = re.compile(rf"(?:提高|提升|增加|增大|增长|上升|快|慢|高|多|大|长)(?:[了出近约]|大约|将近|接近)*{_SPACE}$")
"""Before N 倍: by that much more, which some mean as N times and some as N + 1."""


@dataclass(frozen=True)
class TypedRatio:
    """A ratio as it is typed: what quotients it may mean, and how near a quotient is the same, or nearly."""

    start: int
    end: int
    text: str
    targets: tuple[float, ...]
    same: float
    near: float


def typed_ratios(prose: str) -> Iterator[TypedRatio]:
    """Every ratio of the prose; a percentage is one only beside a word that compares, in the same sentence."""
    for match in _TIMES.finditer(prose):
        written = match["number"] or match["spelled"] or "1"
        number = _number(written) if not match["word"] else float(WORDS.index(match["word"].lower()))
        by = match[0].endswith("倍") and _BY.search(prose, max(0, match.start() - 20), match.start())
        if number is None or (number == 1 and not by):
            continue
        step = _step(written)
        same = min(step / 2, WITHIN * number)
        targets = tuple({one: None for one in (number, number + 1) if by and one != 1} or {number: None})
        yield _ratio(match, targets, same, same if step == 1 else 1.5 * step)
    for match in _PERCENT.finditer(prose):
        written = match["number"] or match["after"] or match["spelled"]
        share = (_number(written) or 0) / 100
        first, last = sentence_bounds(prose, match.start(), match.end())
        step = _step(written) / 100
        if share and (targets := _targets(prose[first:last], share)):
            yield _ratio(match, targets, step / 2, 1.5 * step)
    for match in _WORDS.finditer(prose):
        number = 0.5 if match["half"] or match["halved"] else 2.0 if match["twice"] or match["doubled"] else 3.0
        yield _ratio(match, (number,), WITHIN * number, WITHIN * number)


def _ratio(match: re.Match[str], targets: tuple[float, ...], same: float, near: float) -> TypedRatio:
    return TypedRatio(match.start(), match.end(), " ".join(match[0].split()), targets, same, near)


def _number(written: str) -> float | None:
    return float(written) if written[0].isdigit() and written.isascii() else number_of(written)


def _step(written: str) -> float:
    """The worth of one unit of its last digit."""
    return 10.0 ** -len("".join(re.split(r"[.点]", written)[1:]))


def _targets(sentence: str, share: float) -> tuple[float, ...]:
    """The quotients that "N % higher", "lower" or "faster" may mean, of a first to a second number."""
    up, down, either = (pattern.search(sentence) for pattern in (_UP, _DOWN, _EITHER))
    return tuple(1 + share for _ in (up or either,) if _) + tuple(1 - share for _ in (down or either,) if _)


def find(subject: Subject) -> Iterator[Problem]:
    """Every hand-typed ratio that is, or nearly is, that of two rows."""
    candidates = list(candidates_of(subject.results))
    for name in (name for name in subject.own_names if name.endswith(".tex")):
        source = subject.tree.text(name)
        prose, checked = prose_of(source), list(_checked(source))
        lines = Lines(prose)
        for ratio in typed_ratios(prose):
            if any(start <= ratio.start < end for start, end in checked):
                continue
            words = words_of(prose[slice(*sentence_bounds(prose, ratio.start, ratio.end))])
            if (best := _best(ratio, words, candidates)) is None:
                continue
            a, b, is_same = best
            key = f"ratio({a.value.key}, {b.value.key})"
            what = "is" if is_same else "is nearly"
            message = (
                f'"{ratio.text}" is typed by hand and {what} {key}, which is {plain(evaluate(subject.results, key))}'
            )
            says = f"\\says[{a.value.key}, {b.value.key}]{{...}} or " if ratio.text.isascii() else ""  # English only
            remedy = f"Write {says}\\result{{{key}}}, or \\typed{{{ratio.text}}}."
            yield subject.at(Code.TYPED_RATIO, message, name, *lines.at(ratio.start), remedy=remedy)


def _checked(source: str) -> Iterator[tuple[int, int]]:
    r"""The arguments of `\says`, and of each `\claim` about a ratio."""
    text = masked(source)
    for match in re.finditer(r"\\(says|claim)(?![A-Za-z])", text):
        option = group(text, match.end(), "[]")
        argument = group(text, option[2] if option else match.end(), "{}")
        if argument and option and (match[1] == "says" or _OF_RATIO.search(option[0])):
            yield argument[1], argument[2]


def _best(
    ratio: TypedRatio, sentence: frozenset[str], candidates: list[Candidate]
) -> tuple[Candidate, Candidate, bool] | None:
    """The two rows that the sentence speaks of, of the quotient nearest to the ratio, and whether it is the same."""
    spoken = [one for one in candidates if speaks_of(sentence, one.metric_words) and speaks_of(sentence, one.row_words)]
    found = [
        (gap, index, a, b)
        for index, (a, b) in enumerate(permutations(spoken, 2))
        if _are_comparable(a, b)
        and (gap := min(abs(a.value.mean / b.value.mean - one) for one in ratio.targets)) <= ratio.near
    ]
    if not found:
        return None
    gap, _, a, b = min(found)
    return a, b, gap <= ratio.same * (1 + 1e-6)


def _are_comparable(a: Candidate, b: Candidate) -> bool:
    """Whether they are the same metric of two rows of one experiment."""
    (experiment, row, metric), (other, second, same) = a.value.key.split("/"), b.value.key.split("/")
    return experiment == other and metric == same and row != second and a.row_words != b.row_words


CHECKS = (
    Check(
        name="typed-ratio",
        looks_for="ratios typed by hand (1.8 times, 40 % lower, halves) that are those of two results",
        find=find,
    ),
)
