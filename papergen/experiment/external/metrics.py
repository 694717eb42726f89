"""The metrics of an experiment that papergen did not write: declared in its YAML, read from lines of its output."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import Field, GetJsonSchemaHandler, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from papergen.core.errors import PapergenError, did_you_mean
from papergen.experiment.api import WORDS_ONLY, Context, Metric, Params
from papergen.experiment.external.readers.lines import Cell, place_of, typed
from papergen.experiment.external.series import Point, StepRule, one_per_step

TableLine = Mapping[str, Any]
"""One line of a table, a JSON object or a step of a run: column -> value."""

MissingRule = Literal["error", "drop"]
"""Whether lines without a value for a metric are a fault or are left out."""

NO_VALUE = frozenset({"", "nan", "-nan", "na", "n/a", "#n/a", "null", "none"})
"""Texts that programs write where they have no number; in small letters."""

_NAME = re.compile(r"^\w[\w.+@-]*$")


class MetricSource(Params):
    """How one metric is found, and how it is read."""

    key: str | None = Field(
        default=None, description="Column of a CSV, or dotted path in a JSON object; the metric's name when absent."
    )
    file: str | None = Field(default=None, description="File it stands in, when not in metrics_file.")
    take: Literal["last", "first", "best", "min", "max", "mean"] = Field(
        default="last", description="Which value of a series is the metric's; best needs a direction."
    )
    over: str = Field(
        default="seeds",
        description="What the values stand for, if one per example: the interval runs over them, the mean is reported.",
    )
    steps: StepRule | None = Field(
        default=None,
        description="Which value holds where a resumed run logged a step again: last or first; error when absent.",
    )
    missing: MissingRule | None = Field(
        default=None,
        description="What is done about lines whose value is empty or NaN: drop or error; error when absent.",
    )
    scale: float = Field(default=1, description="Factor that every value is multiplied by (100: shares to per cent).")
    label: str | None = Field(
        default=None, description="Heading in tables and axes; its name when absent.", json_schema_extra=WORDS_ONLY
    )
    unit: str = Field(default="", description="Unit, for example s or %.", json_schema_extra=WORDS_ONLY)
    direction: Literal["higher", "lower", "none"] = Field(
        default="none", description="Which way is better.", json_schema_extra=WORDS_ONLY
    )
    closest_to: str | None = Field(
        default=None, description="Row whose value is the target.", json_schema_extra=WORDS_ONLY
    )

    @model_validator(mode="after")
    def _best_has_a_direction(self) -> Self:
        if self.take == "best" and self.direction == "none":
            raise ValueError("take: best needs direction: higher or lower.")
        return self

    def declaration(self, name: str) -> Metric:
        """The declaration that tables and texts go by."""
        return Metric(
            name=name,
            label=self.label or name,
            direction=self.direction,
            unit=self.unit,
            over=self.over,
            closest_to=self.closest_to,
        )


class ExternalSettings(Params):
    """Base of the kinds whose metrics the author declares."""

    metrics: dict[str, MetricSource] = Field(
        min_length=1,
        description="Metrics that every trial reports: [name, name], or name -> key, or name -> how it is read.",
    )
    step: str = Field(
        default="step", description="Column that counts the lines of a series; the number of the line when absent."
    )

    @field_validator("metrics", mode="before")
    @classmethod
    def _short_forms(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            value = {name: {} for name in value}
        if not isinstance(value, Mapping):
            return value
        for name in value:
            if not _NAME.match(str(name)):
                raise ValueError(f"the metric name {name!r}: use letters, digits and . + - _ (key: may be any text).")
        return {name: {"key": how} if isinstance(how, str) else how or {} for name, how in value.items()}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The short forms of `metrics` are right in an editor too."""
        found = handler.resolve_ref_schema(handler(core))
        full = found["properties"]["metrics"]
        how = {"anyOf": [full.pop("additionalProperties"), {"type": ["string", "null"]}]}
        about = {key: full.pop(key) for key in ("description", "title") if key in full}
        names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        found["properties"]["metrics"] = {**about, "anyOf": [{**full, "additionalProperties": how}, names]}
        return found

    def declared(self) -> tuple[Metric, ...]:
        """The metrics as the rest of papergen knows them."""
        return tuple(metric.declaration(name) for name, metric in self.metrics.items())


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read for one metric."""

    value: float
    series: Sequence[Point] = ()
    units: Sequence[float] = ()
    num_dropped: int = 0
    """Lines without a value that were left out."""


def read(
    metric: MetricSource, name: str, lines: Sequence[TableLine], *, step: str, where: str, apart: str = ""
) -> Reading:
    """The metric `name` from the lines of a file; PapergenError names what is missing or no number.

    `apart` tells what to do where the lines may be those of several runs.
    """
    key = metric.key or name
    found, num_dropped = _with_values(metric, name, lines, where)
    raw = [line[key] for _, line in found]
    is_list = len(raw) == 1 and isinstance(raw[0], list)
    places = [place_of(line, where) for _, line in found]
    values = [
        metric.scale * number(item, f"{place}: {key}")
        for item, place in zip(raw[0] if is_list else raw, places * len(raw[0]) if is_list else places, strict=True)
    ]
    if not values:
        raise PapergenError(f"{where}: {key} is an empty list.")
    if metric.over != "seeds":
        return Reading(value=math.fsum(values) / len(values), units=values, num_dropped=num_dropped)
    if len(values) == 1 and not is_list:
        return Reading(value=values[0], num_dropped=num_dropped)
    steps = [float(at) for at in range(len(values))] if is_list else _steps(found, step, key, where)
    series = one_per_step(
        list(zip(steps, values, strict=True)),
        metric.steps or "error",
        metric=name,
        key=key,
        places=places * len(values) if is_list else places,
        apart=apart,
    )
    return Reading(value=_taken(metric, [value for _, value in series]), series=series, num_dropped=num_dropped)


def record(ctx: Context, readings: Mapping[str, Reading]) -> None:
    """Record what was read beside the values: series, units, and how many lines were left out."""
    for name, reading in readings.items():
        if reading.units:
            ctx.units(name, reading.units)
        if reading.series:
            ctx.series(name, reading.series)
    dropped = {name: reading.num_dropped for name, reading in readings.items() if reading.num_dropped}
    if dropped:
        ctx.fact("dropped_lines", dropped)
        ctx.note(", ".join(f"{name}: {count} lines without a value left out" for name, count in dropped.items()))


def require(metric: MetricSource, name: str, lines: Sequence[TableLine], where: str) -> None:
    """An error when no line has the metric's column."""
    key = metric.key or name
    if not any(key in line for line in lines):
        columns = {column for line in lines for column in line}
        raise PapergenError(f"{where}: has no {key!r} for the metric {name!r}. {did_you_mean(key, columns)}".rstrip())


