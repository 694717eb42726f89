"""What is heard of the ranks of running trials: from the ranks, from what starts them, and from other machines."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Mapping

from papergen.execution.launcher import Ended, Event
from papergen.execution.multihost.nodes import NodeLine, Nodes
from papergen.execution.supervision.processes import Vitals
from papergen.execution.supervision.rank_server import Line, Message, RankServer
from papergen.execution.supervision.restarts import Restarts
from papergen.execution.supervision.running import RunningTrial
from papergen.execution.supervision.starter import Starter
from papergen.execution.worker.spec import AGENT_RANK
from papergen.execution.worker.system import signal_group
from papergen.store.failures import FailureKind


class RankReports:
    """Takes what is heard into the watch of the trial that it is about. A RankListener for what starts ranks."""

    def __init__(self, running: Mapping[str, RunningTrial], told: deque[Event | Ended], server: RankServer) -> None:
        """`running` are the trials under way by name; `told` takes what a person should know."""
        self._running, self._told, self._server = running, told, server

    def note(self, running: RunningTrial, text: str) -> None:
        """Tell of something about a trial in a line."""
        self._told.append(Event(job=running.job, kind="note", data={"text": text}))

    # What the starter tells.

    def started(self, job: str, pids: Mapping[int, int]) -> None:
        """The ranks of a trial have these processes, each leading a process group of its own."""
        running = self._running.get(job)
        if running is None:  # it was ended meanwhile
            for pid in pids.values():
                signal_group(pid, signal.SIGKILL)
            return
        if running.watch.started_at is None:  # the wait for a fork server's imports is not the trial's time
            running.began_at, running.started = time.monotonic(), time.time()
        running.watch.started(pids, time.monotonic())

    def exited(self, job: str, rank: int, status: int | None) -> None:
        """A rank's process is gone."""
        running = self._running.get(job)
        if running is not None:
            note = running.watch.exited(rank, status, time.monotonic())
            if note is not None and not running.is_killed:
                self.note(running, note)

    def lost(self, job: str, kind: FailureKind, cause: str, *, traceback: str, with_ranks: bool) -> None:
        """What started this machine's ranks of a trial is gone."""
        self._lost(job, 0, kind, cause, traceback=traceback, with_ranks=with_ranks)

    def _lost(
        self, job: str, node: int, kind: FailureKind, cause: str, *, traceback: str = "", with_ranks: bool = True
    ) -> None:
        running = self._running.get(job)
        if running is None:
            return
        mine = [state for state in running.watch.ranks if state.node == node]
        # torch's launchers end after their ranks, whose own faults say more; a fork server takes its ranks along.
        if with_ranks or (not running.watch.is_done and not running.watch.faults):
            rank = mine[0].rank if node else None
            running.watch.fail(time.monotonic(), kind, rank, cause, traceback=traceback, is_final=True)
        for state in mine:
            if with_ranks and not node and state.pid:
                signal_group(state.pid, signal.SIGKILL)
            if with_ranks or not state.pid:
                state.has_exited = True

    # What ranks and other machines say.

    def from_rank(self, line: Line, starter: Starter, restarts: Restarts) -> None:
        """Read what a rank, or a process that starts ranks, has to say."""
        messages, is_gone = line.read()
        for message in messages:
            if message["event"] == "hello":
                line.job, line.rank = message["job"], message["rank"]
            running = self._running.get(line.job)
            if running is None:
                continue
            if line.rank == AGENT_RANK:
                starter.heard_from_agent(line.job, message)
                continue
            if message["event"] == "hello":
                if (text := restarts.heard(running, line, message["restart"])) is not None:
                    self.note(running, text)
                starter.said_hello(line.job, line.rank, message["pid"])
            self._on_message(running, line.rank, message)
        if is_gone:
            self._server.drop(line)

    def from_node(self, line: NodeLine, nodes: Nodes) -> None:
        """Read what another machine has to say of its share of the ranks."""
        messages, is_gone = nodes.read(line)
        for message in messages:
            running = self._running.get(message.get("job", ""))
            if running is None:
                continue
            match message["event"]:
                case "rank":
                    told = dict(message["message"])
                    if "age_s" in told:  # another machine's clock means nothing here
                        told["at"] = time.monotonic() - told.pop("age_s")
                    self._on_message(running, message["rank"], told)
                case "started":
                    self.started(running.spec.job, dict(message["pids"]))
                case "stacks":
                    running.watch.ranks[message["rank"]].tail = message["tail"]
                case "exited":
                    running.watch.ranks[message["rank"]].tail = message["tail"]
                    self.exited(running.spec.job, message["rank"], message["status"])
                case "vitals":
                    state = running.watch.ranks[message["rank"]]
                    state.letter = message["letter"]
                    state.vitals = Vitals(**message["vitals"])
                case "fault":
                    kind = FailureKind(message["kind"])
                    running.watch.fail(time.monotonic(), kind, message["rank"], message["cause"], is_final=True)
                case "lost":
                    cause = f"on {line.host}: {message['cause']}"
                    self._lost(
                        running.spec.job,
                        line.node,
                        FailureKind(message["kind"]),
                        cause,
                        traceback=message["traceback"],
                        with_ranks=message["with_ranks"],
                    )
        if is_gone and line.node > 0:
            self.lost_node(line.node, f"{line.host} (node {line.node}) is gone: the connection to it was lost")

    def lost_node(self, node: int, cause: str) -> None:
        """Another machine is gone: so are the trials that it has a share of."""
        for name, running in list(self._running.items()):
            if node < running.node_ranks.num_nodes:
                self._lost(name, node, FailureKind.HOST_LOST, cause)

    def _on_message(self, running: RunningTrial, rank: int, message: Message) -> None:
        running.watch.heard(rank, message, time.monotonic())
        kind = message.pop("event")
        if kind in {"progress", "log", "note"}:
            self._told.append(Event(job=running.job, kind=kind, data=message))
