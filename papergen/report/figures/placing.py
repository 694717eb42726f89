"""Where labels go so that they cover neither each other nor the data: plain geometry, the same answer every time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