def _with_values(
    metric: MetricSource, name: str, lines: Sequence[TableLine], where: str
) -> tuple[list[tuple[int, TableLine]], int]:
    """The lines, with their numbers, that have a value for the metric, and how many lacked one.

    A series may have a metric at some steps only; where each line is an example, all must have it.
    """
    require(metric, name, lines, where)
    key = metric.key or name
    asked = [(index, line) for index, line in enumerate(lines) if key in line or metric.over != "seeds"]
    found = [(index, line) for index, line in asked if not is_missing(line.get(key))]
    empty = [line for _, line in asked if is_missing(line.get(key))]
    if empty and metric.missing != "drop":
        met = empty[0].get(key)
        raise PapergenError(
            f"{place_of(empty[0], where)}: {key} {'has no value' if met is None else f'= {met!r}, which is no number'} "
            f"({len(empty)} of {len(asked)} lines). Give it one, or leave such lines out: "
            f"under metrics, `{name}: {{missing: drop}}`."
        )
    if not found:
        raise PapergenError(f"{where}: none of {len(asked)} lines has a value in {key!r} for the metric {name!r}.")
    return found, len(empty)


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: null, an empty cell, the text NaN. NaN as a number of JSON is a value."""
    return value is None or (isinstance(value, str) and value.strip().lower() in NO_VALUE)


def _steps(found: Sequence[tuple[int, TableLine]], step: str, key: str, where: str) -> list[float]:
    """Where on the axis each line stands: by its column, by its number where no line has this."""
    without = [line for _, line in found if is_missing(line.get(step))]
    if without and len(without) < len(found):
        raise PapergenError(
            f"{place_of(without[0], where)}: has {key} but no {step}, which other lines have. "
            "Name the column that counts in all of them (step:), or write the value under another name."
        )
    return [step_of(line, index, step, where) for index, line in found]


def step_of(line: TableLine, index: int, step: str, where: str) -> float:
    """Where on the axis a line stands."""
    return float(index) if is_missing(line.get(step)) else number(line[step], f"{place_of(line, where)}: {step}")


def numbers_of(line: TableLine) -> dict[str, float]:
    """The columns of a line that are numbers; true and false are none."""
    values = {key: typed(value) for key, value in line.items() if not is_missing(value)}
    return {key: value for key, value in values.items() if isinstance(value, int | float) and type(value) is not bool}


def number(value: Any, where: str) -> float:
    """A number from a file; text and lists are refused by name."""
    found = typed(value)
    if isinstance(found, bool | int | float):
        return float(found)
    is_comma = isinstance(value, Cell) and re.fullmatch(r"[-+]?\d+,\d+", value)
    told = f" Write {value.replace(',', '.')}: the decimal sign is a point." if is_comma else ""
    raise PapergenError(f"{where} = {str(value)[:60]!r}: not a number.{told}")


def _taken(metric: MetricSource, values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    if metric.take in {"best", "min", "max"} and finite:
        is_max = metric.take == "max" or (metric.take == "best" and metric.direction == "higher")
        return max(finite) if is_max else min(finite)
    if metric.take == "mean":
        return math.fsum(values) / len(values)
    return values[0] if metric.take == "first" else values[-1]
