"""Whether ranks of a trial hang: when they are asked for their stacks, what the stacks prove, who is named or ended.

The rules, with their times and reasons, are those of hang_rules.py. A rank that waits for the network, a program or a
GPU (by its stack) proves nothing. No processes and no clock in here: who watches passes in what was heard and seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from papergen.execution.settings import Timeouts
from papergen.execution.supervision.activity import RankActivity
from papergen.execution.supervision.hang_rules import (
    AGAIN_S,
    FIRST_ITS_LINE,
    IDLE_FOR,
    SUSPECT_AFTER,
    Hang,
    rules_of,
)
from papergen.execution.supervision.processes import Vitals
from papergen.execution.supervision.stacks import Stack, who_hangs, who_stands_still

STOPPED = frozenset("Tt")
"""The kernel's letters for a process that is stopped by a signal or by a debugger."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A rank that hangs (None: all wait for each other), how, the cause in words, and where the ranks stand."""

    hang: Hang
    rank: int | None
    cause: str
    stacks: str = ""


class HangDetector:
    """What is seen and suspected of the ranks of one trial."""

    def __init__(self, num_ranks: int, timeouts: Timeouts, now: float) -> None:
        self.rules = rules_of(timeouts)
        self.ranks = [RankActivity(now) for _ in range(num_ranks)]
        self._progress_at = now
        self._returned_at: float | None = None
        """When the first rank returned."""
        self.look_at = now
        """When stacks are asked for next, should the suspicion last."""
        self._pause_s = timeouts.silent_s
        """Until stacks are asked for once more; doubled each time, for they fill the logs."""
        self._wants_stacks = self._is_asking = self._was_overdue = False
        self._seen: Mapping[int, Stack] | None = None
        """The stacks of the first of two looks at ranks that are overdue."""

    # What was heard.

    def progressed(self, now: float) -> None:
        """Some rank told of progress."""
        self._progress_at = now

    def stepped(self, rank: int, now: float, done: int, total: int) -> None:
        """A rank told of a step, and promised the next one."""
        self._progress_at = now
        self.ranks[rank].pace.step(now, done, is_last=done >= total)

    def returned(self, rank: int, now: float) -> None:
        """A rank has come to the end of its run."""
        self._progress_at = now
        self._returned_at = now if self._returned_at is None else self._returned_at
        self.ranks[rank].has_returned = self.ranks[rank].pace.is_over = True

    # What is looked at.

    def inspect(
        self, now: float, living: Sequence[int], letter_of: Callable[[int], str], vitals_of: Callable[[int], Vitals]
    ) -> Finding | None:
        """Look at the ranks that have a process; what ends the trial. The two functions are asked under suspicion."""
        idle = {rank: self._idle_s(rank, now, vitals_of) for rank in living if self._is_suspect(rank, now)}
        found = (
            self._stopped_or_silent(now, living, idle, letter_of)
            or self._left_early(now, idle)
            or self._no_progress(now, living, idle)
        )
        if found is None:
            self._suspect_hang(now, idle)
            found = self._standing(now, idle)
        return found

    def takes_stacks_request(self) -> bool:
        """Whether the ranks should be asked where they stand now; asked once, it is taken as done."""
        wanted, self._wants_stacks = self._wants_stacks, False
        return wanted

    def saw_stacks(self, now: float, stacks: Mapping[int, Stack]) -> Sequence[Finding]:
        """What the stacks prove that the ranks wrote: one that ends the trial, or those to name, once each."""
        self._is_asking = False
        found = self._kept_waiting(now, stacks) or self._overdue(now, stacks)
        return [found] if found is not None else self._named(now, stacks)

    # Suspicion.

    def _is_suspect(self, rank: int, now: float) -> bool:
        """Whether one of the rules may soon apply to the rank."""
        activity = self.ranks[rank]
        waits = self._returned_at is not None and not activity.has_returned
        passed_s = {
            Hang.SILENT: now - activity.heard_at,
            Hang.LEFT_EARLY: now - (self._returned_at or 0.0) if waits else 0.0,
            Hang.NO_PROGRESS: now - self._progress_at,
            Hang.COLLECTIVE: self._quiet_s(now) if len(self.ranks) > 1 else 0.0,
            Hang.OVERDUE: activity.pace.late_s(now),
            Hang.STANDING: now - activity.standstill.since,
        }
        is_suspect = any(passed >= SUSPECT_AFTER * self.rules[hang].after_s for hang, passed in passed_s.items())
        if not is_suspect:
            activity.meter.forget()
        return is_suspect

    def _idle_s(self, rank: int, now: float, vitals_of: Callable[[int], Vitals]) -> float:
        meter = self.ranks[rank].meter
        return meter.look(now, vitals_of(rank)) if meter.is_due(now) else meter.idle_s(now)

    def _is_idle(self, hang: Hang, idle_s: float) -> bool:
        return idle_s >= IDLE_FOR * self.rules[hang].after_s

    def _quiet_s(self, now: float) -> float:
        """Since when no rank goes on; 0 once one has returned, for which the others may still be at work."""
        return now - self._progress_at if self._returned_at is None else 0.0

    # What needs no stacks.

    def _stopped_or_silent(
        self, now: float, living: Sequence[int], idle: Mapping[int, float], letter_of: Callable[[int], str]
    ) -> Finding | None:
        for rank in living:
            silent_s = now - self.ranks[rank].heard_at
            if silent_s >= self.rules[Hang.STOPPED].after_s and letter_of(rank) in STOPPED:
                cause = f"the process is stopped (SIGSTOP); not heard of for {silent_s:.0f} s"
                return Finding(hang=Hang.STOPPED, rank=rank, cause=cause)
            if silent_s >= self.rules[Hang.SILENT].after_s and self._is_idle(Hang.SILENT, idle.get(rank, 0.0)):
                cause = f"hangs: not heard of for {silent_s:.0f} s, and it uses no CPU time"
                return Finding(hang=Hang.SILENT, rank=rank, cause=cause)
        return None

    def _left_early(self, now: float, idle: Mapping[int, float]) -> Finding | None:
        waiting = [rank for rank, activity in enumerate(self.ranks) if not activity.has_returned]
        if self._returned_at is None or not waiting:
            return None
        is_late = any(self.ranks[rank].pace.late_s(now) for rank in waiting)
        # Not where hangs are not looked for: then no better cause comes.
        longer = FIRST_ITS_LINE if is_late and math.isfinite(self.rules[Hang.OVERDUE].after_s) else 1.0
        passed_s = now - self._returned_at
        if passed_s < longer * self.rules[Hang.LEFT_EARLY].after_s:
            return None
        if not all(self._is_idle(Hang.LEFT_EARLY, idle.get(rank, 0.0)) for rank in waiting):
            return None
        early = next(rank for rank, activity in enumerate(self.ranks) if activity.has_returned)
        cause = (
            f"returned from run() {passed_s:.0f} s ago while {_ranks(waiting)} still wait"
            f"{'s' if len(waiting) == 1 else ''}: every rank must take part in every collective operation"
        )
        return Finding(hang=Hang.LEFT_EARLY, rank=early, cause=cause)

    def _no_progress(self, now: float, living: Sequence[int], idle: Mapping[int, float]) -> Finding | None:
        passed_s = now - self._progress_at
        running = [rank for rank in living if not self.ranks[rank].has_returned]
        if passed_s < self.rules[Hang.NO_PROGRESS].after_s:
            return None
        if not all(self._is_idle(Hang.NO_PROGRESS, idle.get(rank, 0.0)) for rank in running):
            return None
        verb = "uses" if len(running) == 1 else "use"
        cause = f"no progress for {passed_s:.0f} s, and {_ranks(running)} {verb} no CPU time"
        return Finding(hang=Hang.NO_PROGRESS, rank=running[0] if len(running) == 1 else None, cause=cause)

    # What is proven by the stacks of all ranks, or of those that owe a step.

    def _suspect_hang(self, now: float, idle: Mapping[int, float]) -> None:
        """Ask for stacks when ranks have done nothing for a while: at once when a step is newly overdue."""
        unmoved = {rank for rank, idle_s in idle.items() if self._is_idle(Hang.OVERDUE, idle_s)}
        late = self._late(now)
        is_overdue = bool(late) and late <= unmoved
        is_new = is_overdue and not self._was_overdue
        self._was_overdue = is_overdue
        if not is_overdue:
            self._seen = None
        is_quiet = self._is_quiet(now) and len(unmoved) == len(self.ranks)
        if (is_overdue or is_quiet) and (is_new or now >= self.look_at) and not self._is_asking:
            self._ask()
            self.look_at = now + self._pause_s
            self._pause_s *= 2

    def _kept_waiting(self, now: float, stacks: Mapping[int, Stack]) -> Finding | None:
        if not self._is_quiet(now) or len(stacks) < len(self.ranks) or (found := who_hangs(stacks)) is None:
            return None
        rank, cause = found
        cause = f"{cause}; no progress for {self._quiet_s(now):.0f} s"
        return Finding(hang=Hang.COLLECTIVE, rank=rank, cause=cause, stacks=_shown(stacks))

    def _overdue(self, now: float, stacks: Mapping[int, Stack]) -> Finding | None:
        late = self._late(now)
        if not late or not late <= stacks.keys():
            return None
        before, self._seen = self._seen, stacks
        if before is None:
            self.look_at = now + AGAIN_S
            return None
        if (found := who_stands_still({rank: stacks[rank] for rank in late}, before)) is None:
            return None
        rank, cause = found
        pace = self.ranks[rank].pace
        steps = f"no step for {pace.late_s(now):.0f} s after steps of {pace.slowest_s:.1f} s at most"
        cause = f"{cause}; {steps}, and no CPU time used"
        return Finding(hang=Hang.OVERDUE, rank=rank, cause=cause, stacks=_shown(stacks))

    def _is_quiet(self, now: float) -> bool:
        return len(self.ranks) > 1 and self._quiet_s(now) >= self.rules[Hang.COLLECTIVE].after_s

    def _late(self, now: float) -> set[int]:
        """The ranks whose next step should have come long ago; none where a rank has promised nothing."""
        paces = [activity.pace for activity in self.ranks]
        if not all(pace.is_over or pace.is_known for pace in paces):
            return set()
        rule = self.rules[Hang.OVERDUE]
        return {
            rank
            for rank, pace in enumerate(paces)
            if pace.late_s(now) >= max(rule.after_s, rule.factor * pace.slowest_s)
        }

    # What is told of a rank that stands where it stood.

    def _standing(self, now: float, idle: Mapping[int, float]) -> Finding | None:
        """Ask for the stacks of ranks that have not moved for a while; one of which it is known that it never will."""
        for rank, idle_s in idle.items():
            standstill = self.ranks[rank].standstill
            if not self._has_not_moved(rank, idle_s, now):
                continue
            if standstill.asked_at is None:
                standstill.asked_at = now
                self._ask()
            elif standstill.is_evidence and (hang := self._for_ever(rank, idle_s, now)) is not None:
                return self._of_standstill(hang, rank, idle_s, now)
        return None

    def _named(self, now: float, stacks: Mapping[int, Stack]) -> Sequence[Finding]:
        found = []
        for rank, stack in stacks.items():
            activity = self.ranks[rank]
            if activity.standstill.asked_at is not None and activity.standstill.stack is None:
                activity.standstill.stack = stack
                if activity.standstill.is_evidence:
                    idle_s = activity.meter.idle_s(now)
                    hang = Hang.STANDING if idle_s > 0 else Hang.COMPUTING
                    found.append(self._of_standstill(hang, rank, idle_s, now))
        return found

    def _has_not_moved(self, rank: int, idle_s: float, now: float) -> bool:
        rule, pace = self.rules[Hang.COMPUTING], self.ranks[rank].pace
        if now - self.ranks[rank].standstill.since < rule.after_s:
            return False
        is_late = pace.is_known and pace.since_step_s(now) >= rule.factor * pace.longest_s
        return is_late or self._is_idle(Hang.STANDING, idle_s)

    def _for_ever(self, rank: int, idle_s: float, now: float) -> Hang | None:
        """Counted from when it was asked: a clock that jumped (a machine was suspended) ends nothing."""
        pace, standstill = self.ranks[rank].pace, self.ranks[rank].standstill
        if not pace.has_promised or standstill.asked_at is None:
            return None  # `Hang.NO_PROGRESS` ends what promised nothing
        stood_s = now - standstill.asked_at + self.rules[Hang.STANDING].after_s
        unpaced = self.rules[Hang.UNPACED]
        if self._is_idle(Hang.UNPACED, idle_s):
            return Hang.UNPACED if stood_s >= max(unpaced.after_s, unpaced.factor * pace.longest_s) else None
        return Hang.SPINNING if idle_s == 0.0 and stood_s >= self.rules[Hang.SPINNING].after_s else None

    def _of_standstill(self, hang: Hang, rank: int, idle_s: float, now: float) -> Finding:
        activity = self.ranks[rank]
        stack, stood_s = activity.standstill.stack, now - activity.standstill.since
        assert stack is not None, "a rank is named by its stack"
        steps = f", after steps of {activity.pace.longest_s:.1f} s at most" if activity.pace.is_known else ""
        causes = {
            Hang.STANDING: f"has stood in {stack.place} for {stood_s:.0f} s and uses no CPU time",
            Hang.COMPUTING: f"has been computing in {stack.place} for {stood_s:.0f} s without a step{steps}: "
            "a loop without an end?",
            Hang.UNPACED: f"hangs in {stack.place}; no step for {stood_s:.0f} s{steps}, no CPU time used",
            Hang.SPINNING: f"spins in {stack.place}; no step for {stood_s:.0f} s{steps}, "
            "computing at the same place in every look",
        }
        return Finding(hang=hang, rank=rank, cause=causes[hang], stacks=f"rank {rank}: {stack.shown}")

    def _ask(self) -> None:
        """One question at a time: what the ranks write answers every suspicion."""
        if not self._is_asking:
            self._wants_stacks = self._is_asking = True


def _shown(stacks: Mapping[int, Stack]) -> str:
    return "\n".join(f"rank {rank}: {stack.shown}" for rank, stack in sorted(stacks.items())[:4])


def _ranks(ranks: Sequence[int]) -> str:
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(str(rank) for rank in ranks)}"
