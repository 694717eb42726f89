"""Strong and weak scaling: speed-up over the number of ranks, its efficiency, and the ideal line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from papergen.core.files import digest_json
from papergen.core.phrase import Phrase
from papergen.ml.words import SPEED_UP, STEP
from papergen.report.derived import ratio
from papergen.report.figures.figure import Figure, Series
from papergen.report.tables.table import Column, Row, Table
from papergen.report.values import Value

RANKS = Phrase("Ranks", "进程数")
BATCH = Phrase("Batch", "批大小")

WEAK = "per_device_batch_size"
"""Parameter that keeps the work per rank: rows that set it show weak scaling."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One row of a line."""

    row: str
    num_ranks: int
    batch_size: int
    speed_up: Value
    """Speed over that of the line's smallest number of ranks, times that number; paired by rounds."""

    @property
    def efficiency(self) -> Value:
        """Speed-up over the number of ranks, in per cent."""
        return replace(self.speed_up.scaled(100 / self.num_ranks), unit="%")


@dataclass(frozen=True, kw_only=True)
class Line:
    """Rows that differ in the number of ranks alone (and, in weak scaling, in the batch that follows from it)."""

    label: str
    points: tuple[Point, ...]


def lines(facets: Mapping[str, tuple[int, int, Mapping[str, Any]]], speeds: Mapping[str, Value]) -> list[Line]:
    """The lines among the rows, each over two numbers of ranks or more.

    `facets` gives a row's number of ranks, its sequences per step, and everything that must be equal within a line.
    """
    groups: dict[str, list[str]] = {}
    for row, (_, _, rest) in facets.items():
        groups.setdefault(digest_json(rest), []).append(row)
    found: list[Line] = []
    for rows in groups.values():
        ordered = sorted(rows, key=lambda row: facets[row][0])
        if len({facets[row][0] for row in rows}) < 2:
            continue
        base, smallest = speeds[ordered[0]], facets[ordered[0]][0]
        points = tuple(
            Point(
                row=row,
                num_ranks=facets[row][0],
                batch_size=facets[row][1],
                speed_up=(_one(base) if row == ordered[0] else ratio(speeds[row], base)).scaled(smallest),
            )
            for row in ordered
        )
        found.append(Line(label=_label(facets[ordered[0]]), points=points))
    return found


def _one(base: Value) -> Value:
    """The base over itself: exactly 1, whatever its spread."""
    return Value(key=f"{base.key} / {base.key}", mean=1.0, num_seeds=base.num_seeds, digests=base.digests)


def _label(facet: tuple[int, int, Mapping[str, Any]]) -> str:
    _, batch, rest = facet
    each = rest.get(WEAK)
    return (
        Phrase("strong ({} sequences)", "强扩展 ({} 个序列)").format(batch)
        if each is None
        else Phrase("weak ({} per rank)", "弱扩展 (每进程 {} 个)").format(each)
    )


def scaling_figure(found: list[Line]) -> Figure:
    """Speed-up over ranks with intervals, and the ideal line."""
    sizes = sorted({point.num_ranks for line in found for point in line.points})
    series = [
        Series(
            label=line.label,
            x=[point.num_ranks for point in line.points],
            y=[point.speed_up.mean for point in line.points],
            low=[_end(point.speed_up, point.speed_up.low) for point in line.points],
            high=[_end(point.speed_up, point.speed_up.high) for point in line.points],
            digests=[digest for point in line.points for digest in point.speed_up.digests],
        )
        for line in found
    ]
    series.append(Series(label=Phrase("ideal", "理想"), x=sizes, y=sizes, is_reference=True))
    is_wide = sizes[-1] >= 8 * sizes[0]
    return Figure(
        name="scaling",
        kind="line",
        series=tuple(series),
        x_label=RANKS,
        y_label=SPEED_UP,
        x_scale="log" if is_wide else "linear",
        y_scale="log" if is_wide else "linear",
        x_ticks=sizes,
    )


def _end(value: Value, end: float | None) -> float:
    return value.mean if end is None else end


def scaling_table(found: list[Line], *, step: Mapping[str, Value]) -> Table:
    """Ranks, batch, step time, speed-up and efficiency, line by line."""
    rows = tuple(
        Row(
            name=f"{line.label}/{point.row}",
            label=str(point.num_ranks),
            cells=(str(point.batch_size), step[point.row], point.speed_up, point.efficiency),
            group=line.label,
        )
        for line in found
        for point in line.points
    )
    columns = (
        Column(name="batch", heading=BATCH),
        Column(name="step", heading=STEP, unit="ms"),
        Column(name="speed_up", heading=SPEED_UP),
        Column(name="efficiency", heading=Phrase("Efficiency", "效率"), unit="%"),
    )
    return Table(name="scaling", columns=columns, rows=rows, corner=RANKS, marks_best=False)
