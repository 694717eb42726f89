"""How far apart the steps of a rank are that promised to go on at its pace (`ctx.step`), and when one is overdue."""

from __future__ import annotations

from collections import deque

MIN_STEPS = 4
"""Steps that must have come, in two reports or more, before the next can be overdue."""
NUM_RECENT = 100
"""Gaps that are remembered: a slow start is forgotten."""
FACTOR = 10.0
"""A step is overdue after so many times the slowest of the recent ones."""


class Pace:
    """When the steps of one rank came. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._stepped_at: float | None = None
        self._gaps_s: deque[float] = deque(maxlen=NUM_RECENT)
        self._num_steps = self._done = 0
        self.longest_s = 0.0
        """The longest gap of all, however long ago."""
        self.is_over = False
        """Whether the last step has come: nothing is promised any more."""

    def step(self, now: float, done: int, *, is_last: bool) -> None:
        """A step came, the `done`-th; reports are thinned out, so it may stand for several."""
        if self._stepped_at is None:
            self._num_steps = 1  # a run that was resumed begins with a higher number
        else:
            self._gaps_s.append(now - self._stepped_at)
            self.longest_s = max(self.longest_s, self._gaps_s[-1])
            self._num_steps += max(1, done - self._done)
        self._stepped_at, self._done = now, done
        self.is_over = is_last

    @property
    def slowest_s(self) -> float:
        """The longest of the recent gaps; 0 without any."""
        return max(self._gaps_s, default=0.0)

    @property
    def is_known(self) -> bool:
        """Whether enough steps have come to tell."""
        return bool(self._gaps_s) and self._num_steps >= MIN_STEPS

    @property
    def has_promised(self) -> bool:
        """Whether another step must come."""
        return self._stepped_at is not None and not self.is_over

    def since_step_s(self, now: float) -> float:
        """Since when the last step is past; 0 where nothing is promised."""
        return 0.0 if self._stepped_at is None or self.is_over else now - self._stepped_at

    def late_s(self, now: float) -> float:
        """Since when the last step is past; 0 where nothing is promised or too little is known."""
        return self.since_step_s(now) if self.is_known else 0.0

    def is_overdue(self, now: float, patience_s: float) -> bool:
        """Whether the next step should have come long ago: by `FACTOR`, and by `patience_s` at least."""
        return self.late_s(now) >= max(patience_s, FACTOR * self.slowest_s)
