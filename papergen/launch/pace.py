"""How far apart the steps of a rank are that promised to go on at its pace (`ctx.step`), and when one is overdue."""

from __future__ import annotations

from collections import deque

MIN_STEPS = 4
"""Steps that must have come before the next can be overdue: three gaps between them."""
NUM_RECENT = 100
"""Gaps that are remembered: a slow start is forgotten."""
FACTOR = 10.0
"""A step is overdue after so many times the slowest of the recent ones."""


class Pace:
    """When the steps of one rank came. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._stepped_at: float | None = None
        self._gaps_s: deque[float] = deque(maxlen=NUM_RECENT)
        self.is_over = False
        """Whether the last step has come: nothing is promised any more."""

    def step(self, now: float, *, is_last: bool) -> None:
        """A step came; reports are thinned out, so it may stand for several."""
        if self._stepped_at is not None:
            self._gaps_s.append(now - self._stepped_at)
        self._stepped_at = now
        self.is_over = is_last

    @property
    def slowest_s(self) -> float:
        """The longest of the recent gaps; 0 without any."""
        return max(self._gaps_s, default=0.0)

    @property
    def is_known(self) -> bool:
        """Whether enough steps have come to tell."""
        return len(self._gaps_s) >= MIN_STEPS - 1

    def late_s(self, now: float) -> float:
        """Since when the last step is past; 0 where nothing is promised or too little is known."""
        return 0.0 if self._stepped_at is None or self.is_over or not self.is_known else now - self._stepped_at

    def is_overdue(self, now: float, patience_s: float) -> bool:
        """Whether the next step should have come long ago: by `FACTOR`, and by `patience_s` at least."""
        return self.late_s(now) >= max(patience_s, FACTOR * self.slowest_s)
