"""Watches one trial: what its ranks said and did, who failed first and why, what is to be done next.

No processes and no clock in here: the launcher passes in what it heard and the time.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from papergen.execution.launcher import Job, Limits
from papergen.execution.supervision.hangs import HangWatch
from papergen.execution.supervision.pace import Pace
from papergen.execution.supervision.processes import IdleMeter, Vitals
from papergen.execution.supervision.stacks import last_stack
from papergen.execution.supervision.stalls import StillWatch

ECHO = re.compile(
    r"connection (was )?(closed|reset|refused)|broken pipe|peer|timed out|timeout|gloo|nccl"
    r"|DistBackendError|DistNetworkError",
    re.IGNORECASE,
)
"""Causes that tell of another rank's end more often than of this one's; they yield to any other cause."""

STOPPED = frozenset("Tt")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that ends the trial."""

    at: float
    rank: int | None
    cause: str
    traceback: str = ""
    is_echo: bool = False
    is_vague: bool = False
    """Whether only the end of the process is known, not how it ended."""
    settle_s: float = 0.0
    """For so long a better cause is waited for."""
    wants_stacks: bool = False
    """Whether the ranks should be asked where they hang before they are ended."""
    is_final: bool = False
    """Whether it would be no better with ranks that are started again."""


@dataclass(kw_only=True)
class RankState:
    """What is known of one rank. Times are seconds of the monotonic clock."""

    rank: int
    pid: int = 0
    heard_at: float = 0.0
    has_returned: bool = False
    has_exited: bool = False
    node: int = 0
    """The machine it runs on; 0 is this one."""
    letter: str = ""
    vitals: Vitals = field(default_factory=lambda: Vitals(cpu_s=0.0, io_bytes=0))
    """The state of its process and what it has used, as another machine reported them."""
    tail: Sequence[str] = ()
    """The end of its log, likewise."""
    meter: IdleMeter = field(default_factory=IdleMeter)
    pace: Pace = field(default_factory=Pace)


