"""Another machine of a run: starts its share of each trial as node 0 says, and reports what becomes of its ranks."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from papergen.core.errors import MachineError, PapergenError
from papergen.core.files import last_lines
from papergen.execution.multihost.network import Endpoint
from papergen.execution.multihost.nodes import NodeLine, versions_here
from papergen.execution.supervision.processes import overweight, state_of, vitals_of
from papergen.execution.supervision.rank_control import STACKS_S
from papergen.execution.supervision.rank_server import Line, Message, RankServer
from papergen.execution.supervision.stacks import stack_lines
from papergen.execution.supervision.starter import Starter
from papergen.execution.worker.spec import AGENT_RANK, BEAT_S, NodeRanks, RankSpec
from papergen.execution.worker.system import signal_group
from papergen.store.failures import FailureKind
from papergen.store.runs import Run

VITALS_S = 2.0
"""Between two reports on what the ranks use."""
KNOCK_S = 0.5
"""Between two attempts to reach node 0."""

Prepare = Callable[[Message, str], RankSpec]
"""From a start message and the address of this machine's hub to what its ranks are told; PapergenError refuses."""


@dataclass
class Following:
    """A trial under way, as far as it runs here."""

    spec: RankSpec
    node_ranks: NodeRanks
    pids: dict[int, int] = field(default_factory=dict)
    exited: set[int] = field(default_factory=set)
    is_overweight: bool = False
    """Whether it was told that they hold more memory than they may."""

    @property
    def living(self) -> Mapping[int, int]:
        """Rank -> process, of those that have not ended."""
        return {rank: pid for rank, pid in self.pids.items() if rank not in self.exited}


class Follower:
    """Serves node 0 until it says that the run is over, or is gone. Ends all it started in either case."""

    def __init__(self, line: NodeLine, starter_class: type[Starter], prepare: Prepare) -> None:
        self._line = line
        self._prepare = prepare
        self._selector = selectors.DefaultSelector()
        self._server = RankServer(self._selector)
        self._starter = starter_class(self, self._server, self._selector)
        self._selector.register(line.socket, selectors.EVENT_READ, line)
        self._trials: dict[str, Following] = {}
        self._beat_at = self._vitals_at = 0.0
        self._stacks_at: dict[str, float] = {}
        """When the stacks of a trial's ranks are sent."""

    def serve(self) -> None:
        """Do what node 0 says; MachineError when the line to it is lost before it says that the run is over."""
        try:
            is_over = any(self._obey(message) for message in self._line.ahead)
            while not is_over:
                is_over = self._turn()
        finally:
            for trial in self._trials.values():
                for pid in trial.living.values():
                    signal_group(pid, signal.SIGKILL)
            self._starter.close()
            self._server.close()
            self._selector.close()
            self._line.socket.close()

    # What the starter tells.

    def started(self, job: str, pids: Mapping[int, int]) -> None:
        """These ranks have these processes."""
        if job not in self._trials:
            for pid in pids.values():
                signal_group(pid, signal.SIGKILL)
            return
        self._trials[job].pids.update(pids)
        self._line.tell({"event": "started", "job": job, "pids": list(pids.items())})

    def exited(self, job: str, rank: int, status: int | None) -> None:
        """A rank's process is gone."""
        trial = self._trials.get(job)
        if trial is not None:
            trial.exited.add(rank)
            lines = last_lines(Run(Path(trial.spec.folder)).rank_log(rank))
            self._line.tell({"event": "exited", "job": job, "rank": rank, "status": status, "tail": lines})

    def lost(self, job: str, kind: FailureKind, cause: str, *, traceback: str, with_ranks: bool) -> None:
        """What starts the ranks here is gone."""
        trial = self._trials.get(job)
        if trial is not None:
            if with_ranks:
                for pid in trial.living.values():
                    signal_group(pid, signal.SIGKILL)
                trial.exited.update(trial.pids)
            told = {"job": job, "kind": kind, "cause": cause, "traceback": traceback, "with_ranks": with_ranks}
            self._line.tell({"event": "lost", **told})

    # The loop.

    def _turn(self) -> bool:
        """One look at all that may have come; whether the run is over."""
        for key, _ in self._selector.select(STACKS_S / 2 if self._stacks_at else BEAT_S / 2):
            source = key.data
            if source is self._server:
                self._server.accept()
            elif source is self._line:
                messages, is_gone = self._line.read()
                if any(self._obey(message) for message in messages):
                    return True
                if is_gone:
                    raise MachineError(
                        f"the connection to node 0 ({self._line.host}) was lost; this node's ranks were ended.",
                        hint="Look at what node 0 says; then type the same command again on every host.",
                    )
            elif isinstance(source, Line):
                self._hear(source)
            else:
                self._starter.ready(source)
        now = time.monotonic()
        if now - self._beat_at >= BEAT_S:
            self._beat_at = now
            self._line.tell({"event": "beat"})
        for job in [job for job, at in self._stacks_at.items() if now >= at]:
            del self._stacks_at[job]
            self._tell_stacks(job)
        if now - self._vitals_at >= VITALS_S:
            self._vitals_at = now
            self._tell_vitals()
        self._weigh()
        return False

    def _obey(self, message: Message) -> bool:
        match message["do"]:
            case "end":
                return True
            case "start":
                self._start(message)
            case "finish":
                for line in self._server.of(message["job"]):
                    line.send(b"\n")
            case "signal" if message["job"] in self._trials:
                self._signal(self._trials[message["job"]], message["signal"])
                if message["signal"] == signal.SIGUSR1:
                    self._stacks_at[message["job"]] = time.monotonic() + STACKS_S / 2
            case "over":
                for line in self._server.of(message["job"]):
                    self._server.drop(line)
                self._starter.over(message["job"])
                self._trials.pop(message["job"], None)
        return False

    def _start(self, message: Message) -> None:
        node_ranks = NodeRanks(**message["node_ranks"])
        try:
            spec = self._prepare(message, self._server.address)
        except (PapergenError, OSError) as error:
            told = {"job": message["job"], "kind": FailureKind.REFUSED, "cause": str(error), "traceback": ""}
            self._line.tell({"event": "lost", **told, "with_ranks": True})
            return
        self._trials[spec.job] = Following(spec, node_ranks)
        self._starter.start(spec, node_ranks, message["modules"])

    @staticmethod
    def _signal(trial: Following, sent: int) -> None:
        for pid in trial.living.values():
            if sent in {
                signal.SIGUSR1,
                signal.SIGUSR2,
            }:  # asks a rank for something; what it has started would die of it
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sent)
            else:
                signal_group(pid, sent)

    def _hear(self, line: Line) -> None:
        messages, is_gone = line.read()
        for message in messages:
            if message["event"] == "hello":
                line.job, line.rank = message["job"], message["rank"]
            if line.job not in self._trials:
                continue
            if line.rank == AGENT_RANK:
                self._starter.heard_from_agent(line.job, message)
                continue
            if message["event"] == "hello":
                self._starter.said_hello(line.job, line.rank, message["pid"])
            self._line.tell({"event": "rank", "job": line.job, "rank": line.rank, "message": _aged(message)})
        if is_gone:
            self._server.drop(line)

    def _tell_stacks(self, job: str) -> None:
        trial = self._trials.get(job)
        for rank in trial.living if trial is not None else ():
            assert trial is not None
            lines = stack_lines(Run(Path(trial.spec.folder)).rank_log(rank))
            self._line.tell({"event": "stacks", "job": job, "rank": rank, "tail": lines})

    def _tell_vitals(self) -> None:
        for job, trial in self._trials.items():
            for rank, pid in trial.living.items():
                told = {"letter": state_of(pid), "vitals": asdict(vitals_of(pid))}
                self._line.tell({"event": "vitals", "job": job, "rank": rank, **told})

    def _weigh(self) -> None:
        """Tell of trials that hold more memory here than they may, once each."""
        for job, trial in self._trials.items():
            limit_gib = trial.spec.settings.memory_limit_gib
            if limit_gib is not None and trial.living and not trial.is_overweight:
                found = overweight(trial.living, limit_gib, f" on {socket.gethostname()}")
                if found is not None:
                    trial.is_overweight = True
                    rank, cause = found
                    told = {"job": job, "kind": FailureKind.MEMORY_LIMIT, "rank": rank, "cause": cause}
                    self._line.tell({"event": "fault", **told})


