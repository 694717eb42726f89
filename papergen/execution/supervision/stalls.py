"""Ranks that do not move: which are named, and when such a one is ended.

Every sign of life says through which calls its rank stands where (worker/channel.py). A rank that was seen at very few
places since it last reported anything, for `Limits.still_s`, is suspected and asked for its stack:

- one that uses no processor time is named; had it promised to step (`ctx.step`) but not yet shown at which pace, it is
  ended after `Limits.early_still_s`;
- one that computes although its next step is long overdue by the pace it promised is named, and ended as spinning when
  it has been so for `Job.stall_s`: no real computation stands at the same calls in hundreds of looks.

A rank that waits for the others, the network, a program or a GPU is left alone. No look disturbs one that moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from papergen.execution.launcher import Limits
from papergen.execution.supervision.pace import Pace
from papergen.execution.supervision.stacks import Stack

MAX_PLACES = 3
"""A loop that waits for ever may call a function or two to look whether it may go on; evaluating visits many."""
FACTOR = 20.0
"""A rank that computes is overdue after so many times the longest of all its gaps: an evaluation is among them."""


@dataclass
class Stay:
    """Where one rank was seen since it last moved on."""

    since: float
    places: set[str] = field(default_factory=set)
    stack: Stack | None = None
    """Where it stands by its own word, asked for once."""
    asked_at: float | None = None

    @property
    def is_evidence(self) -> bool:
        """Whether its stack says that it waits for nothing outside itself."""
        return self.stack is not None and self.stack.standing == "elsewhere"


@dataclass(frozen=True, kw_only=True)
class Still:
    """A rank that does not move, in words; `is_end` when its trial must end."""

    rank: int
    cause: str
    stack: str
    is_end: bool


class StillWatch:
    """What is known of a trial's ranks in this respect. `paces` are those of all ranks, in their order."""

    def __init__(self, num_ranks: int, limits: Limits, stall_s: float, now: float) -> None:
        self._is_on = limits.hang_s > 0
        self._limits = limits
        self._stall_s = stall_s
        self._stays = [Stay(now) for _ in range(num_ranks)]
        self.wants_stacks = False
        """Whether the ranks should be asked where they stand."""

    def reported(self, rank: int, now: float) -> None:
        """The rank told something by itself: it goes on."""
        self._stays[rank] = Stay(now)

    def seen(self, rank: int, place: str, now: float) -> None:
        """A sign of life came; `place` stands for the calls that the rank is in."""
        stay = self._stays[rank]
        if not place or place in stay.places:
            return
        if len(stay.places) == MAX_PLACES:
            stay = self._stays[rank] = Stay(now)
        stay.places.add(place)

    def is_suspect(self, rank: int, now: float) -> bool:
        """Whether it is time to see what the rank uses."""
        return self._is_on and now - self._stays[rank].since >= self._limits.still_s / 3

    def suspect(self, now: float, idle: Mapping[int, float], paces: Sequence[Pace]) -> Still | None:
        """Ask for stacks when a rank has not moved for a while; a rank of which it is known that it never will.

        `idle` is for how long the ranks under suspicion have used nothing.
        """
        for rank, idle_s in idle.items():
            stay, pace = self._stays[rank], paces[rank]
            if not self.is_suspect(rank, now) or not self._is_still(stay, pace, idle_s, now):
                continue
            if stay.asked_at is None:
                stay.asked_at, self.wants_stacks = now, True
            elif stay.is_evidence and self._is_for_ever(pace, idle_s, now - stay.asked_at):
                return _still(rank, stay, pace, idle_s, now, is_end=True)
        return None

    def saw(
        self, now: float, stacks: Mapping[int, Stack], idle: Mapping[int, float], paces: Sequence[Pace]
    ) -> Sequence[Still]:
        """The ranks to name, once each, now that they have written where they stand."""
        found = []
        for rank, stack in stacks.items():
            stay = self._stays[rank]
            if stay.asked_at is not None and stay.stack is None:
                stay.stack = stack
                if stay.is_evidence:
                    found.append(_still(rank, stay, paces[rank], idle.get(rank, 0.0), now, is_end=False))
        return found

    def _is_still(self, stay: Stay, pace: Pace, idle_s: float, now: float) -> bool:
        still_s = now - stay.since
        if still_s < self._limits.still_s:
            return False
        is_overdue = pace.is_known and pace.since_step_s(now) >= FACTOR * pace.longest_s
        return is_overdue or idle_s >= self._limits.still_s / 2

    def _is_for_ever(self, pace: Pace, idle_s: float, asked_s: float) -> bool:
        """Counted from when it was asked, `asked_s` ago: a clock that jumped (a machine was suspended) ends nothing."""
        if not pace.has_promised:
            return False  # Watch ends what neither tells nor computes anything for `stall_s`
        still_s = asked_s + self._limits.still_s
        if idle_s >= self._limits.early_still_s / 2:
            return still_s >= max(self._limits.early_still_s, FACTOR * pace.longest_s)
        return idle_s == 0.0 and still_s >= self._stall_s


def _still(rank: int, stay: Stay, pace: Pace, idle_s: float, now: float, *, is_end: bool) -> Still:
    assert stay.stack is not None, "a rank is named by its stack"
    place, still_s = stay.stack.place, now - stay.since
    is_idle = idle_s > 0
    steps = f", after steps of {pace.longest_s:.1f} s at most" if pace.is_known else ""
    if is_end:
        verb = "hangs" if is_idle else "spins"
        how = "no CPU time used" if is_idle else "computing at the same place in every look"
        cause = f"{verb} in {place}; no step for {still_s:.0f} s{steps}, {how}"
    elif is_idle:
        cause = f"has stood in {place} for {still_s:.0f} s and uses no CPU time"
    else:
        cause = f"has been computing in {place} for {still_s:.0f} s without a step{steps}: a loop without an end?"
    return Still(rank=rank, cause=cause, stack=f"rank {rank}: {stay.stack.shown}", is_end=is_end)
