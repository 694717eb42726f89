"""The looks that are taken at a trial under way: signs of life, stacks, memory."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from papergen.execution.supervision.processes import memory_of, state_of, vitals_of
from papergen.execution.supervision.rank_control import STACKS_S, Hands
from papergen.execution.supervision.running import Running
from papergen.store.failures import FailureKind

WEIGH_S = 0.25
"""Between two looks at the memory of a trial that has a limit."""


def inspect(running: Running, hands: Hands, now: float) -> None:
    """Take the looks that are due; what is found becomes a fault of the trial's watch."""
    running.watch.inspect(now, state_of, vitals_of)
    _look_at_stacks(running, hands, now)
    _weigh(running, now)


def _look_at_stacks(running: Running, hands: Hands, now: float) -> None:
    """Two steps: ask the ranks where they stand, then read what they wrote."""
    if running.watch.hangs.takes_stacks_request():
        hands.ask_for_stacks(running)
        running.read_stacks_at = now + 2 * STACKS_S
    elif running.read_stacks_at is not None and now >= running.read_stacks_at:
        running.read_stacks_at = None
        running.watch.saw_stacks(now, hands.stacks(running))


def _weigh(running: Running, now: float) -> None:
    """End a trial that holds more memory than it may on this machine; the others weigh their ranks themselves."""
    limit, watch = running.spec.settings.memory_limit_gib, running.watch
    if limit is None or now < running.weigh_at or watch.is_done or watch.faults or not watch.living:
        return
    running.weigh_at = now + WEIGH_S
    pids = {state.rank: state.pid for state in watch.living if state.node == 0}
    where = f" on {socket.gethostname()}" if running.share.num_nodes > 1 else ""
    if (found := overweight(pids, limit, where)) is not None:
        rank, cause = found
        watch.fail(now, FailureKind.MEMORY_LIMIT, rank if watch.is_parallel else None, cause, is_final=True)


def overweight(pids: Mapping[int, int], limit_gib: float, where: str = "") -> tuple[int, str] | None:
    """The rank that holds the most memory and what is said of it; None when all together hold no more than the limit.

    `pids` are the processes of a trial's ranks on this machine.
    """
    used_gib = memory_of(set(pids.values())) / 2**30
    if used_gib <= limit_gib:
        return None
    of_rank = {rank: memory_of({pid}) / 2**30 for rank, pid in pids.items()}
    rank = max(of_rank, key=lambda rank: of_rank[rank])
    most = f"; rank {rank} holds the most, {of_rank[rank]:.2f} GiB" if len(pids) > 1 else ""
    return rank, f"used {used_gib:.2f} GiB of memory{where}, more than its memory limit of {limit_gib:g} GiB{most}"
