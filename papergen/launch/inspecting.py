"""The looks that are taken at a trial under way: signs of life, stacks, memory, and the machines that share it."""

from __future__ import annotations

from papergen.launch.base import Limits
from papergen.launch.hands import STACKS_S, Hands
from papergen.launch.processes import memory_of, state_of, vitals_of
from papergen.launch.running import Running

WEIGH_S = 0.25
"""Between two looks at the memory of a trial that has a limit."""


def inspect(running: Running, hands: Hands, limits: Limits, now: float) -> None:
    """Take the looks that are due; what is found becomes a fault of the trial's watch."""
    running.watch.inspect(now, state_of, vitals_of)
    _look_at_stacks(running, hands, now)
    _weigh(running, now)
    _look_for_silent_nodes(running, hands, limits, now)


def _look_at_stacks(running: Running, hands: Hands, now: float) -> None:
    """Two steps: ask the ranks where they stand, then read what they wrote."""
    if running.watch.hangs.wants_stacks:
        running.watch.hangs.wants_stacks = False
        hands.ask_for_stacks(running)
        running.read_stacks_at = now + 2 * STACKS_S
    elif running.read_stacks_at is not None and now >= running.read_stacks_at:
        running.read_stacks_at = None
        running.watch.saw_stacks(now, hands.stacks(running))


def _weigh(running: Running, now: float) -> None:
    """End a trial that holds more memory than it may on this machine."""
    limit, watch = running.job.memory_limit_gib, running.watch
    if limit is None or now < running.weigh_at or watch.is_done or watch.faults or not watch.living:
        return
    running.weigh_at = now + WEIGH_S
    used_gib = memory_of({state.pid for state in watch.living if state.node == 0}) / 2**30
    if used_gib > limit:
        cause = f"used {used_gib:.2f} GiB of memory, more than its memory limit of {limit:g} GiB"
        watch.fail(now, None, cause, is_final=True)


def _look_for_silent_nodes(running: Running, hands: Hands, limits: Limits, now: float) -> None:
    for node, host, silent_s in hands.silence(running, now):
        if silent_s >= limits.silent_s / 2 and not running.watch.faults and not running.watch.is_done:
            cause = f"{host} (node {node}) was not heard of for {silent_s:.0f} s"
            running.watch.fail(now, node * running.share.per_node, cause, is_final=True)
