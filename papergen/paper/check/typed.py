r"""Numbers typed by hand that are, or nearly are, a result: the next run would leave them behind.

A number alone proves little, so how much it says decides how much context it needs: five significant digits speak for
themselves, three want a word of the metric or the row in the same sentence, two want both. Years, parameters of
the experiments, section numbers and customary levels (0.05, 95 %) are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from papergen.core.errors import PapergenError
from papergen.latex.problems import Code, Problem
from papergen.latex.sources import Lines, sentence_bounds
from papergen.paper.check.base import Check, Subject
from papergen.paper.check.chinese import chinese_names
from papergen.paper.check.numbers import TypedNumber, typed_numbers
from papergen.paper.check.prose import prose_of
from papergen.report.formats import plain
from papergen.report.results import Results
from papergen.report.values import Value, value_of

CUSTOMARY = {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 0.9, 0.95, 0.99}
CUSTOMARY_PERCENT = {1, 5, 10, 20, 25, 50, 75, 80, 90, 95, 99, 99.9, 100}
_COMMON = {"of", "per", "the", "in", "and", "num", "rate", "on", "to", "ms"}
NEAR = 0.01
"""A relative difference up to which a number counts as an earlier state of a result."""


@dataclass(frozen=True)
class Candidate:
    """A result that a typed number may be, and the words by which prose speaks of it."""

    value: Value
    metric_words: frozenset[str]
    row_words: frozenset[str]


def find(subject: Subject) -> Iterator[Problem]:
    """Every hand-typed number that is a result or was one."""
    candidates = list(candidates_of(subject.results))
    parameters = _parameters(subject.results)
    for name in subject.own_names:
        if not name.endswith(".tex"):
            continue
        prose = prose_of(subject.tree.text(name))
        lines = Lines(prose)
        for typed in typed_numbers(prose):
            if _is_innocent(typed, parameters):
                continue
            sentence = words_of(prose[slice(*sentence_bounds(prose, typed.start, typed.end))])
            if (best := _best(typed, sentence, candidates)) is None:
                continue
            key, is_equal, prints = best
            shown = typed.text + (" %" if typed.is_percent and "百分之" not in typed.text else "")
            what = "is the result" if is_equal else "is nearly the result"
            message = f"{shown} is typed by hand and {what} {key}, which prints {prints}"
            remedy = f"Write \\result{{{key}}}, or say that it is another number: \\typed{{{typed.text}}}."
            yield subject.at(Code.TYPED_NUMBER, message, name, *lines.at(typed.start), remedy=remedy)


def candidates_of(results: Results) -> Iterator[Candidate]:
    """Every number of the results."""
    for key in _keys(results):
        try:
            value = value_of(results, key)
        except PapergenError:
            continue  # the check of results tells
        if isinstance(value, Value) and value.mean:
            experiment, row, metric = key.split("/")
            label = results.metric(experiment, metric).label
            of_row = _words_for(row) | chinese_names([results.row_label(experiment, row)])
            yield Candidate(value, _words_for(metric, label) | chinese_names([metric, label]), of_row)


def _words_for(*names: str) -> frozenset[str]:
    """The words by which English prose speaks of what has these names."""
    spaced = [re.sub(r"[_@]", " ", name) for name in names]
    return frozenset().union(*map(words_of, spaced)) - _COMMON


def _keys(results: Results) -> Iterable[str]:
    found: dict[str, None] = {}
    for trial in results.trials:
        if result := results.results.get(trial.digest):
            names = [*result.outcome.metrics, *result.outcome.facts]
            found |= dict.fromkeys(f"{trial.experiment}/{trial.row}/{name}" for name in names)
    return found


def _parameters(results: Results) -> set[float]:
    """Every number that the author set: a parameter in prose is no result."""

    def numbers(item: Any) -> Iterator[float]:
        if isinstance(item, bool):
            return
        if isinstance(item, int | float):
            yield abs(float(item))
        elif isinstance(item, Mapping):
            for inner in item.values():
                yield from numbers(inner)
        elif isinstance(item, list | tuple):
            for inner in item:
                yield from numbers(inner)

    return {number for trial in results.trials for number in numbers([trial.params, trial.seed, trial.num_ranks])}


def _is_innocent(typed: TypedNumber, parameters: set[float]) -> bool:
    number = typed.number
    if typed.is_percent:
        return number in CUSTOMARY_PERCENT or any(abs(p * 100 - number) < 1e-9 or p == number for p in parameters)
    is_year = typed.is_whole and typed.num_digits <= 4 and 1900 <= number <= 2099 and typed.text.isdigit()
    return is_year or number in CUSTOMARY or number in parameters or (typed.is_whole and typed.num_digits < 3)


def _best(
    typed: TypedNumber, sentence: frozenset[str], candidates: Iterable[Candidate]
) -> tuple[str, bool, str] | None:
    """The likeliest result behind a number: its key, whether it is equal, what it prints now."""
    best: tuple[tuple[bool, int], tuple[str, bool, str]] | None = None
    for candidate in candidates:
        if (match := _match(typed, candidate.value)) is None:
            continue
        metric, row = speaks_of(sentence, candidate.metric_words), speaks_of(sentence, candidate.row_words)
        if not _suffices(typed, match, metric, row):
            continue
        score = (match, metric + row)
        if best is None or score > best[0]:
            best = score, (candidate.value.key, match, plain(candidate.value))
    return None if best is None else best[1]


def _match(typed: TypedNumber, value: Value) -> bool | None:
    """True when the value rounds to the typed number, False when it nearly does, None when it does not."""
    nearly = False
    for scale in _scales(typed, value):
        number = abs(value.mean) * scale
        gap = abs(number - typed.number)
        if gap <= 0.5 * typed.step * (1 + 1e-6):
            return True
        nearly |= gap <= max(1.5 * typed.step, NEAR * number) and typed.num_digits >= 3
    return False if nearly else None


def _scales(typed: TypedNumber, value: Value) -> tuple[float, ...]:
    if typed.is_percent:
        return (1.0,) if value.is_percent else (100.0,) if not value.unit and abs(value.mean) <= 1.5 else ()
    return (1.0, 0.01) if value.is_percent else (1.0,)


def _suffices(typed: TypedNumber, is_equal: bool, metric: bool, row: bool) -> bool:
    if not is_equal:
        return metric and row
    if typed.num_digits >= 5 or (typed.num_digits == 4 and not typed.is_whole):
        return True
    if typed.num_digits >= 3:
        return metric or row
    return typed.num_digits == 2 and (typed.is_percent or not typed.is_whole) and metric and row


def words_of(text: str) -> frozenset[str]:
    """The words of a text, in small letters; of Chinese, every run of characters."""
    plain_text = re.sub(r"\\[A-Za-z]+", " ", text).lower()
    return frozenset(re.findall(r"[a-z]{2,}|[\u4e00-\u9fff]+", plain_text))


def speaks_of(sentence: frozenset[str], words: frozenset[str]) -> bool:
    """Whether the sentence holds one of the words: an English one whatever its ending, a Chinese one within a run."""
    english = [word[:6] for word in words if word.isascii()]
    chinese = [word for word in words if not word.isascii()]
    return any(
        any(word.startswith(stem) if len(stem) >= 3 else word == stem for stem in english)
        if word.isascii()
        else any(name in word for name in chinese)
        for word in sentence
    )


CHECKS = (
    Check(
        name="typed-number",
        looks_for="numbers typed by hand that equal or nearly equal a result",
        find=find,
    ),
)
