"""How a trial ends: its ranks are asked where they stand, asked to end, killed; and what is told of it then."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence

from papergen.execution.launcher import Ended
from papergen.execution.settings import Timeouts
from papergen.execution.supervision.rank_control import STACKS_S, Hands
from papergen.execution.supervision.running import Running, failure_of, utc
from papergen.execution.supervision.watch import Fault


def begin_end(running: Running, fault: Fault, hands: Hands, now: float) -> None:
    """The trial must end for this reason: now, or when its ranks have written down where they stand."""
    running.end_at = now
    if fault.wants_stacks:
        running.end_at = now + STACKS_S
        hands.ask_for_stacks(running)


def press(running: Running, hands: Hands, timeouts: Timeouts, now: float) -> str | None:
    """Take the next step against ranks that are not gone yet, where one is due; what to tell of it."""
    watch, told = running.watch, None
    if watch.is_done and running.kill_at is None:
        running.kill_at = now + timeouts.linger_s
    if running.end_at is not None and now >= running.end_at and running.kill_at is None:
        hands.signal(running, signal.SIGTERM)
        running.kill_at = now + timeouts.grace_s
    if running.kill_at is not None and now >= running.kill_at and not running.is_killed and not watch.all_exited:
        running.is_killed = True
        if watch.is_done:
            left = ", ".join(str(state.rank) for state in watch.living)
            told = f"rank {left} lived on for {timeouts.linger_s:g} s after the end and was killed"
        hands.signal(running, signal.SIGKILL)
    return told


def is_over(running: Running, timeouts: Timeouts, now: float) -> bool:
    """Whether every rank is gone, or out of reach although it was killed, and it is known why."""
    watch = running.watch
    if running.is_killed and running.kill_at is not None and now >= running.kill_at + timeouts.grace_s:
        return True
    return watch.all_exited and (watch.is_done or watch.verdict is not None)


def due(running: Running, now: float) -> Sequence[float]:
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


def ended(running: Running, fault: Fault | None, hosts: Sequence[str]) -> Ended:
    """What is told of a trial that is over; `fault` is None for one that is recorded."""
    return Ended(
        job=running.job,
        failure=None if fault is None else failure_of(running, fault),
        machine={
            **running.watch.machine,
            "load_average": running.load_average,
            "hosts": list(hosts)[: running.share.num_nodes],
            "restarts": running.restarts,
        },
        started=utc(running.started),
        ended=utc(time.time()),
        duration_s=time.monotonic() - running.began_at,
    )
