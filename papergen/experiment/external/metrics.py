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
from papergen.experiment.api import WORDS_ONLY, Metric, Params

TableLine = Mapping[str, Any]
"""One line of a table, a JSON object or a step of a run: column -> value."""

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
    series: Sequence[tuple[float, float]] = ()
    units: Sequence[float] = ()


def read(metric: MetricSource, name: str, lines: Sequence[TableLine], *, step: str, where: str) -> Reading:
    """The metric `name` from the lines of a file; PapergenError names what is missing or no number."""
    key = metric.key or name
    found = require(metric, name, lines, where)
    raw = [line[key] for _, line in found]
    is_list = len(raw) == 1 and isinstance(raw[0], list)
    values = [metric.scale * number(item, f"{where}: {key}") for item in (raw[0] if is_list else raw)]
    if not values:
        raise PapergenError(f"{where}: {key} is an empty list.")
    if metric.over != "seeds":
        return Reading(value=math.fsum(values) / len(values), units=values)
    if len(values) == 1 and not is_list:
        return Reading(value=values[0])
    steps = range(len(values)) if is_list else [step_of(line, index, step, where) for index, line in found]
    return Reading(value=_taken(metric, values), series=list(zip(map(float, steps), values, strict=True)))


def require(metric: MetricSource, name: str, lines: Sequence[TableLine], where: str) -> list[tuple[int, TableLine]]:
    """The lines, with their numbers, that have a value for the metric; an error when there is none."""
    key = metric.key or name
    found = [(index, line) for index, line in enumerate(lines) if line.get(key) is not None]
    if not found:
        columns = {column for line in lines for column in line}
        raise PapergenError(f"{where}: has no {key!r} for the metric {name!r}. {did_you_mean(key, columns)}".rstrip())
    return found


def step_of(line: TableLine, index: int, step: str, where: str) -> float:
    """Where on the axis a line stands."""
    return float(index) if line.get(step) is None else number(line[step], f"{where}: {step}")


def numbers_of(line: TableLine) -> dict[str, float]:
    """The columns of a line that are numbers; true and false are none."""
    return {key: value for key, value in line.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def number(value: Any, where: str) -> float:
    """A number from a file; text and lists are refused by name."""
    if isinstance(value, bool | int | float):
        return float(value)
    raise PapergenError(f"{where} = {str(value)[:60]!r}: not a number.")


def _taken(metric: MetricSource, values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    if metric.take in {"best", "min", "max"} and finite:
        is_max = metric.take == "max" or (metric.take == "best" and metric.direction == "higher")
        return max(finite) if is_max else min(finite)
    if metric.take == "mean":
        return math.fsum(values) / len(values)
    return values[0] if metric.take == "first" else values[-1]
