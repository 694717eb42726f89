"""Whether the ranks of a trial hang: when they are asked for their stacks, and what the stacks prove.

Two rules, both for ranks that have used no processor time and done no I/O for a while (`Limits.hang_s`):

- where no rank goes on, one that is not in a collective operation while another waits in one keeps it waiting;
- a rank that promised to step (`ctx.step`) is overdue by its own pace, and stands at the same line twice.

A rank that waits for the network, a program or a GPU is no evidence in either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from papergen.execution.launcher import Limits
from papergen.execution.supervision.pace import Pace
from papergen.execution.supervision.stacks import Stack, who_hangs, who_stands_still

AGAIN_S = 1.0
"""Between the two looks at the stacks of ranks that are overdue."""


@dataclass(frozen=True, kw_only=True)
class Hang:
    """A rank that hangs (None: all wait for each other), the cause in words, and where the ranks stand."""

    rank: int | None
    cause: str
    stacks: str


class HangWatch:
    """What is suspected of one trial's ranks. `paces` are those of all ranks, in their order."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._patience_s = limits.patience_s
        self._pause_s = limits.silent_s
        self._seen: Mapping[int, Stack] | None = None
        self.look_at = now
        """When stacks are asked for next, should the suspicion last."""
        self.wants_stacks = False
        """Whether the ranks should be asked where they stand."""
        self._is_asking = self._was_overdue = False

    def is_suspect(self, now: float, quiet_s: float, pace: Pace, *, is_parallel: bool) -> bool:
        """Whether it is time to see what a rank uses; `quiet_s` is how long no progress came from any."""
        return pace.late_s(now) >= self._patience_s / 2 or (is_parallel and quiet_s >= self._patience_s / 2)

    def suspect(self, now: float, quiet_s: float, idle: Mapping[int, float], paces: Sequence[Pace]) -> None:
        """Ask for stacks when ranks have done nothing for a while; `idle` is since when, for those under suspicion."""
        still = {rank for rank, idle_s in idle.items() if idle_s >= self._patience_s / 2}
        overdue = self._overdue(now, paces)
        is_overdue = bool(overdue) and overdue <= still
        is_new = is_overdue and not self._was_overdue
        self._was_overdue = is_overdue
        if not is_overdue:
            self._seen = None
        is_quiet = len(paces) > 1 and quiet_s >= self._patience_s and len(still) == len(paces)
        if (is_overdue or is_quiet) and (is_new or now >= self.look_at) and not self._is_asking:
            self.wants_stacks = self._is_asking = True
            self.look_at = now + self._pause_s
            self._pause_s *= 2

    def saw(self, now: float, quiet_s: float, stacks: Mapping[int, Stack], paces: Sequence[Pace]) -> Hang | None:
        """What the stacks prove that the ranks wrote; None: nothing yet."""
        self._is_asking = False
        is_quiet = len(paces) > 1 and quiet_s >= self._patience_s
        found = who_hangs(stacks) if is_quiet and len(stacks) == len(paces) else None
        if found is not None:
            rank, cause = found
            return Hang(rank=rank, cause=f"{cause}; no progress for {quiet_s:.0f} s", stacks=_shown(stacks))
        overdue = self._overdue(now, paces)
        if not overdue or not overdue <= stacks.keys():
            return None
        before, self._seen = self._seen, stacks
        if before is None:
            self.look_at = now + AGAIN_S
            return None
        found = who_stands_still({rank: stacks[rank] for rank in overdue}, before)
        if found is None:
            return None
        rank, cause = found
        pace = paces[rank]
        told = (
            f"no step for {pace.late_s(now):.0f} s after steps of {pace.slowest_s:.1f} s at most, and no CPU time used"
        )
        return Hang(rank=rank, cause=f"{cause}; {told}", stacks=_shown(stacks))

    def _overdue(self, now: float, paces: Sequence[Pace]) -> set[int]:
        """The ranks whose next step should have come long ago; none where a rank has promised nothing."""
        if not all(pace.is_over or pace.is_known for pace in paces):
            return set()
        return {rank for rank, pace in enumerate(paces) if pace.is_overdue(now, self._patience_s)}


def _shown(stacks: Mapping[int, Stack]) -> str:
    return "\n".join(f"rank {rank}: {stack.shown}" for rank, stack in sorted(stacks.items())[:4])
