"""Watches one trial: what its ranks said and did, who failed first and why, what is to be done next.

No processes and no clock in here: the launcher passes in what it heard and the time.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from papergen.execution.launcher import Job
from papergen.execution.settings import RunSettings
from papergen.execution.supervision.hang_rules import Hang
from papergen.execution.supervision.hangs import Finding, HangDetector
from papergen.execution.supervision.processes import Vitals
from papergen.execution.supervision.stacks import last_stack
from papergen.store.failures import FailureKind

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that ends the trial."""

    at: float
    kind: FailureKind
    rank: int | None
    cause: str
    traceback: str = ""
    advice: str | None = None
    """Of an error that its author can mend: what to do about it."""
    is_consequence: bool = False
    """Whether it tells of another rank's end more often than of this one's: it yields to any other cause."""
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
    """What is known of one rank's process."""

    rank: int
    pid: int = 0
    has_exited: bool = False
    node: int = 0
    """The machine it runs on; 0 is this one."""
    letter: str = ""
    vitals: Vitals = field(default_factory=lambda: Vitals(cpu_s=0.0, io_bytes=0))
    """The state of its process and what it has used, as another machine reported them."""
    tail: Sequence[str] = ()
    """The end of its log, likewise."""


class Watch:
    """The state of one running trial."""

    def __init__(self, job: Job, settings: RunSettings, now: float, *, per_node: int | None = None) -> None:
        self.job = job
        self.settings = settings
        per_node = per_node or job.trial.num_ranks
        self.ranks = [RankState(rank=rank, node=rank // per_node) for rank in range(job.trial.num_ranks)]
        self.started_at: float | None = None
        self.done_at: float | None = None
        self.has_told = False
        """Whether any progress came: a trial that has begun is not started again."""
        self.machine: Mapping[str, Any] = {}
        self.hangs = HangDetector(job.trial.num_ranks, settings.timeouts, now)
        self.notes: list[str] = []
        """What a person should know, and was not told yet."""
        self.faults: list[Fault] = []
        self.verdict: Fault | None = None

    # What the launcher heard.

    def started(self, pids: Mapping[int, int], now: float) -> None:
        """These ranks have these processes now."""
        if self.started_at is None:
            self.started_at = now
            self.hangs.progressed(now)
        for rank, pid in pids.items():
            self.ranks[rank].pid = pid
            self.hangs.ranks[rank].heard_at = now

    def heard(self, rank: int, message: Mapping[str, Any], now: float) -> None:
        """A rank sent a message."""
        if message["event"] == "beat":
            self.hangs.ranks[rank].beat(now, message.get("place", ""))
            return
        self.hangs.ranks[rank].told(now)
        match message["event"]:
            case "progress" | "log":
                self.has_told = True
                self.hangs.progressed(now)
            case "step":
                self.hangs.stepped(rank, now, message["done"], message["total"])
            case "returned":
                self.hangs.returned(rank, now)
            case "done":
                self.done_at = now
                self.machine = message["machine"]
            case "failed":
                is_consequence = self.is_parallel and bool(message["is_consequence"])
                self._add(
                    Fault(
                        at=float(message["at"]),
                        kind=FailureKind(message["kind"]),
                        rank=rank,
                        cause=str(message["cause"]),
                        traceback=str(message["traceback"]),
                        advice=message.get("advice"),
                        is_consequence=is_consequence,
                        settle_s=self.settings.timeouts.settle_s if is_consequence else 0.0,
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
            settle_s = self.settings.timeouts.grace_s if is_vague else 0.0
            kind = FailureKind.EXITED if status is None or status >= 0 else FailureKind.KILLED
            self._add(Fault(at=now, kind=kind, rank=rank, cause=ended_by(status), is_vague=is_vague, settle_s=settle_s))
        return None

    def fail(self, now: float, kind: FailureKind, rank: int | None, cause: str, **details: Any) -> None:
        """The launcher itself found a reason to end the trial; `details` are further fields of a Fault."""
        self._add(Fault(at=now, kind=kind, rank=rank, cause=cause, **details))

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
        return all(activity.has_returned for activity in self.hangs.ranks)

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
        return min(self.faults, key=lambda fault: (fault.is_vague, fault.is_consequence, fault.at), default=None)

    def inspect(self, now: float, state_of: Callable[[int], str], vitals_of: Callable[[int], Vitals]) -> None:
        """Look for hung, stopped and overdue ranks. The two functions are asked only under suspicion."""
        if self.started_at is None or self.faults or self.is_done:
            return
        limit = self.settings.time_limit_s
        if limit is not None and now - self.started_at >= limit:
            cause = f"ran longer than its time limit of {limit:g} s"
            self.fail(now, FailureKind.TIME_LIMIT, None, cause, wants_stacks=True, is_final=True)
            return
        found = self.hangs.inspect(
            now,
            [state.rank for state in self.living],
            lambda rank: self._of_process(rank, state_of, self.ranks[rank].letter),
            lambda rank: self._of_process(rank, vitals_of, self.ranks[rank].vitals),
        )
        if found is not None:
            self._take(found, now)

    def saw_stacks(self, now: float, logs: Mapping[int, Sequence[str]]) -> None:
        """The ends of the ranks' logs, with the stacks that were asked for."""
        if self.faults or self.is_done:
            return
        stacks = {rank: stack for rank, lines in logs.items() if (stack := last_stack(lines)) is not None}
        for found in self.hangs.saw_stacks(now, stacks):
            self._take(found, now)

    def _of_process(self, rank: int, ask: Callable[[int], T], reported: T) -> T:
        """What is to be known of a rank's process: asked here, reported by another machine."""
        state = self.ranks[rank]
        return reported if state.node else ask(state.pid)

    def _take(self, found: Finding, now: float) -> None:
        rule = self.hangs.rules[found.hang]
        if rule.outcome == "trial ends":
            # Ranks that do not call the same operations do so again; a rank that hangs may not.
            is_desync = found.hang is Hang.LEFT_EARLY or (found.hang is Hang.COLLECTIVE and found.rank is None)
            kind = FailureKind.DESYNC if is_desync else FailureKind.HANG
            self.fail(now, kind, found.rank, found.cause, traceback=found.stacks, wants_stacks=rule.asks_for_stacks)
        else:
            self.notes.append(f"rank {found.rank} {found.cause}")


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
