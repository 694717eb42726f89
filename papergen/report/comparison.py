"""Two rows, or the rows that two experiments share, side by side: whether they may be, and how they differ.

Numbers may stand side by side that rest on the same data and precision, and speeds on the same machine. A comparison
has differences with interval, test and effect size.

Where both rest on the same prompts or seeds, everything is paired. The p-values are Holm's over all
that one comparison tests.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

from papergen.core.errors import PapergenError
from papergen.core.numbers import short
from papergen.core.widths import ljust, rjust, width_of
from papergen.experiment.states import differences
from papergen.report import statistics
from papergen.report.derived import compare, difference, paired
from papergen.report.results import Results, UnknownKeyError
from papergen.report.values import Text, Value, value_of
from papergen.store.records import Provenance, Result

SPEED_UNITS = re.compile(r"(^|/)\s*(ns|us|µs|ms|s|min|h)$|FLOP|MiB|GiB|^W$|^J$")
"""Units of numbers that the machine decides."""


def is_speed(unit: str) -> bool:
    """Whether a metric of that unit measures the machine as well as the method: "s", "tokens/s", "MiB"."""
    return bool(SPEED_UNITS.search(unit))


class Facet(Enum):
    """What must be equal of numbers that stand side by side."""

    UNIT = "unit"
    DATA = "data"
    DTYPE = "dtype"
    HARDWARE = "hardware"
    """Of speeds only."""


class NotComparableError(PapergenError):
    """Rows that differ in `facet` were to stand side by side."""

    def __init__(self, facet: Facet, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.facet = facet


def require_comparable(
    results: Results, name: str, metrics: Mapping[str, Collection[str]], *, varies: Collection[str] = ()
) -> None:
    """Refuse to set rows side by side that differ in what should be equal; NotComparableError says what and where.

    `metrics` maps `experiment/row` to the metrics shown of it. `varies` names what the author compares on purpose:
    "data", "dtype" or "hardware".
    """
    for column in dict.fromkeys(metric for shown in metrics.values() for metric in shown):
        rows = [key for key, shown in metrics.items() if column in shown]
        found = {key: results.finished(*key.split("/")) for key in rows}
        units = {results.metric(key.split("/")[0], column).unit for key in rows}
        if len(units) > 1:
            message = f"{name}: {column} counts in {' and in '.join(sorted(units))}; convert one of them."
            raise NotComparableError(Facet.UNIT, message)
        facets = {Facet.DATA: _data, Facet.DTYPE: _dtype}
        if any(is_speed(unit) for unit in units):
            facets[Facet.HARDWARE] = _hardware
        for facet, of in facets.items():
            if facet.value not in varies:
                _require_equal(name, facet, {key: [of(result) for result in seeds] for key, seeds in found.items()})


def _require_equal(name: str, facet: Facet, met: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    first: dict[str, tuple[Any, str]] = {}
    for key, seeds in met.items():
        for facts in seeds:
            for what, value in facts.items():
                expected, where = first.setdefault(what, (value, key))
                if value != expected:
                    raise NotComparableError(
                        facet,
                        f"{name}: {where} and {key} are not comparable: {what} is {_short(expected)} in the one and "
                        f"{_short(value)} in the other.",
                        hint="Run them alike, or say that this is what the table compares: "
                        f'varies={{"{facet.value}"}}.',
                    )


def _data(result: Result) -> Mapping[str, Any]:
    return {f"the data {name!r}": digest for name, digest in result.trial.parts.get("data", {}).items()}


def _dtype(result: Result) -> Mapping[str, Any]:
    dtype = result.outcome.facts.get("dtype", result.trial.params.get("dtype"))
    return {} if dtype is None else {"the dtype": dtype}


def _hardware(result: Result) -> Mapping[str, Any]:
    if result.is_imported:  # our own machine only read the number
        paths = ", ".join(str(origin["path"]) for origin in result.outcome.facts.get("origin", []))
        return {"the device": f"unknown (imported from {paths})"}
    machine = result.provenance
    gpus = ", ".join(sorted(set(machine.gpus))) if machine.device != "cpu" else ""
    return {"the device": machine.device, "the CPU": machine.cpu, **({"the GPU": gpus} if gpus else {})}


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if re.fullmatch(r"[0-9a-f]{40,}", text) else text


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One metric of A against B. What cannot be known with so few units is None."""

    metric: str
    unit: str
    a_key: str
    b_key: str
    a: float
    b: float
    difference: float
    """A minus B."""
    low: float | None
    high: float | None
    n: int
    over: str
    is_paired: bool
    test: str = ""
    p: float | None = None
    p_holm: float | None = None
    effect_size: float | None = None
    effect_name: str = ""
    """"d_z" (paired) or "Cliff's delta"."""
    better: str = ""
    """"A" or "B" by the metric's direction; "" where they are equal or neither way is better."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A against B."""

    a: str
    b: str
    contrasts: tuple[Contrast, ...]
    differs: tuple[str, ...]
    """What was set or found differently: "num_beams 1 -> 4"."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


def compared(results: Results, a: str, b: str, *, metrics: Sequence[str] = (), test: str = "t") -> Comparison:
    """Compare two experiments, rows (`experiment/row`) or keys (`experiment/row/metric`).

    PapergenError when they have nothing in common, the errors of `value_of` for what is unknown or unfinished.
    """
    if a.count("/") != b.count("/"):
        raise PapergenError(f"{a} and {b} are not alike: name two experiments, two rows or two keys.")
    if a.count("/") == 2:
        pairs = [(a.rpartition("/")[0], b.rpartition("/")[0])]
        names = [(a.rpartition("/")[2], b.rpartition("/")[2])]
    else:
        pairs = _row_pairs(results, a, b)
        names = [(name, name) for name in metrics]
    contrasts: list[Contrast] = []
    for row_a, row_b in pairs:
        shared = names or [(name, name) for name in _shared(results, row_a, row_b)]
        contrasts += [_contrast(results, f"{row_a}/{left}", f"{row_b}/{right}", test) for left, right in shared]
    if not contrasts:
        raise PapergenError(f"{a} and {b} report no metric in common.")
    return Comparison(a=a, b=b, contrasts=_holm(contrasts), differs=_differs(results, pairs))


def _row_pairs(results: Results, a: str, b: str) -> list[tuple[str, str]]:
    if "/" in a:
        return [(a, b)]
    rows = [row for row in results.rows(a) if row in results.rows(b)]
    if not rows:
        raise PapergenError(f"{a} and {b} have no row of the same name. Compare two rows: papergen compare {a}/ROW ...")
    return [(f"{a}/{row}", f"{b}/{row}") for row in rows]


def _shared(results: Results, row_a: str, row_b: str) -> list[str]:
    """The declared metrics that all trials of both rows report, then the others."""
    (first, _, row), (second, _, other) = row_a.partition("/"), row_b.partition("/")
    found = [*results.finished(first, row), *results.finished(second, other)]
    common = set.intersection(*(set(result.outcome.metrics) for result in found))
    common -= {name for name in common if any(result.outcome.metrics[name] is None for result in found)}
    declared = [metric.name for metric in results.metrics.get(first, ()) if metric.name in common]
    return [*declared, *sorted(common - set(declared))]


def _contrast(results: Results, key_a: str, key_b: str, test: str) -> Contrast:
    a, b = (_number(results, key) for key in (key_a, key_b))
    gap = difference(a, b)
    pairs = paired(a, b)
    metric = key_a.rpartition("/")[2]
    warnings = []
    try:
        shown = {key.rpartition("/")[0]: (key.rpartition("/")[2],) for key in (key_a, key_b)}
        if key_a.rpartition("/")[2] == key_b.rpartition("/")[2]:
            require_comparable(results, "not comparable", shown)
    except NotComparableError as error:
        warnings.append(error.message)
    found = Contrast(
        metric=metric,
        unit=a.unit,
        a_key=key_a,
        b_key=key_b,
        a=a.mean,
        b=b.mean,
        difference=gap.mean,
        low=gap.low,
        high=gap.high,
        n=gap.n if gap.low is not None else min(a.n, b.n),
        over=a.over,
        is_paired=pairs is not None,
        better=_better(a, b),
    )
    outcome = compare(a, b, test)
    if outcome.untestable is statistics.Untestable.SINGLE:
        return replace(found, warnings=(*warnings, "n = 1: nothing can be tested; use more seeds"))
    if outcome.untestable is not None:
        warnings.append(outcome.untestable.sentence)
    if pairs is not None:
        size, name = statistics.cohens_dz(pairs[1], pairs[2]), "d_z"
    else:
        size, name = statistics.cliffs_delta(a.samples, b.samples), "Cliff's delta"
    if outcome.warning:
        warnings.append(outcome.warning)
    return replace(
        found,
        test=outcome.name if outcome.p is not None else "",
        p=outcome.p,
        effect_size=size if abs(size) < float("inf") else None,
        effect_name=name,
        warnings=tuple(warnings),
    )


def _number(results: Results, key: str) -> Value:
    found = value_of(results, key)
    if isinstance(found, Text):
        raise UnknownKeyError(key, "is a text, and texts have no difference.")
    return found


def _better(a: Value, b: Value) -> str:
    if a.mean == b.mean or a.direction == "none":
        return ""
    return "A" if (a.mean > b.mean) == (a.direction == "higher") else "B"


def _holm(contrasts: Sequence[Contrast]) -> tuple[Contrast, ...]:
    tested = [item.p for item in contrasts if item.p is not None]
    adjusted = iter(statistics.holm(tested))
    return tuple(item if item.p is None else replace(item, p_holm=next(adjusted)) for item in contrasts)


def _differs(results: Results, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """What the first trials of the rows were given and ran on, where it differs."""
    found: dict[str, None] = {}
    for row_a, row_b in pairs:
        first, second = (results.finished(*row.split("/"))[0] for row in (row_a, row_b))
        prefix = "" if len(pairs) == 1 else f"{row_a.partition('/')[2]}: "
        said = [text for text in differences(first.trial.parts, second.trial.parts) if not text.startswith("seed ")]
        machines = zip(_machine(first.provenance), _machine(second.provenance), strict=True)
        said += [f"{name} {before} -> {after}" for (name, before), (_, after) in machines if before != after]
        found |= dict.fromkeys(f"{prefix}{text}" for text in said)
    return tuple(found)


def _machine(provenance: Provenance) -> list[tuple[str, Any]]:
    names = ("device", "cpu", "gpus", "num_cores", "num_threads", "backend", "python", "driver")
    return [(name, getattr(provenance, name)) for name in names]


def describe(comparison: Comparison) -> str:
    """What a person reads."""
    lines = [f"A = {comparison.a}", f"B = {comparison.b}", ""]
    head = ["metric", "A", "B", "A - B", "95 % interval", "p (Holm)", "effect", "n", "test"]
    table = [head, *(_cells(item, is_many=comparison.a.count("/") == 0) for item in comparison.contrasts)]
    widths = [max(width_of(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        cells = [
            ljust(text, width) if not column else rjust(text, width) for column, (text, width) in _zip(row, widths)
        ]
        lines.append("  ".join(cells).rstrip())
    warnings = dict.fromkeys(
        f"{item.metric}: {text}" if len(comparison.contrasts) > 1 else text
        for item in comparison.contrasts
        for text in item.warnings
    )
    if warnings:
        lines += ["", *(f"warning: {text}" for text in warnings)]
    lines += ["", "What differs (A -> B):" if comparison.differs else "Nothing differs in what was run."]
    lines += [f"  {text}" for text in comparison.differs]
    return "\n".join(lines)


def _zip(row: Sequence[str], widths: Sequence[int]) -> list[tuple[int, tuple[str, int]]]:
    return list(enumerate(zip(row, widths, strict=True)))


def _cells(item: Contrast, *, is_many: bool) -> list[str]:
    name = f"{item.a_key.split('/')[1]}/{item.metric}" if is_many else item.metric
    star = f" {item.better} better" if item.better and item.p_holm is not None and item.p_holm < 0.05 else ""
    return [
        f"{name} ({item.unit})" if item.unit else name,
        short(item.a, 5),
        short(item.b, 5),
        short(item.difference, is_signed=True),
        ""
        if item.low is None or item.high is None
        else f"[{short(item.low, is_signed=True)}, {short(item.high, is_signed=True)}]",
        "" if item.p_holm is None else f"{'< 0.0001' if item.p_holm < 1e-4 else format(item.p_holm, '.4f')}{star}",
        "" if item.effect_size is None else f"{item.effect_name} {item.effect_size:+.2f}",
        f"{item.n} {item.over}",
        item.test + (" (paired)" if item.is_paired and item.test and "paired" not in item.test else ""),
    ]
