"""Labels at points and reference lines, so that they cover neither each other nor the data.

Where one goes is plain geometry, the same answer every time.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from papergen.report.figures import style
from papergen.report.figures.figure import Figure, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

NUM_DIRECTIONS = 16
RINGS = (1.0, 1.9, 3.0, 4.4)
"""Distances tried, in multiples of the gap."""


@dataclass(frozen=True)
class Box:
    """A rectangle, in any one unit."""

    left: float
    bottom: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """Area that both cover."""
        across = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        up = min(self.bottom + self.height, other.bottom + other.height) - max(self.bottom, other.bottom)
        return max(0.0, across) * max(0.0, up)

    @property
    def area(self) -> float:
        """Its area."""
        return self.width * self.height


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    bounds: Box,
    obstacles: Sequence[Box] = (),
    *,
    gap: float,
) -> list[Box]:
    """One box of the given size near each point, inside `bounds` where that can be.

    Labels avoid each other first, then the points and `obstacles`, then distance. Coordinate descent over a fixed set
    of candidates.
    """
    marks = [Box(x - gap / 2, y - gap / 2, gap, gap) for x, y in points]
    candidates = [
        [
            (box, 0.05 * rank + _strangers(box, point, points))
            for rank, ring in enumerate(RINGS)
            for angle in _angles(rank)
            for box in [_near(point, size, angle, ring * gap)]
        ]
        for point, size in zip(points, sizes, strict=True)
    ]
    solid = [*marks, *obstacles]
    fixed = [
        [liking + _cost(box, bounds, solid) for box, liking in options] for options in candidates
    ]  # all that does not depend on the other labels
    chosen = [min(range(len(costs)), key=costs.__getitem__) for costs in fixed]
    for _ in range(20):
        before = list(chosen)
        for index, options in enumerate(candidates):
            others = [candidates[other][chosen[other]][0] for other in range(len(points)) if other != index]
            costs = [fixed[index][at] + 12 * _covered(box, others) for at, (box, _) in enumerate(options)]
            chosen[index] = min(range(len(costs)), key=costs.__getitem__)
        if chosen == before:
            break
    return [options[at][0] for options, at in zip(candidates, chosen, strict=True)]


def nearest_edge(box: Box, point: tuple[float, float]) -> tuple[float, float]:
    """The point of the box that is nearest to `point`: where a leader line ends."""
    return (
        min(max(point[0], box.left), box.left + box.width),
        min(max(point[1], box.bottom), box.bottom + box.height),
    )


def _angles(rank: int) -> list[float]:
    """Directions in order of taste: right, above and below right, above, left, ...; finer on the outer rings."""
    step = 2 * math.pi / (NUM_DIRECTIONS if rank else NUM_DIRECTIONS // 2)
    count = NUM_DIRECTIONS if rank else NUM_DIRECTIONS // 2
    return sorted((step * index for index in range(count)), key=lambda angle: (1 - math.cos(angle), -math.sin(angle)))


def _near(point: tuple[float, float], size: tuple[float, float], angle: float, distance: float) -> Box:
    """The box that touches, from outside, the circle around the point in that direction."""
    across, up = math.cos(angle), math.sin(angle)
    x, y = point[0] + distance * across, point[1] + distance * up
    return Box(x - size[0] * (1 - across) / 2, y - size[1] * (1 - up) / 2, *size)


def _strangers(box: Box, own: tuple[float, float], points: Sequence[tuple[float, float]]) -> float:
    """A penalty for every other point that is nearer to the label than its own: a reader would take it for that one."""
    reach = math.dist(nearest_edge(box, own), own)
    return 0.4 * sum(math.dist(nearest_edge(box, point), point) < reach for point in points if point != own)


def _cost(box: Box, bounds: Box, solid: Sequence[Box]) -> float:
    outside = 1 - box.overlap(bounds) / box.area
    return 30 * outside + 6 * _covered(box, solid)


def _covered(box: Box, others: Sequence[Box]) -> float:
    """Share of the box that others cover; touching at all counts as a twentieth."""
    areas = [box.overlap(other) for other in others]
    return sum(max(area / box.area, 0.05) for area in areas if area > 0)


def put_labels(figure: Figure, picture: Picture, axes: Axes) -> None:
    """Direct labels of points and reference lines, kept apart from each other and from the data."""
    pixel = picture.dpi / 72
    frame = axes.get_window_extent()
    bounds = Box(frame.x0, frame.y0, frame.width, frame.height)
    named: list[tuple[tuple[float, float], str, str]] = []
    obstacles: list[Box] = []
    plain = iter(range(len(figure.series)))
    for series in figure.series:
        look = style.look_of(series, 0 if series.is_reference else next(plain))
        if figure.kind != "scatter" or series.num_points > style.RASTER_FROM:
            continue
        ends = [_pixels(axes, x, y) for x, y in zip(series.x, series.y, strict=True)]
        obstacles += _error_bars(axes, series, pixel)
        if series.names is None:
            obstacles += [Box(x - 2 * pixel, y - 2 * pixel, 4 * pixel, 4 * pixel) for x, y in ends]
        else:
            named += [(end, name, look["color"]) for end, name in zip(ends, series.names, strict=True)]
    _rule_labels(figure, axes, bounds, pixel)
    if not named:
        return
    texts = [
        axes.text(0, 0, name, fontsize=style.SMALL_PT, color="black", transform=None, va="bottom", ha="left", zorder=7)
        for _, name, _ in named
    ]
    aside = 2.0 * pixel  # room on either side, or two labels read as one
    sizes = [(text.get_window_extent().width + 2 * aside, text.get_window_extent().height) for text in texts]
    points = [point for point, _, _ in named]
    boxes = place(points, sizes, bounds, obstacles, gap=3.6 * pixel)
    inverse = axes.transAxes.inverted()
    for text, box, point, (_, _, color) in zip(texts, boxes, points, named, strict=True):
        text.set_transform(axes.transAxes)
        text.set_position(tuple(inverse.transform((box.left + aside, box.bottom))))
        edge = nearest_edge(box, point)
        if math.dist(edge, point) > 7 * pixel:
            ends_axes = [inverse.transform(edge), inverse.transform(point)]
            axes.plot(
                [end[0] for end in ends_axes],
                [end[1] for end in ends_axes],
                transform=axes.transAxes,
                color=color,
                linewidth=0.5,
                alpha=0.7,
                zorder=2.5,
                scalex=False,
                scaley=False,
            )


def _rule_labels(figure: Figure, axes: Axes, bounds: Box, pixel: float) -> None:
    """The label of a reference line, at that end and side of it where the fewest data lie."""
    data = [
        _pixels(axes, x, y)
        for series in figure.series
        if figure.kind in {"line", "band", "scatter"}
        for x, y in zip(series.x, series.y, strict=True)
    ]
    for rule in figure.rules:
        if not rule.label:
            continue
        turn = 90 if rule.axis == "x" else 0
        text = axes.text(0, 0, rule.label, fontsize=style.SMALL_PT, color=style.GREY, rotation=turn, transform=None)
        text.set(va="bottom", ha="left")
        box = text.get_window_extent()
        gap = 1.5 * pixel
        level = _pixels(axes, rule.value, rule.value)[0 if rule.axis == "x" else 1]
        if rule.axis == "y":
            lefts = (bounds.left + bounds.width - box.width - gap, bounds.left + gap)
            options = [(left, bottom) for bottom in (level + gap / 2, level - box.height - gap / 2) for left in lefts]
        else:
            bottoms = (bounds.bottom + bounds.height - box.height - gap, bounds.bottom + gap)
            options = [(left, bottom) for left in (level + gap / 2, level - box.width - gap / 2) for bottom in bottoms]
        free = min(options, key=functools.partial(_crowding, box.width, box.height, bounds, data, gap))
        text.set_transform(axes.transAxes)
        text.set_position(tuple(axes.transAxes.inverted().transform(free)))


def _crowding(
    width: float,
    height: float,
    bounds: Box,
    data: Sequence[tuple[float, float]],
    gap: float,
    at: tuple[float, float],
) -> int:
    """How many data points a text at that place would cover, plus one when it leaves the frame."""
    left, bottom = at
    covered = sum(left - gap <= x <= left + width + gap and bottom - gap <= y <= bottom + height + gap for x, y in data)
    return covered + (not bounds.bottom <= bottom <= bounds.bottom + bounds.height - height)


def _error_bars(axes: Axes, series: Series, pixel: float) -> list[Box]:
    boxes: list[Box] = []
    for index, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
        if series.low is not None and series.high is not None:
            ends = [_pixels(axes, x, end)[1] for end in (series.low[index], series.high[index])]
            centre = _pixels(axes, x, y)[0]
            boxes.append(Box(centre - pixel / 2, min(ends), pixel, abs(ends[1] - ends[0])))
        if series.x_low is not None and series.x_high is not None:
            ends = [_pixels(axes, end, y)[0] for end in (series.x_low[index], series.x_high[index])]
            centre = _pixels(axes, x, y)[1]
            boxes.append(Box(min(ends), centre - pixel / 2, abs(ends[1] - ends[0]), pixel))
    return boxes


def _pixels(axes: Axes, x: Any, y: Any) -> tuple[float, float]:
    at = axes.transData.transform((x, y))
    return float(at[0]), float(at[1])