class Watch:
    """The state of one running trial."""

    def __init__(self, job: Job, limits: Limits, now: float, *, per_node: int | None = None) -> None:
        self.job = job
        self.limits = limits
        per_node = per_node or job.trial.num_ranks
        self.ranks = [RankState(rank=rank, heard_at=now, node=rank // per_node) for rank in range(job.trial.num_ranks)]
        self.started_at: float | None = None
        self.progress_at = now
        self.returned_at: float | None = None
        """When the first rank returned."""
        self.done_at: float | None = None
        self.has_told = False
        """Whether any progress came: a trial that has begun is not started again."""
        self.machine: Mapping[str, Any] = {}
        self.hangs = HangWatch(limits, now)
        self.still = StillWatch(job.trial.num_ranks, limits, job.stall_s, now)
        self.notes: list[str] = []
        """What a person should know, and was not told yet."""
        self.faults: list[Fault] = []
        self.verdict: Fault | None = None

    # What the launcher heard.

    def started(self, pids: Mapping[int, int], now: float) -> None:
        """These ranks have these processes now."""
        if self.started_at is None:
            self.started_at = self.progress_at = now
        for rank, pid in pids.items():
            self.ranks[rank].pid = pid
            self.ranks[rank].heard_at = now

    def heard(self, rank: int, message: Mapping[str, Any], now: float) -> None:
        """A rank sent a message."""
        state = self.ranks[rank]
        state.heard_at = now
        if message["event"] == "beat":
            self.still.seen(rank, message.get("place", ""), now)
        else:
            self.still.reported(rank, now)
        match message["event"]:
            case "progress" | "log":
                self.has_told = True
                self.progress_at = now
            case "step":
                state.pace.step(now, message["done"], is_last=message["done"] >= message["total"])
                self.progress_at = now
            case "returned":
                state.has_returned = state.pace.is_over = True
                self.progress_at = now
                self.returned_at = now if self.returned_at is None else self.returned_at
            case "done":
                self.done_at = now
                self.machine = message["machine"]
            case "failed":
                cause = str(message["cause"])
                is_echo = self.is_parallel and ECHO.search(cause) is not None
                self._add(
                    Fault(
                        at=float(message["at"]),
                        rank=rank,
                        cause=cause,
                        traceback=str(message["traceback"]),
                        is_echo=is_echo,
                        settle_s=self.limits.settle_s if is_echo else 0.0,
                    )
                )

    def exited(self, rank: int, status: int | None, now: float) -> str | None:
        """A rank's process is gone, with this status where it is known (negative: a signal). A note if that is odd."""
        state = self.ranks[rank]
        state.has_exited = True
        if self.is_done:
            return None if status in {0, None} else f"rank {rank} {ended_by(status)}; the results were recorded before"
        is_known = any(fault.rank == rank and not fault.is_vague for fault in self.faults)
        if not is_known and not (self.all_returned and status in {0, None}):
            # A process that is not ours to wait for ends without a status; who started it may tell it a little later.
            is_vague = status is None
            settle_s = self.limits.grace_s if is_vague else 0.0
            self._add(Fault(at=now, rank=rank, cause=ended_by(status), is_vague=is_vague, settle_s=settle_s))
        return None

    def fail(self, now: float, rank: int | None, cause: str, **details: Any) -> None:
        """The launcher itself found a reason to end the trial; `details` are further fields of a Fault."""
        self._add(Fault(at=now, rank=rank, cause=cause, **details))

    def _add(self, fault: Fault) -> None:
        if not self.is_done and self.verdict is None:
            self.faults.append(fault)

    # How things stand.

    @property
    def is_parallel(self) -> bool:
        """Whether the trial has ranks that can echo each other's faults."""
        return len(self.ranks) > 1

    @property
    def is_done(self) -> bool:
        """Whether rank 0 has recorded the trial."""
        return self.done_at is not None

    @property
    def all_returned(self) -> bool:
        """Whether every rank came to the end of its run."""
        return all(state.has_returned for state in self.ranks)

    @property
    def all_exited(self) -> bool:
        """Whether no rank has a process any more."""
        return all(state.has_exited for state in self.ranks)

    @property
    def living(self) -> Sequence[RankState]:
        """The ranks that have a process."""
        return [state for state in self.ranks if state.pid and not state.has_exited]

    def judge(self, now: float) -> Fault | None:
        """Why the trial must end: the first fault, but an echo only when nothing better came within the settling time.

        From then on the verdict stands: what the ranks do while they are being ended is no cause.
        """
        best = self.likeliest
        if self.verdict is None and best is not None and now >= best.at + best.settle_s:
            self.verdict = best
        return self.verdict

    @property
    def likeliest(self) -> Fault | None:
        """The best cause known so far, though a better one may come."""
        return min(self.faults, key=lambda fault: (fault.is_vague, fault.is_echo, fault.at), default=None)

    def inspect(self, now: float, state_of: Callable[[int], str], vitals_of: Callable[[int], Vitals]) -> None:
        """Look for hung, stopped and overdue ranks. The two functions are asked only under suspicion."""
        if self.started_at is None or self.faults or self.is_done:
            return
        limit = self.job.time_limit_s
        if limit is not None and now - self.started_at >= limit:
            self.fail(now, None, f"ran longer than its time limit of {limit:g} s", wants_stacks=True, is_final=True)
            return
        idle = {
            state.rank: self._idle_s(state, now, vitals_of) for state in self.living if self._is_suspect(state, now)
        }
        self._find_silent(now, idle, state_of)
        self._find_early(now, idle)
        self._find_stalled(now, idle)
        if not self.faults:
            self.hangs.suspect(now, self._quiet_s(now), idle, self._paces)
            if (found := self.still.suspect(now, idle, self._paces)) is not None:
                self.fail(now, found.rank, found.cause, traceback=found.stack)

    @staticmethod
    def _idle_s(state: RankState, now: float, vitals_of: Callable[[int], Vitals]) -> float:
        if not state.meter.is_due(now):
            return state.meter.idle_s(now)
        return state.meter.look(now, state.vitals if state.node else vitals_of(state.pid))

    def _is_suspect(self, state: RankState, now: float) -> bool:
        is_suspect = (
            now - state.heard_at >= self.limits.silent_s / 3
            or (self.returned_at is not None and not state.has_returned)
            or now - self.progress_at >= self.job.stall_s / 2
            or self.still.is_suspect(state.rank, now)
            or self.hangs.is_suspect(now, now - self.progress_at, state.pace, is_parallel=self.is_parallel)
        )
        if not is_suspect:
            state.meter.forget()
        return is_suspect

    def _find_silent(self, now: float, idle: Mapping[int, float], state_of: Callable[[int], str]) -> None:
        for state in self.living:
            silent_s = now - state.heard_at
            if silent_s >= self.limits.silent_s / 2 and self._letter(state, state_of) in STOPPED:
                self.fail(now, state.rank, f"the process is stopped (SIGSTOP); not heard of for {silent_s:.0f} s")
            elif silent_s >= self.limits.silent_s and idle.get(state.rank, 0.0) >= self.limits.silent_s / 2:
                cause = f"hangs: not heard of for {silent_s:.0f} s, and it uses no CPU time"
                self.fail(now, state.rank, cause, wants_stacks=True)

    @staticmethod
    def _letter(state: RankState, state_of: Callable[[int], str]) -> str:
        return (state.letter if state.node else state_of(state.pid)) or " "

    def _find_early(self, now: float, idle: Mapping[int, float]) -> None:
        waiting = [state.rank for state in self.ranks if not state.has_returned]
        if self.returned_at is None or not waiting:
            return
        # Where a rank hangs that promised to step is the better cause, and comes first.
        has_promised = any(self.ranks[rank].pace.late_s(now) for rank in waiting) and self.limits.hang_s > 0
        if now - self.returned_at < self.limits.early_s * (1.4 if has_promised else 1.0):
            return
        if all(idle.get(rank, 0.0) >= self.limits.early_s / 2 for rank in waiting):
            early = next(state.rank for state in self.ranks if state.has_returned)
            cause = (
                f"returned from run() {now - self.returned_at:.0f} s ago while {_ranks(waiting)} still wait"
                f"{'s' if len(waiting) == 1 else ''}: every rank must take part in every collective operation"
            )
            self.fail(now, early, cause, wants_stacks=True)

    def _quiet_s(self, now: float) -> float:
        """Since when no rank goes on; 0 once one has returned, for which the others may still be at work."""
        return now - self.progress_at if self.returned_at is None else 0.0

    @property
    def _paces(self) -> Sequence[Pace]:
        return [state.pace for state in self.ranks]

    def saw_stacks(self, now: float, logs: Mapping[int, Sequence[str]]) -> None:
        """The ends of the ranks' logs, with the stacks that were asked for."""
        if self.faults or self.is_done:
            return
        stacks = {rank: stack for rank, lines in logs.items() if (stack := last_stack(lines)) is not None}
        if (found := self.hangs.saw(now, self._quiet_s(now), stacks, self._paces)) is not None:
            self.fail(now, found.rank, found.cause, traceback=found.stacks)
            return
        idle = {state.rank: state.meter.idle_s(now) for state in self.ranks}
        self.notes += [f"rank {still.rank} {still.cause}" for still in self.still.saw(now, stacks, idle, self._paces)]

    def takes_stacks_request(self) -> bool:
        """Whether the ranks should be asked where they stand now; asked once, it is taken as done."""
        wanted = self.hangs.wants_stacks or self.still.wants_stacks
        self.hangs.wants_stacks = self.still.wants_stacks = False
        return wanted

    def _find_stalled(self, now: float, idle: Mapping[int, float]) -> None:
        silent_s = now - self.progress_at
        running = [state.rank for state in self.living if not state.has_returned]
        if silent_s >= self.job.stall_s and all(idle.get(rank, 0.0) >= self.job.stall_s / 4 for rank in running):
            verb = "uses" if len(running) == 1 else "use"
            cause = f"no progress for {silent_s:.0f} s, and {_ranks(running)} {verb} no CPU time"
            self.fail(now, running[0] if len(running) == 1 else None, cause, wants_stacks=True)


def ended_by(status: int | None) -> str:
    """What an exit status means, in words: `killed by SIGKILL (out of memory?)`."""
    if status is None:
        return "the process ended before the trial was done"
    if status >= 0:
        return f"the process ended with status {status} before the trial was done"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hints = {
        "SIGKILL": " (out of memory?)",
        "SIGSEGV": " (a crash in native code)",
        "SIGABRT": " (a crash in native code)",
        "SIGBUS": " (a crash in native code, or no room left in /dev/shm)",
    }
    return f"killed by {name}{hints.get(name, '')}"


def _ranks(ranks: Sequence[int]) -> str:
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(str(rank) for rank in ranks)}"
