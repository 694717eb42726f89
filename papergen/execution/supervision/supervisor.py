"""What launchers that start ranks share: the queue, the ranks' reports, the watch over each trial, its orderly end."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from papergen.core.errors import MachineError, PapergenError
from papergen.execution.launcher import Ended, Event, Job, Launcher
from papergen.execution.multihost.network import interface_environment
from papergen.execution.multihost.nodes import NodeLine, Nodes
from papergen.execution.settings import RunSettings
from papergen.execution.slots import Slots
from papergen.execution.supervision.lifecycle import begin_end, due_times, ended, enforce_end, inspect, is_over
from papergen.execution.supervision.rank_control import RankControl
from papergen.execution.supervision.rank_server import Line, RankServer
from papergen.execution.supervision.rendezvous import Ports, local_rendezvous
from papergen.execution.supervision.reports import RankReports
from papergen.execution.supervision.restarts import Restarts
from papergen.execution.supervision.running import RunningTrial, spec_of
from papergen.execution.supervision.starter import Starter
from papergen.execution.supervision.watch import Watch
from papergen.execution.worker.spec import NodeRanks
from papergen.store.failures import Failure, FailureKind
from papergen.store.records import utc

MAX_STARTS = 3
"""How often a trial is started when somebody else took its port."""


class Supervisor(Launcher):
    """A launcher whose ranks report to its server: processes of this machine, and of others where it has `nodes`.

    A subclass names what starts them; the starter says which processes there are (RankReports).
    """

    starter_class: ClassVar[type[Starter]]

    def __init__(
        self,
        settings: RunSettings,
        *,
        num_slots: int | None = None,
        gpus: Sequence[str] | None = None,
        nodes: Nodes | None = None,
    ) -> None:
        """At most `num_slots` ranks at a time; `gpus` to hand out, else all visible ones."""
        assert not settings.max_restarts or (self.restarts_ranks and nodes is None), (
            "torchrun restarts ranks on one machine"
        )
        self._settings = settings
        self._selector = selectors.DefaultSelector()
        self._server = RankServer(self._selector)
        self._ports = Ports()
        self._slots = Slots(settings, num_ranks=num_slots, gpus=gpus, num_nodes=1 if nodes is None else nodes.num_nodes)
        self._running: dict[str, RunningTrial] = {}
        self._told: deque[Event | Ended] = deque()
        self._is_closed = self._has_told_gpus = False
        self._reports = RankReports(self._running, self._told, self._server)
        self._starter = self.starter_class(self._reports, self._server, self._selector)
        self._nodes = nodes
        self._control = RankControl(self._server, self._starter, nodes)
        self._restarts = Restarts(self._server, self._starter, self._control, self._ports)
        if nodes is not None:
            nodes.attend(self._selector)

    @classmethod
    def from_settings(cls, project: Path, settings: RunSettings, *, nodes: Nodes | None = None) -> Self:
        """The launcher for one run-exp."""
        return cls(settings, nodes=nodes)

    def gather(self, timeout_s: float) -> None:
        """Wait until all machines have joined; MachineError when one has not within `timeout_s`."""
        assert self._nodes is not None, "there is nobody to wait for"
        deadline = time.monotonic() + timeout_s
        while self._nodes.missing:
            if time.monotonic() >= deadline:
                missing = ", ".join(str(node) for node in self._nodes.missing)
                raise MachineError(
                    f"node {missing} of {self._nodes.num_nodes} has not joined within {timeout_s:g} s.",
                    hint="Type the same command there, or wait longer: --join-timeout SECONDS.",
                )
            self._look(0.5)

    # The interface.

    def has_room(self, num_ranks: int) -> bool:
        """Whether a trial of so many ranks would start at once."""
        return self._slots.has_room(num_ranks)

    def submit(self, job: Job) -> None:
        """Start the trial, or queue it until there is room."""
        assert not self._is_closed, "a closed launcher takes no trials"
        try:
            self._slots.add(job)
        except PapergenError as error:
            self._tell_refused(job, FailureKind.REFUSED, str(error))
        self._fill()

    def wait(self, timeout_s: float | None = None) -> Sequence[Event | Ended]:
        """Sleep until there is something to tell, at most `timeout_s`; empty when that passed or nothing runs."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._look(0.0)
            if self._slots.is_waiting_for_others:
                self._wait_for_gpus()
            if self._told:
                told = tuple(self._told)
                self._told.clear()
                return told
            now = time.monotonic()
            if not (self._running or self._slots.is_waiting_for_others) or (deadline is not None and now >= deadline):
                return ()
            wake = min([self._next_at(now), *([] if deadline is None else [deadline])])
            self._look(max(0.0, wake - now))

    def _wait_for_gpus(self) -> None:
        """Start what has room by now; say once whom it waits for."""
        self._fill()
        if (job := self._slots.first) is not None and self._slots.is_waiting_for_others and not self._has_told_gpus:
            self._has_told_gpus = True
            text = f"{job.trial.label} waits for a GPU that another papergen on this machine uses"
            self._told.append(Event(job=job, kind="note", data={"text": text}))

    def cancel(self, job: Job) -> None:
        """End the trial; its Ended, a failure, comes from `wait`."""
        if self._slots.remove(job):
            self._tell_refused(job, FailureKind.CANCELLED, "cancelled")
        for running in self._running.values():
            if running.job is job:
                running.watch.fail(time.monotonic(), FailureKind.CANCELLED, None, "cancelled", is_final=True)
                self._advance(running)

    def ask_to_save(self) -> None:
        """Tell all trials that they will be ended soon: those that can save their state and end by themselves."""
        for running in self._running.values():
            self._control.ask_to_save(running)

    def close(self) -> None:
        """Kill every process that was started and forget the queue."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            for running in self._running.values():
                self._control.signal(running, signal.SIGKILL)
        finally:
            self._starter.close()
            self._slots.close()
            if self._nodes is not None:
                self._nodes.close()
            self._running.clear()
            self._server.close()
            self._selector.close()

    # The work.

    def _fill(self) -> None:
        while (job := self._slots.next()) is not None:
            node_ranks = self._slots.node_ranks(job)
            if node_ranks.num_nodes > 1 and self._nodes is not None and self._nodes.missing:
                cause = f"node {self._nodes.missing[0]} is gone; type the same command there again"
                self._tell_refused(job, FailureKind.REFUSED, cause)
                continue
            name, gpus = self._slots.take(job)
            now = time.monotonic()
            running = RunningTrial(
                job=job,
                spec=spec_of(
                    job,
                    self._settings,
                    name,
                    gpus=gpus,
                    address=self._server.address,
                    rendezvous=self._rendezvous(node_ranks),
                ),
                node_ranks=node_ranks,
                watch=Watch(job, self._settings, now, per_node=node_ranks.per_node),
                started=time.time(),
                began_at=now,
                load_average=os.getloadavg()[0],
            )
            self._running[name] = running
            self._control.start(running)

    def _rendezvous(self, node_ranks: NodeRanks) -> dict[str, str]:
        """The variables by which the ranks of a trial meet."""
        if node_ranks.num_nodes == 1 or self._nodes is None:
            return local_rendezvous(self._ports.free())
        address = self._nodes.address
        port = self._ports.free(address)
        return {"MASTER_ADDR": address, "MASTER_PORT": str(port), **interface_environment(address)}

    def _look(self, timeout_s: float) -> None:
        """Take in what has arrived, waiting for it at most so long, then do what is due."""
        for key, _ in self._selector.select(timeout_s):
            source = key.data
            if source is self._server:
                self._server.accept()
            elif source is self._nodes:
                self._nodes.accept()
            elif isinstance(source, NodeLine):
                assert self._nodes is not None, "a line to a node belongs to the nodes"
                self._reports.from_node(source, self._nodes)
            elif isinstance(source, Line):
                self._reports.from_rank(source, self._starter, self._restarts)
            else:
                self._starter.ready(source)
        now = time.monotonic()
        limit_s = self._settings.timeouts.node_s
        for node, host, silent_s in [] if self._nodes is None else self._nodes.drop_silent(now, limit_s):
            self._reports.lost_node(node, f"{host} (node {node}) was not heard of for {silent_s:.0f} s")
        for running in list(self._running.values()):
            self._advance(running)

    def _advance(self, running: RunningTrial) -> None:
        """Do what is due for one trial now."""
        now, watch = time.monotonic(), running.watch
        inspect(running, self._control, now)
        while watch.notes:
            self._reports.note(running, watch.notes.pop(0))
        if watch.all_returned and not running.is_told_to_finish:
            running.is_told_to_finish = True
            self._control.let_finish(running)
        if running.end_at is None and not watch.is_done and (fault := watch.judge(now)) is not None:
            if (text := self._restarts.take(running, fault)) is not None:
                self._reports.note(running, text)
                return
            begin_end(running, fault, self._control, now)
        if (text := enforce_end(running, self._control, now)) is not None:
            self._reports.note(running, text)
        if is_over(running, now):
            self._conclude(running)

    def _next_at(self, now: float) -> float:
        """When something is due though nothing is heard."""
        times = [now + self._settings.timeouts.check_s]
        for running in self._running.values():
            times += due_times(running, now)
        return min(times)

    def _conclude(self, running: RunningTrial) -> None:
        """Report the trial as over, or start it again when only its port was taken."""
        watch = running.watch
        fault = None if watch.is_done else watch.judge(time.monotonic())
        assert watch.is_done or fault is not None, f"{running.job.trial.label} is over for no reason"
        self._control.release(running)
        is_port_taken = fault is not None and fault.kind is FailureKind.PORT_TAKEN and not watch.has_told
        if is_port_taken and running.num_starts < MAX_STARTS:
            self._start_again(running)
            return
        del self._running[running.spec.job]
        self._slots.give_back(running.spec.job)
        self._told.append(ended(running, fault, self.hosts))
        self._fill()

    def _start_again(self, running: RunningTrial) -> None:
        watch = Watch(running.job, self._settings, time.monotonic(), per_node=running.node_ranks.per_node)
        running.renew(watch, self._rendezvous(running.node_ranks))
        self._reports.note(running, "another program took the port of the rendezvous; starting again with a new one")
        self._control.start(running)

    @property
    def hosts(self) -> Sequence[str]:
        """The names of the machines, this one first."""
        others = [] if self._nodes is None else [self._nodes.host(node) for node in range(1, self._nodes.num_nodes)]
        return [socket.gethostname(), *others]

    def _tell_refused(self, job: Job, kind: FailureKind, cause: str) -> None:
        now = utc(time.time())
        failure = Failure(kind=kind, rank=None, cause=cause)
        self._told.append(Ended(job=job, failure=failure, machine={}, started=now, ended=now, duration_s=0.0))
