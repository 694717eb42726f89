"""What is seen of one rank while it runs: at which pace it steps, whether it moves in its code, what it uses.

No processes and no clock in here: times are seconds of the monotonic clock, passed in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from papergen.execution.supervision.hang_rules import MAX_PLACES, MIN_STEPS, NUM_RECENT
from papergen.execution.supervision.processes import Vitals
from papergen.execution.supervision.stacks import Stack

IDLE_CPU = 0.05
"""Share of one core under which a group of processes counts as idle."""
IDLE_IO_PER_S = 65_536
"""Bytes read and written per second, likewise."""
STARVED = 0.5
"""Share of the time that a group which is not idle may have waited for a processor on an overloaded machine."""
STALE_S = 15.0
"""Between two looks at most: after a longer pause the machine, or who looks, stood still itself."""
LOOK_S = 0.5
"""Between two looks at least: the kernel counts processor time in hundredths of a second."""


class Pace:
    """How far apart the steps of a rank come that promised to go on at its pace (`ctx.step`)."""

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


@dataclass
class Standstill:
    """Where a rank was seen since it last moved on or told anything."""

    since: float
    places: set[str] = field(default_factory=set)
    stack: Stack | None = None
    """Where it stands by its own word, asked for once."""
    asked_at: float | None = None

    @property
    def is_evidence(self) -> bool:
        """Whether its stack says that it waits for nothing outside itself."""
        return self.stack is not None and self.stack.standing == "elsewhere"


class IdleMeter:
    """Since when a process group has been idle, by looks at it from time to time."""

    def __init__(self) -> None:
        self._last: tuple[float, Vitals] | None = None
        self._since: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether `LOOK_S` have passed since the last look."""
        return self._last is None or now - self._last[0] >= LOOK_S

    def idle_s(self, now: float) -> float:
        """For how many seconds the group has been idle, as far as the looks tell; 0 after the first."""
        return 0.0 if self._since is None else now - self._since

    def look(self, now: float, vitals: Vitals) -> float:
        """Take in what the group has used by now; for how many seconds it has been idle."""
        last, self._last = self._last, (now, vitals)
        if last is None or now - last[0] > STALE_S:
            self._since = None
            return 0.0
        then, before = last
        passed = max(now - then, 1e-3)
        # A sum that fell (a child has ended unseen) is a change like any other, so no sign of idleness.
        cpu_s, io_bytes = abs(vitals.cpu_s - before.cpu_s), abs(vitals.io_bytes - before.io_bytes)
        is_starved = (vitals.queued_s - before.queued_s) / passed >= STARVED
        is_at_work = cpu_s / passed >= IDLE_CPU or io_bytes / passed >= IDLE_IO_PER_S
        if is_at_work or is_starved or vitals.is_on_disk:
            self._since = None
        elif self._since is None:
            self._since = then
        return self.idle_s(now)

    def forget(self) -> None:
        """Start anew, when the suspicion was unfounded."""
        self._last = self._since = None


class RankActivity:
    """All that is seen of one rank."""

    def __init__(self, now: float) -> None:
        self.heard_at = now
        self.has_returned = False
        self.pace = Pace()
        self.meter = IdleMeter()
        self.standstill = Standstill(now)

    def beat(self, now: float, place: str) -> None:
        """A sign of life came; `place` stands for the calls that the rank is in, "" where nobody knows."""
        self.heard_at = now
        if not place or place in self.standstill.places:
            return
        if len(self.standstill.places) == MAX_PLACES:
            self.standstill = Standstill(now)
        self.standstill.places.add(place)

    def told(self, now: float) -> None:
        """The rank told something by itself: it goes on."""
        self.heard_at = now
        self.standstill = Standstill(now)
