"""Claims: sentences of the paper tied to an assertion over the results, and keys that are computed.

    decoding/nucleus/rep_4 < decoding/beam/rep_4 and significant(decoding/nucleus/rep_4, decoding/beam/rep_4)
    ratio(speed/ddp-2/tokens_per_s, speed/ddp-1/tokens_per_s) >= 1.8
    argbest(decoding, rep_4) == nucleus
    outperforms(decoding/nucleus, [decoding/greedy, decoding/beam], on=[rep_4, mauve], at_least=3)

`check` says whether a claim holds and with which numbers; `evaluate` gives the value of a computed key.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from papergen.core.errors import PapergenError, did_you_mean
from papergen.report import derived, statistics
from papergen.report.claims.operands import (
    Found,
    Share,
    beside,
    flattened,
    items_of,
    number_of,
    of_numbers,
    of_two_values,
    row_name,
    shown,
    value_in,
    with_number,
    word_of,
)
from papergen.report.claims.syntax import (
    Call,
    Comparison,
    ExpressionError,
    Items,
    Name,
    Node,
    Number,
    Operation,
    fault,
    parse,
)
from papergen.report.results import ResultKeyError, Results
from papergen.report.values import Text, Value, one_of, value_of

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}

FUNCTIONS = {
    "best": "best(experiment, metric): the best row's value; rows=[...] limits the choice",
    "argbest": "argbest(experiment, metric): the best row's name",
    "argmin": "argmin(experiment, metric): the name of the row with the smallest mean",
    "argmax": "argmax(experiment, metric): the name of the row with the largest mean",
    "min": "min(a, b, ...): the smallest of several",
    "max": "max(a, b, ...): the largest of several",
    "abs": "abs(a): without its sign",
    "diff": "diff(a, b): a - b with its interval",
    "ratio": "ratio(a, b): a / b with its interval",
    "significant": "significant(a, b, level=0.05, test=t): whether a test tells them apart (wilcoxon, permutation)",
    "p": "p(a, b, test=t): the p-value of that test",
    "about": "about(a, b, within=5%): whether a is that near to b",
    "outperforms": "outperforms(a, [b, c], at_least=2, level=0.05): better in the metric's direction; significantly "
    "(with Holm's correction) when a level is given; with on=[metrics], a and b are experiment/row",
    "wins": "wins(a, [b, c]): in how many of these comparisons a is better, with the options of outperforms",
    "gain": "gain(a, b): how many times better a is than b, in the direction of the metric",
}


@dataclass(frozen=True)
class Verdict:
    """What the results say about a claim."""

    claim: str
    holds: bool
    evidence: tuple[str, ...]
    """The values met and the tests made, one line each."""
    warnings: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()


Tested = tuple[str, str, str]
"""One test: the keys of the two values, in this order, and its name."""


def comparisons_of(results: Results, claim: str) -> dict[Tested, float]:
    """The tests that a claim makes, with their p-values before any correction; those of `check` when it raises."""
    reader = _Reader(results, claim)
    reader.read()
    return reader.tests


def family_of(tests: Mapping[Tested, float]) -> dict[Tested, float]:
    """The p-values of one family of tests after Holm's correction (Holm 1979)."""
    corrected = statistics.holm(list(tests.values()))
    return {tested: p for tested, p in zip(tests, corrected, strict=True) if p is not None}


def check(results: Results, claim: str, family: Mapping[Tested, float] | None = None) -> Verdict:
    """Whether a claim holds. PapergenError when it is not well formed or a value in it cannot be had.

    With a `family`, which holds the corrected p-values of all tests of the paper, those decide; without one Holm's
    correction is over the comparisons of one `outperforms` or `wins`.
    """
    reader = _Reader(results, claim, family)
    found = reader.read()
    if not isinstance(found, bool):
        raise fault(claim, 1, f"a claim is true or false, and this is {shown(found)}. Compare it with something.")
    digests = tuple(dict.fromkeys(digest for value in reader.met.values() for digest in value.digests))
    values = [f"{key} = {shown(value)}{_count(value)}" for key, value in reader.met.items()]
    return Verdict(claim, found, (*values, *reader.notes), tuple(dict.fromkeys(reader.warnings)), digests)


