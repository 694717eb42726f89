"""A number of the paper with everything needed to print it honestly: spread, n, unit, and the runs behind it.

The sampled unit decides the interval. Where a metric is reported per prompt, the seeds of a prompt are averaged first
and Student's t runs over prompts, so repeating deterministic decoding can never shrink an interval; otherwise it runs
over seeds. One seed and no units: no interval.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from papergen.core.errors import did_you_mean, nearest
from papergen.core.files import digest_json
from papergen.core.numbers import EXACT
from papergen.experiment.api import Metric
from papergen.report import statistics
from papergen.report.results import (
    NotANumberError,
    NotApplicableError,
    NotFinishedError,
    ResultKeyError,
    Results,
    UnknownKeyError,
)
from papergen.store.records import Result

PARAMS, RUN = "params.", "run."
"""Prefixes of the last part of a key: a parameter of the row; how the trial ran (a field of Provenance)."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """One number, or what was computed from several."""

    key: str
    mean: float
    n: int = 1
    """How many sampled units the mean and the interval rest on (prompts or seeds)."""
    num_seeds: int = 1
    sd: float | None = None
    """Standard deviation between the units (n - 1); None when n < 2."""
    low: float | None = None
    high: float | None = None
    """95 % interval; None when n < 2."""
    over: str = "seeds"
    """What the units are: "seeds", "prompts"."""
    unit: str = ""
    label: str = ""
    direction: Literal["higher", "lower", "none"] = "none"
    digests: tuple[str, ...] = ()
    """The trials behind the number."""
    samples: tuple[float, ...] = ()
    """One number per unit: its mean over seeds."""
    sample_ids: tuple[int, ...] = ()
    """Which unit each sample is; the same id in the same population is the same prompt."""
    population: str = ""
    """Names the set of units; two values are paired when theirs is the same."""

    @property
    def half_width(self) -> float | None:
        """Half of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def is_percent(self) -> bool:
        """Whether the number already counts in per cent."""
        return self.unit == "%"

    @property
    def is_whole(self) -> bool:
        """Whether it is a count: printed without decimals."""
        return self.half_width in {None, 0.0} and float(self.mean).is_integer() and abs(self.mean) < EXACT

    def scaled(self, factor: float) -> Value:
        """The value times a number, interval and samples included."""
        ends = (None, None) if self.low is None or self.high is None else (self.low * factor, self.high * factor)
        low, high = ends[::-1] if factor < 0 else ends
        return replace(
            self,
            mean=self.mean * factor,
            sd=None if self.sd is None else self.sd * abs(factor),
            low=low,
            high=high,
            samples=tuple(sample * factor for sample in self.samples),
        )

    def shifted(self, number: float) -> Value:
        """The value plus a number, interval and samples included."""
        return replace(
            self,
            mean=self.mean + number,
            low=None if self.low is None else self.low + number,
            high=None if self.high is None else self.high + number,
            samples=tuple(sample + number for sample in self.samples),
        )


@dataclass(frozen=True, kw_only=True)
class Text:
    """A recorded truth that is not a number: the CPU's name, a data set's."""

    key: str
    text: str
    digests: tuple[str, ...] = ()
    label: str = ""
    """How a paper prints it, where that is not the text itself: a row's name as tables have it."""

    @property
    def printed(self) -> str:
        """The text as a paper has it."""
        return self.label or self.text


def one_of(units: str) -> str:
    """The singular of what a mean runs over: `seeds` is `seed`, `batches` is `batch`."""
    return re.sub(r"(?<=ch)es$|s$", "", units)


def value_of(results: Results, key: str) -> Value | Text:
    """The number behind `experiment/row/metric`, or a fact, `params.NAME` or `run.FIELD` in the metric's place.

    Raises UnknownKeyError, NotApplicableError, NotFinishedError or NotANumberError, each with the key and all that is
    known; the caller adds the place of use.
    """
    experiment, row, name = split_key(key)
    try:
        found = results.finished(experiment, row, key)
    except NotFinishedError as error:
        declared = [metric.name for metric in results.metrics.get(experiment, ())]
        if "." in name or name in declared or not nearest(name, declared):
            raise
        detail = f"{experiment} declares no metric {name!r}. {did_you_mean(name, declared)}\n{error.message}"
        raise NotFinishedError(key, error.state, detail, cause=error.cause, hint=str(error.hint)) from error
    metric = results.metric(experiment, name)
    if all(name in result.outcome.metrics for result in found):
        return _measured(key, metric, found)
    recorded = _recorded(key, name, found)
    if recorded is None:
        raise _no_metric(results, key, found)
    return recorded


def split_key(key: str) -> tuple[str, str, str]:
    """Experiment, row and metric."""
    parts = key.split("/")
    if len(parts) != 3 or not all(parts):
        raise UnknownKeyError(key, "a key is experiment/row/metric, for example decoding/nucleus/rep_4.")
    return parts[0], parts[1], parts[2]


def summary(samples: Sequence[float]) -> dict[str, Any]:
    """The fields of a Value that follow from its samples."""
    interval = statistics.t_interval(samples)
    return {
        "mean": statistics.mean(samples),
        "n": len(samples),
        "sd": statistics.sd(samples) if len(samples) > 1 else None,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "samples": tuple(samples),
    }


