"""What is done with a trial under way: the looks at it, the steps to its end, and what is told when it is over."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Sequence

from papergen.core.files import last_lines
from papergen.execution.launcher import Ended
from papergen.execution.supervision.processes import overweight, state_of, vitals_of
from papergen.execution.supervision.rank_control import STACKS_S, RankControl
from papergen.execution.supervision.running import RunningTrial
from papergen.execution.supervision.watch import Fault
from papergen.store.failures import Failure, FailureKind
from papergen.store.records import utc
from papergen.store.runs import Run

WEIGH_S = 0.25
"""Between two looks at the memory of a trial that has a limit."""


def inspect(running: RunningTrial, control: RankControl, now: float) -> None:
    """Take the looks that are due; what is found becomes a fault of the trial's watch."""
    running.watch.inspect(now, state_of, vitals_of)
    _look_at_stacks(running, control, now)
    _weigh(running, now)


def _look_at_stacks(running: RunningTrial, control: RankControl, now: float) -> None:
    """Two steps: ask the ranks where they stand, then read what they wrote."""
    if running.watch.hangs.takes_stacks_request():
        control.ask_for_stacks(running)
        running.read_stacks_at = now + 2 * STACKS_S
    elif running.read_stacks_at is not None and now >= running.read_stacks_at:
        running.read_stacks_at = None
        running.watch.saw_stacks(now, control.stacks(running))


def _weigh(running: RunningTrial, now: float) -> None:
    """End a trial that holds more memory than it may on this machine; the others weigh their ranks themselves."""
    limit, watch = running.spec.settings.memory_limit_gib, running.watch
    if limit is None or now < running.weigh_at or watch.is_done or watch.faults or not watch.living:
        return
    running.weigh_at = now + WEIGH_S
    pids = {state.rank: state.pid for state in watch.living if state.node == 0}
    where = f" on {socket.gethostname()}" if running.node_ranks.num_nodes > 1 else ""
    if (found := overweight(pids, limit, where)) is not None:
        rank, cause = found
        watch.fail(now, FailureKind.MEMORY_LIMIT, rank if watch.is_parallel else None, cause, is_final=True)


def begin_end(running: RunningTrial, fault: Fault, control: RankControl, now: float) -> None:
    """The trial must end for this reason: now, or when its ranks have written down where they stand."""
    running.end_at = now
    if fault.wants_stacks:
        running.end_at = now + STACKS_S
        control.ask_for_stacks(running)


def enforce_end(running: RunningTrial, control: RankControl, now: float) -> str | None:
    """Take the next step against ranks that are not gone yet, where one is due; what to tell of it."""
    watch, timeouts, told = running.watch, running.spec.settings.timeouts, None
    if watch.is_done and running.kill_at is None:
        running.kill_at = now + timeouts.linger_s
    if running.end_at is not None and now >= running.end_at and running.kill_at is None:
        control.signal(running, signal.SIGTERM)
        running.kill_at = now + timeouts.grace_s
    if running.kill_at is not None and now >= running.kill_at and not running.is_killed and not watch.all_exited:
        running.is_killed = True
        if watch.is_done:
            left = ", ".join(str(state.rank) for state in watch.living)
            told = f"rank {left} lived on for {timeouts.linger_s:g} s after the end and was killed"
        control.signal(running, signal.SIGKILL)
    return told


def is_over(running: RunningTrial, now: float) -> bool:
    """Whether every rank is gone, or out of reach although it was killed, and it is known why."""
    watch, grace_s = running.watch, running.spec.settings.timeouts.grace_s
    # A process in an uninterruptible sleep (a dead file server) outlives SIGKILL: it is not waited for any longer.
    if running.is_killed and running.kill_at is not None and now >= running.kill_at + grace_s:
        return True
    return watch.all_exited and (watch.is_done or watch.verdict is not None)


def due_times(running: RunningTrial, now: float) -> Sequence[float]:
    """When something of the trial is due though nothing is heard of it."""
    watch, settings = running.watch, running.spec.settings
    at_some_time = (running.end_at, running.kill_at, running.read_stacks_at, watch.hangs.look_at)
    times = [at for at in at_some_time if at is not None and at > now]
    if running.end_at is None:
        times += [fault.at + fault.settle_s for fault in watch.faults]
    if settings.time_limit_s is not None and watch.started_at is not None and not watch.faults:
        times.append(watch.started_at + settings.time_limit_s)
    if settings.memory_limit_gib is not None and not watch.faults and not watch.is_done:
        times.append(max(running.weigh_at, now))
    return times


def ended(running: RunningTrial, fault: Fault | None, hosts: Sequence[str]) -> Ended:
    """What is told of a trial that is over; `fault` is None for one that is recorded."""
    return Ended(
        job=running.job,
        failure=None if fault is None else failure_of(running, fault),
        machine={
            **running.watch.machine,
            "load_average": running.load_average,
            "hosts": list(hosts)[: running.node_ranks.num_nodes],
            "restarts": running.restarts,
        },
        started=utc(running.started),
        ended=utc(time.time()),
        duration_s=time.monotonic() - running.began_at,
    )


def failure_of(running: RunningTrial, fault: Fault) -> Failure:
    """The fault for the record, with the end of the rank's log where it left no traceback."""
    log = Run(running.job.folder).rank_log(fault.rank or 0)
    # A log that lies on another machine came with the news of the rank's end.
    lines = last_lines(log) or running.watch.ranks[fault.rank or 0].tail
    traceback = fault.traceback or "\n".join(lines)
    return Failure(
        kind=fault.kind,
        rank=fault.rank,
        cause=fault.cause,
        traceback=traceback,
        advice=fault.advice,
        log=str(log) if log.exists() else "",
        attempts=running.restarts,
    )