def evaluate(results: Results, key: str) -> Value | Text:
    """The value of a key, plain (`decoding/nucleus/rep_4`) or computed (`ratio(a, b)`, `argbest(decoding, rep_4)`)."""
    if not any(sign in key for sign in '()[]" '):
        return value_of(results, key)
    found = _Reader(results, key).read()
    if isinstance(found, bool | list):
        raise fault(key, 1, f"this is {shown(found)}, which cannot be printed as a result.")
    return Value(key=key, mean=found) if isinstance(found, float) else found


@dataclass
class _Reader:
    results: Results
    text: str
    family: Mapping[Tested, float] | None = None
    tests: dict[Tested, float] = field(default_factory=dict)
    met: dict[str, Value | Text] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def read(self) -> Found:
        """The value of the whole text."""
        try:
            return self.evaluate(parse(self.text))
        except RecursionError:
            raise ExpressionError("column 1: the expression is nested too deeply.") from None

    def evaluate(self, node: Node) -> Found:
        """The value of a part; a fault without a place is given that of the part."""
        try:
            return self._evaluate(node)
        except (ResultKeyError, ExpressionError):
            raise
        except PapergenError as error:
            raise fault(self.text, node.column, error.message) from error

    def _evaluate(self, node: Node) -> Found:
        if isinstance(node, Number):
            return Share(node.value) if node.is_percent else node.value
        if isinstance(node, Name):
            return self._named(node.text)
        if isinstance(node, Items):
            return [self.evaluate(item) for item in node.items]
        if isinstance(node, Comparison):
            return self._compared(node)
        if isinstance(node, Operation):
            return self._operated(node)
        assert isinstance(node, Call), f"an expression has no part of the kind {type(node).__name__}"
        return self._called(node)

    def _named(self, text: str) -> Value | Text:
        """The value of a key; a name without a slash stands for itself (a row's name)."""
        if text.count("/") != 2:
            return Text(key=text, text=text)
        self.met.setdefault(text, value_of(self.results, text))
        return self.met[text]

    def _compared(self, node: Comparison) -> bool:
        operands = [self.evaluate(operand) for operand in node.operands]
        holds = True
        for sign, left, right in zip(node.signs, operands, operands[1:], strict=False):
            if isinstance(left, Text) and isinstance(right, Text) and sign in {"==", "!="}:
                holds &= _COMPARE[sign](left.text, right.text)
                continue
            if isinstance(left, Value) and isinstance(right, Value):
                self._same_unit(left, right)
            holds &= _COMPARE[sign](beside(left, right), beside(right, left))
        return holds

    def _operated(self, node: Operation) -> Found:
        if node.sign in {"and", "or", "not"}:
            truths = [self._truth(operand) for operand in node.operands]  # all of them, so that all evidence is shown
            return not truths[0] if node.sign == "not" else all(truths) if node.sign == "and" else any(truths)
        operands = [self.evaluate(operand) for operand in node.operands]
        if len(operands) == 1:
            only = operands[0]
            if isinstance(only, Value):
                return only.scaled(-1)
            return Share(-only) if isinstance(only, Share) else -number_of(only)
        left, right = operands
        if isinstance(left, Value) and isinstance(right, Value):
            return of_two_values(node.sign, left, right)
        if isinstance(left, Value):
            return with_number(node.sign, left, beside(right, left if node.sign in {"+", "-"} else right))
        if isinstance(right, Value) and node.sign == "*":
            return with_number("*", right, number_of(left))
        if isinstance(right, Value) and node.sign in {"+", "-"}:
            return with_number("+", right.scaled(1 if node.sign == "+" else -1), beside(left, right))
        return of_numbers(node.sign, left, right)

    def _called(self, node: Call) -> Found:
        known = {name: getattr(self, f"_{name}") for name in FUNCTIONS}
        if node.function not in known:
            raise PapergenError(f"there is no function {node.function!r}. {did_you_mean(node.function, known)}")
        options = {name: self.evaluate(option) for name, option in node.options.items()}
        arguments = [self.evaluate(argument) for argument in node.arguments]
        try:
            inspect.signature(known[node.function]).bind(*arguments, **options)
        except TypeError as error:
            raise PapergenError(f"{node.function} is used as {FUNCTIONS[node.function]}.") from error
        found: Found = known[node.function](*arguments, **options)
        return found

    def _truth(self, node: Node) -> bool:
        found = self.evaluate(node)
        if not isinstance(found, bool):
            raise fault(self.text, node.column, f"expected something true or false, found {shown(found)}.")
        return found

    def _same_unit(self, *values: Value) -> None:
        units = dict.fromkeys(value.unit for value in values)
        if len(units) > 1:
            raise PapergenError(f"{' and '.join(value.key for value in values)} count in different units.")

    def _extreme(self, which: Any, experiment: Found, metric: Found, rows: Found | None) -> tuple[str, Value]:
        names = None if rows is None else [word_of(row) for row in items_of(rows)]
        row, value = derived.extreme(self.results, which, word_of(experiment), word_of(metric), names)
        self.met[value.key] = value
        return row, value

    def _best(self, experiment: Found, metric: Found, rows: Found | None = None) -> Found:
        return self._extreme("best", experiment, metric, rows)[1]

    def _argbest(self, experiment: Found, metric: Found, rows: Found | None = None) -> Found:
        return row_name(*self._extreme("best", experiment, metric, rows))

    def _argmin(self, experiment: Found, metric: Found, rows: Found | None = None) -> Found:
        return row_name(*self._extreme("min", experiment, metric, rows))

    def _argmax(self, experiment: Found, metric: Found, rows: Found | None = None) -> Found:
        return row_name(*self._extreme("max", experiment, metric, rows))

    def _min(self, *items: Found) -> Found:
        flat = flattened(items)
        return flat[min(range(len(flat)), key=lambda index: number_of(flat[index]))]

    def _max(self, *items: Found) -> Found:
        flat = flattened(items)
        return flat[max(range(len(flat)), key=lambda index: number_of(flat[index]))]

    def _abs(self, item: Found) -> Found:
        if isinstance(item, Value):
            return item.scaled(-1) if item.mean < 0 else item
        return abs(number_of(item))

    def _diff(self, a: Found, b: Found) -> Found:
        return derived.difference(value_in(a), value_in(b))

    def _ratio(self, a: Found, b: Found) -> Found:
        return derived.ratio(value_in(a), value_in(b))

    def _p(self, a: Found, b: Found, test: Found | None = None) -> Found:
        return self._decided(value_in(a), value_in(b), test)

    def _significant(self, a: Found, b: Found, level: Found = 0.05, test: Found | None = None) -> Found:
        return self._decided(value_in(a), value_in(b), test) < number_of(level)

    def _about(self, a: Found, b: Found, within: Found = 0.05) -> Found:
        return abs(beside(a, b) - beside(b, a)) <= number_of(within) * abs(beside(b, a))

    def _gain(self, a: Found, b: Found) -> Found:
        mine, theirs = value_in(a), value_in(b)
        if "none" in {mine.direction, theirs.direction}:
            raise PapergenError(f"{mine.key}: neither higher nor lower is better, so there is no gain.")
        return derived.ratio(*((mine, theirs) if mine.direction == "higher" else (theirs, mine)))

    def _outperforms(
        self,
        a: Found,
        others: Found,
        at_least: Found | None = None,
        level: Found | None = None,
        on: Found | None = None,
        test: Found | None = None,
    ) -> Found:
        wins, how = self._won(a, others, level, on, test)
        needed = len(wins) if at_least is None else int(number_of(at_least))
        self.notes.append(f"better in {sum(wins)} of {len(wins)} comparisons{how} (needed: {needed})")
        return sum(wins) >= needed

    def _wins(
        self,
        a: Found,
        others: Found,
        level: Found | None = None,
        on: Found | None = None,
        test: Found | None = None,
    ) -> Found:
        wins, how = self._won(a, others, level, on, test)
        self.notes.append(f"better in {sum(wins)} of {len(wins)} comparisons{how}")
        digests = tuple(dict.fromkeys(digest for value in self.met.values() for digest in value.digests))
        return Value(key=self.text, mean=sum(wins), n=len(wins), over="comparisons", digests=digests)

    def _won(
        self, a: Found, others: Found, level: Found | None, on: Found | None, test: Found | None
    ) -> tuple[list[bool], str]:
        """Which comparisons `a` wins, and by what rule in words."""
        rivals = items_of(others)
        if on is None:
            pairs = [(value_in(a), value_in(rival)) for rival in rivals]
        else:
            metrics = [word_of(metric) for metric in items_of(on)]
            pairs = [
                (value_in(self._named(f"{word_of(a)}/{metric}")), value_in(self._named(f"{word_of(rival)}/{metric}")))
                for rival in rivals
                for metric in metrics
            ]
        wins = [derived.is_better(mine, theirs) for mine, theirs in pairs]
        if level is None:
            return wins, ""
        adjusted = [self._test(mine, theirs, test).p for mine, theirs in pairs]
        if self.family is None:
            adjusted = statistics.holm(adjusted)
        wins = [win and p is not None and p < number_of(level) for win, p in zip(wins, adjusted, strict=True)]
        over = "" if self.family is None else f" over the {len(self.family)} tests of the paper"
        return wins, f" at level {number_of(level):g} with Holm's correction{over}"

    def _decided(self, a: Value, b: Value, test: Found | None) -> float:
        """The p-value; PapergenError where there is none, so that neither a claim nor its denial holds."""
        outcome = self._test(a, b, test)
        if outcome.p is None:
            raise PapergenError(f"{a.key} against {b.key}: {_why(outcome, a, b)}.")
        return outcome.p

    def _test(self, a: Value, b: Value, test: Found | None) -> statistics.Test:
        name = "t" if test is None else word_of(test)
        if name not in derived.TESTS:
            raise PapergenError(f"there is no test {name!r}. {did_you_mean(name, derived.TESTS)}")
        outcome = derived.compare(a, b, name)
        if outcome.p is None:
            self.notes.append(f"{a.key} against {b.key}: {_why(outcome, a, b)}")
            return outcome
        tested = (a.key, b.key, name)
        self.tests[tested] = outcome.p
        note = f"{a.key} against {b.key}: {outcome.name} test, n = {outcome.n}, {_shown_p(outcome.p)}"
        if self.family is not None:
            corrected = self.family.get(tested, outcome.p)
            outcome = replace(outcome, p=corrected)
            note += f", {corrected:.3g} after Holm's correction over the paper's {len(self.family)} tests"
        self.notes.append(note)
        if outcome.warning:
            self.warnings.append(f"{a.key} against {b.key}: {outcome.warning}")
        return outcome


def _why(outcome: statistics.Test, a: Value, b: Value) -> str:
    """Why a test has no p-value, as a person reads it."""
    assert outcome.untestable is not None, "a test without a p-value says why"
    alone = a if a.n < 2 or not a.samples else b
    if outcome.untestable is statistics.Untestable.SINGLE:
        return f"cannot be tested: {alone.key} rests on one {one_of(alone.over)}"
    return outcome.untestable.sentence


def _shown_p(p: float) -> str:
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.3g}"


def _count(value: Value | Text) -> str:
    return f", n = {value.n} {value.over}" if isinstance(value, Value) and value.low is not None else ""
