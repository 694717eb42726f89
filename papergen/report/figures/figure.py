"""Figures as plain data: what is drawn, not how. `draw.render` makes the PDF; the same data gives the same bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from papergen.core.errors import PapergenError
from papergen.core.files import digest_json

Scale = Literal["linear", "log"]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line, cloud of points, group of bars, histogram or band."""

    label: str
    """What the legend says; "" keeps it out of the legend."""
    x: Sequence[float | str]
    """Positions; bars take names. A histogram's values."""
    y: Sequence[float] = ()
    low: Sequence[float] | None = None
    """Lower ends of the intervals of y (not their lengths)."""
    high: Sequence[float] | None = None
    x_low: Sequence[float] | None = None
    x_high: Sequence[float] | None = None
    names: Sequence[str] | None = None
    """A direct label for every point of a scatter plot; it replaces the legend."""
    is_reference: bool = False
    """A yardstick: drawn in grey and dashed."""
    is_curve: bool = False
    """Among the points of a scatter plot: a line through its points, without marks (the ceilings of a roofline)."""
    digests: Sequence[str] = ()
    """The trials behind it."""

    @property
    def num_points(self) -> int:
        """How many points, bars or values it has."""
        return len(self.x)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A reference line across the axes."""

    value: float
    axis: Literal["x", "y"] = "y"
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Note:
    """A text at a point, in data coordinates."""

    text: str
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of the paper; checked when it is made."""

    name: str
    kind: Literal["line", "scatter", "bar", "stacked", "hist", "band"]
    """"band": a line with its interval filled; "line" draws intervals as error bars; "stacked": bars that add up."""
    series: Sequence[Series]
    x_label: str
    y_label: str
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    x_limits: tuple[float | None, float | None] = (None, None)
    y_limits: tuple[float | None, float | None] = (None, None)
    x_ticks: Sequence[float] | None = None
    """Exactly these ticks, printed as they are (1, 2, 4, 8 processes)."""
    width: Literal["column", "full"] = "column"
    aspect: float = 0.66
    """Height over width."""
    rules: Sequence[Rule] = ()
    notes: Sequence[Note] = ()
    num_bins: int = 30
    """Of a histogram."""
    font: str = ""
    """Font family for the text; the default has Latin, Greek and Cyrillic letters, Chinese needs one that has it."""

    def __post_init__(self) -> None:
        if not self.series:
            raise PapergenError(f"figure {self.name}: there is nothing to draw: it has no series.")
        for series in self.series:
            self._check(series)

    @property
    def digest(self) -> str:
        """SHA-256 of everything that is drawn."""
        data = asdict(self)
        for series in data["series"]:
            del series["digests"]
        return digest_json(data)

    @property
    def digests(self) -> tuple[str, ...]:
        """The trials behind it."""
        return tuple(dict.fromkeys(digest for series in self.series for digest in series.digests))

    def _check(self, series: Series) -> None:
        where = f"figure {self.name}, series {series.label or '(unnamed)'!r}"
        if not series.num_points:
            raise PapergenError(f"{where}: it has no points.")
        columns = {
            "y": series.y if self.kind != "hist" else None,
            "low": series.low,
            "high": series.high,
            "x_low": series.x_low,
            "x_high": series.x_high,
        }
        for name, column in columns.items():
            if column is not None and len(column) != series.num_points:
                raise PapergenError(f"{where}: {name} has {len(column)} numbers for {series.num_points} points.")
        for name, other in (("low", "high"), ("x_low", "x_high")):
            assert (columns[name] is None) == (columns[other] is None), f"{where}: {name} and {other} go together"
        if series.names is not None and len(series.names) != series.num_points:
            raise PapergenError(f"{where}: {len(series.names)} names for {series.num_points} points.")
        numbers: dict[str, Sequence[float | str]] = {"x": series.x}
        numbers |= {name: list(column) for name, column in columns.items() if column is not None}
        for name, numbers_of in numbers.items():
            is_log = (self.x_scale if name.startswith("x") else self.y_scale) == "log"
            for number in numbers_of:
                if isinstance(number, str):
                    if self.kind not in {"bar", "stacked"} or name != "x":
                        raise PapergenError(f"{where}: {name} holds the text {number!r}; only bars have names there.")
                elif not math.isfinite(number):
                    raise PapergenError(f"{where}: {name} holds {number}, which cannot be drawn.")
                elif number <= 0 and is_log and name in {"x", "y"}:
                    raise PapergenError(f"{where}: {name} = {number} cannot stand on a logarithmic axis.")
