"""What is done to the ranks of a trial, on this machine and on the others that share it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace

from papergen.execution.multihost.nodes import Nodes
from papergen.execution.supervision.rank_server import Message, RankServer
from papergen.execution.supervision.running import RunningTrial, start_message
from papergen.execution.supervision.stacks import stack_lines
from papergen.execution.supervision.starter import Starter
from papergen.execution.worker.system import signal_group
from papergen.store.runs import Run

STACKS_S = 0.3
"""For the ranks to write down where they stand, when they are asked to: faulthandler's C code does so in microseconds,
as soon as the process is given a processor."""


class RankControl:
    """Starts, signals and releases ranks; `nodes` are the other machines, None where there are none."""

    def __init__(self, server: RankServer, starter: Starter, nodes: Nodes | None) -> None:
        self._server, self._starter, self._nodes = server, starter, nodes

    def start(self, running: RunningTrial) -> None:
        """Start the ranks of a trial everywhere."""
        node_ranks, spec = running.node_ranks, running.spec
        running.spec = replace(spec, environment=self._starter.environment(spec.environment, node_ranks))
        self._starter.start(running.spec, node_ranks, running.job.modules)
        for node in range(1, node_ranks.num_nodes):
            assert self._nodes is not None, "only a run with nodes shares trials out"
            self._nodes.tell(node, start_message(running, replace(node_ranks, node=node)))

    def signal(self, running: RunningTrial, sent: int) -> None:
        """Send a signal to all that the trial's ranks are and have started."""
        for state in running.watch.living:
            if state.node == 0:
                signal_group(state.pid, sent)
        self._tell(running, {"do": "signal", "signal": sent})

    def ask_for_stacks(self, running: RunningTrial) -> None:
        """Have every rank write to its log where it stands."""
        self._ask(running, signal.SIGUSR1)

    def ask_to_save(self, running: RunningTrial) -> None:
        """Tell every rank that it should save what a later attempt can go on from, and end."""
        self._ask(running, signal.SIGUSR2)

    def _ask(self, running: RunningTrial, sent: int) -> None:
        """Signal the ranks themselves: what they have started would die of it."""
        for state in running.watch.living:
            if state.node == 0:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(state.pid, sent)
        self._tell(running, {"do": "signal", "signal": sent})

    def stacks(self, running: RunningTrial) -> Mapping[int, Sequence[str]]:
        """The ends of the ranks' logs, some `STACKS_S` after they were asked."""
        run = Run(running.job.folder)
        return {
            state.rank: stack_lines(run.rank_log(state.rank)) if state.node == 0 else state.tail
            for state in running.watch.ranks
        }

    def let_finish(self, running: RunningTrial) -> None:
        """Tell the ranks that all have returned."""
        for line in self._server.of(running.spec.job):  # an agent has no use for it
            line.send(b"\n")
        self._tell(running, {"do": "finish"})

    def release(self, running: RunningTrial) -> None:
        """Forget a trial that is over."""
        for line in self._server.of(running.spec.job):
            self._server.drop(line)
        self._starter.over(running.spec.job)
        self._tell(running, {"do": "over"})

    def _tell(self, running: RunningTrial, message: Message) -> None:
        for node in range(1, running.node_ranks.num_nodes):
            assert self._nodes is not None, "only a run with nodes shares trials out"
            self._nodes.tell(node, {**message, "job": running.spec.job})
