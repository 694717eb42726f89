"""Ranks that torchrun starts again after a failure: which failures, what is kept, and when the new ranks begin."""

from __future__ import annotations

import json
import signal
import time

from papergen.execution.supervision.rank_control import RankControl
from papergen.execution.supervision.rank_server import Line, RankServer
from papergen.execution.supervision.rendezvous import Ports, local_rendezvous
from papergen.execution.supervision.running import RunningTrial
from papergen.execution.supervision.starter import Starter
from papergen.execution.supervision.watch import Fault, Watch
from papergen.execution.worker.spec import AGENT_RANK
from papergen.store.failures import FailureKind
from papergen.store.runs import Run

UNKNOWN = Fault(at=0.0, kind=FailureKind.EXITED, rank=None, cause="torchrun ended the ranks")


class Restarts:
    """What a supervisor does when its starter starts a trial's ranks again.

    torch's agent does so when a process has failed, and says nothing of it: that is seen by the failure, or by ranks
    that report with a higher number. A rank that hangs or is stopped is no failure to the agent until it is killed.
    """

    def __init__(self, server: RankServer, starter: Starter, control: RankControl, ports: Ports) -> None:
        self._server, self._starter, self._control, self._ports = server, starter, control, ports

    def take(self, running: RunningTrial, fault: Fault) -> str | None:
        """Leave a trial that failed to the agent; what to tell of it, None when it must end."""
        if fault.is_final or len(running.restarts) >= running.spec.settings.max_restarts:
            return None
        self._control.signal(running, signal.SIGKILL)  # the agent would wait half a minute for those that hang
        return self._begin(running, fault)

    def heard(self, running: RunningTrial, line: Line, restart: int) -> str | None:
        """A rank of the `restart`-th start over reports: let it begin. What to tell, where nobody knew of it yet."""
        told = None
        if restart > len(running.restarts):
            told = self._begin(running, running.watch.likeliest or UNKNOWN, new=line)
        if restart < len(running.restarts):  # it is about to be ended
            self._server.drop(line)
        elif restart:
            if running.rendezvous is None:
                Run(running.job.folder).clear(keep_logs=True)
                running.rendezvous = {**local_rendezvous(self._ports.free()), "TORCHELASTIC_USE_AGENT_STORE": "False"}
            line.send(json.dumps(running.rendezvous).encode() + b"\n")
        return told

    def _begin(self, running: RunningTrial, fault: Fault, new: Line | None = None) -> str:
        cause = fault.cause if fault.rank is None else f"rank {fault.rank}: {fault.cause}"
        running.restarts.append(cause)
        for line in self._server.of(running.spec.job):
            if line is not new and line.rank != AGENT_RANK:
                self._server.drop(line)
        self._starter.forget(running.spec.job)
        watch = Watch(running.job, running.spec.settings, time.monotonic(), per_node=running.node_ranks.per_node)
        watch.started_at = running.watch.started_at  # the time limit is the trial's
        running.watch_anew(watch)
        running.rendezvous = None
        which = f"restart {len(running.restarts)} of {running.spec.settings.max_restarts}"
        return f"{cause}; torchrun starts the ranks again ({which})"