def _aged(message: Message) -> Message:
    """The message with its time as an age: the clocks of two machines have nothing in common."""
    if "at" not in message:
        return message
    rest = {name: value for name, value in message.items() if name != "at"}
    return {**rest, "age_s": max(0.0, time.monotonic() - message["at"])}


def join(
    endpoints: list[Endpoint],
    *,
    node: int | None,
    num_nodes: int,
    trials: Mapping[str, str],
    timeout_s: float,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[NodeLine, int]:
    """Knock at the endpoints until node 0 lets this machine in; the line to it and this machine's number.

    MachineError when nobody opens within `timeout_s`, or node 0 refuses.
    """
    request = {
        "event": "join",
        "node": node,
        "num_nodes": num_nodes,
        "host": socket.gethostname(),
        "versions": versions_here(),
    }
    deadline = time.monotonic() + timeout_s
    problem = "nobody answers"
    has_said = False
    while time.monotonic() < deadline:
        for endpoint in endpoints:
            try:
                connection = socket.create_connection((endpoint.host, endpoint.port), timeout=KNOCK_S * 4)
            except OSError as error:
                problem = error.strerror or str(error)
                continue
            line = NodeLine(connection)
            line.host = str(endpoint)
            line.tell({**request, "trials": dict(trials)})
            answer = _answer(line, min(deadline, time.monotonic() + 10))
            if answer is not None and answer.get("do") == "welcome":
                return line, int(answer["node"])
            connection.close()
            if answer is not None and answer.get("do") == "refused":
                raise MachineError(f"node 0 ({endpoint}) does not let this host in: {answer['cause']}.")
            problem = "what answers there is no papergen"
        if not has_said:
            has_said = True
            say(f"waiting for node 0 at {endpoints[0]} ({problem})")
        time.sleep(KNOCK_S)
    raise MachineError(
        f"node 0 was not reached at {endpoints[0]} within {timeout_s:g} s: {problem}.",
        hint="Is the same command running there? Does a firewall let the port through?",
    )


def _answer(line: NodeLine, deadline: float) -> dict[str, Any] | None:
    while time.monotonic() < deadline:
        try:
            messages, is_gone = line.read()
        except ValueError:
            return None
        if messages:
            line.ahead = messages[1:]
            return messages[0] if isinstance(messages[0], dict) else None
        if is_gone:
            return None
        time.sleep(0.02)
    return None