def _measured(key: str, metric: Metric, found: Sequence[Result]) -> Value:
    name = metric.name
    bad = [result.trial.label for result in found if not _is_number(result.outcome.metrics[name])]
    if bad:
        raise NotANumberError(
            key,
            f"the trial ended with NaN or infinity ({', '.join(bad)}).",
            hint="Look at its log with `papergen trace`, mend the cause and run it again.",
        )
    per_seed = [float(result.outcome.metrics[name] or 0.0) for result in found]
    shared: dict[str, Any] = {
        "key": key,
        "num_seeds": len(found),
        "unit": metric.unit,
        "label": metric.label,
        "direction": metric.direction,
        "digests": tuple(result.trial.digest for result in found),
    }
    if metric.over != "seeds" and all(name in result.outcome.units for result in found):
        ids, samples = _per_unit(key, name, [result.outcome.units[name] for result in found])
        _agrees(key, samples, per_seed, found, name)
        data = digest_json([found[0].trial.parts.get("data", {}), len(found[0].outcome.units[name])])
        population = f"{found[0].trial.experiment}:{metric.over}:{data[:16]}"
        return Value(**shared, **summary(samples), over=metric.over, sample_ids=ids, population=population)
    seeds = tuple(result.trial.seed for result in found)
    return Value(**shared, **summary(per_seed), over="seeds", sample_ids=seeds, population="seeds")


def _per_unit(
    key: str, name: str, columns: Sequence[Sequence[float | None]]
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Unit -> mean over the seeds in which it is defined; units that are defined nowhere are left out."""
    lengths = sorted({len(column) for column in columns})
    if len(lengths) > 1:
        raise ResultKeyError(key, f"the seeds report different numbers of units for {name} ({lengths}).")
    means: dict[int, float] = {}
    for index, values in enumerate(zip(*columns, strict=True)):
        numbers = [float(value) for value in values if value is not None]
        if numbers:
            means[index] = statistics.mean(numbers)
    if not means:
        raise NotANumberError(key, f"{name} is defined for none of its {lengths[0]} units.")
    return tuple(means), tuple(means.values())


def _agrees(key: str, samples: Sequence[float], per_seed: Sequence[float], found: Sequence[Result], name: str) -> None:
    """The reported number must be the mean of its units, or the interval would be about something else."""
    if any(value is None for result in found for value in result.outcome.units[name]):
        return
    by_units, reported = statistics.mean(samples), statistics.mean(per_seed)
    if not math.isclose(by_units, reported, rel_tol=1e-3, abs_tol=1e-6):
        raise ResultKeyError(
            key,
            f"the trials report {name} = {reported:.6g}, but its units have the mean {by_units:.6g}.",
            hint='Report the mean of the units, or declare the metric over="seeds".',
        )


def _recorded(key: str, name: str, found: Sequence[Result]) -> Value | Text | None:
    """A fact, a parameter or a field of the provenance; it must be the same for every seed, measurements apart."""
    sources: list[Mapping[str, Any]]
    if name.startswith(PARAMS):
        name, sources = name.removeprefix(PARAMS), [result.trial.params for result in found]
    elif name.startswith(RUN):
        name, sources = name.removeprefix(RUN), [vars(result.provenance) for result in found]
    else:
        sources = [result.outcome.facts for result in found]
    if any(name not in source for source in sources):
        return None
    items = [source[name] for source in sources]
    digests = tuple(result.trial.digest for result in found)
    if all(_is_number(item) for item in items):
        if len(set(items)) == 1:
            return Value(key=key, mean=items[0], num_seeds=len(found), label=name, digests=digests)
        seeds = tuple(result.trial.seed for result in found)
        return Value(
            key=key,
            num_seeds=len(found),
            label=name,
            digests=digests,
            sample_ids=seeds,
            population="seeds",
            **summary(items),
        )
    texts = list(dict.fromkeys(_words(item) for item in items))
    if len(texts) > 1:
        raise ResultKeyError(key, f"{name} differs between the seeds: {' | '.join(texts)}.")
    return Text(key=key, text=texts[0], digests=digests)


def _no_metric(results: Results, key: str, found: Sequence[Result]) -> UnknownKeyError:
    experiment, row, name = split_key(key)
    known = {*found[0].outcome.metrics, *found[0].outcome.facts}
    known |= {f"{PARAMS}{item}" for item in found[0].trial.params} if name.startswith(PARAMS) else set()
    known |= {f"{RUN}{item}" for item in vars(found[0].provenance)} if name.startswith(RUN) else set()
    declared = [metric.name for metric in results.metrics.get(experiment, ())]
    if name in declared:
        return NotApplicableError(key, f"the row {row} did not report {name}.")
    hint = f"Metrics of {experiment}: {', '.join(declared or sorted(found[0].outcome.metrics))}."
    return UnknownKeyError(key, f"{experiment}/{row} has no metric {name!r}. {did_you_mean(name, known)}", hint=hint)


def _is_number(item: Any) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item)


def _words(item: Any) -> str:
    if isinstance(item, bool) or item is None:
        return {True: "yes", False: "no", None: "none"}[item]
    return ", ".join(map(str, item)) if isinstance(item, list | tuple) else str(item)
