"""spawn and torchrun: for each trial an agent of torch starts the ranks; the watch over them is the same."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from papergen.core.files import last_lines, write_json
from papergen.execution.launcher import Fitness
from papergen.execution.launchers.local import worker_environment
from papergen.execution.supervision.rank_server import Message, RankServer
from papergen.execution.supervision.starter import RankListener, Starter
from papergen.execution.supervision.supervisor import Supervisor
from papergen.execution.supervision.watch import ended_by
from papergen.execution.worker.spec import NodeRanks, RankSpec
from papergen.execution.worker.system import kill_session
from papergen.store.failures import FailureKind


@dataclass(frozen=True)
class Agent:
    """The process that starts a trial's ranks; it leads a session, in which spawn's ranks stay."""

    job: str
    process: subprocess.Popen[bytes]
    handle: int
    log: Path
    sessions: set[int] = field(default_factory=set)
    """Of ranks that torch has put into sessions of their own."""


@dataclass(frozen=True)
class RankProcess:
    """A rank, which is a child of the agent."""

    job: str
    rank: int
    pid: int
    handle: int


class AgentStarter(Starter):
    """Ranks that torch starts. They pay for their imports in every trial; a fork server does not."""

    option: ClassVar[str]
    """What `python -m papergen.execution.worker` calls this way to start ranks."""

    def __init__(self, listener: RankListener, server: RankServer, selector: selectors.BaseSelector) -> None:
        super().__init__(listener, server, selector)
        self._agents: dict[str, Agent] = {}
        self._ranks: dict[str, list[RankProcess]] = {}
        self._handles: set[int] = set()
        self._session_guard: subprocess.Popen[bytes] | None = None

    def start(self, spec: RankSpec, node_ranks: NodeRanks, modules: Sequence[str]) -> None:
        """Start the agent, which starts the ranks."""
        spec_path = self.server.folder / f"{spec.job}.json"
        write_json(spec_path, spec.to_json())
        log = Path(spec.folder) / ("launcher.log" if node_ranks.node == 0 else f"launcher{node_ranks.node}.log")
        arguments = [self.option, str(spec_path), json.dumps(node_ranks.to_json())]
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "papergen.execution.worker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=worker_environment(),
                cwd="/",
                start_new_session=True,
            )
        self._guard_session(process.pid)
        agent = Agent(spec.job, process, os.pidfd_open(process.pid), log)
        self._agents[spec.job] = agent
        self._attend(agent.handle, agent)

    def ready(self, source: Any) -> None:
        """An agent or a rank has ended."""
        self._leave(source.handle)
        if isinstance(source, RankProcess):
            self.listener.exited(source.job, source.rank, None)
        else:
            assert isinstance(source, Agent), f"{source!r} was not registered here"
            cause = f"{self.option.removeprefix('--')}: {ended_by(_status(source.process.pid))}"
            traceback = "\n".join(last_lines(source.log))
            self.listener.lost(source.job, FailureKind.START_FAILED, cause, traceback=traceback, with_ranks=False)

    def heard_from_agent(self, job: str, message: Message) -> None:
        """The agent says which rank ended, and how."""
        match message["event"]:
            case "rank_exited":
                self.listener.exited(job, message["failed"], message["status"])
            case "child_ended":
                for rank in self._ranks.get(job, ()):
                    if rank.pid == message["pid"]:
                        self.listener.exited(job, rank.rank, message["status"])

    def said_hello(self, job: str, rank: int, pid: int) -> None:
        """A rank is there: watch for its end."""
        agent = self._agents.get(job)
        with contextlib.suppress(ProcessLookupError):
            session = os.getsid(pid)
            if agent is not None and session != agent.process.pid:
                agent.sessions.add(session)
                self._guard_session(session)
        self.listener.started(job, {rank: pid})
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            self.listener.exited(job, rank, None)
        else:
            process = RankProcess(job, rank, pid, handle)
            self._ranks.setdefault(job, []).append(process)
            self._attend(handle, process)

    def forget(self, job: str) -> None:
        """Look no longer for the ends of the trial's ranks, and end what they have left in their sessions."""
        for rank in self._ranks.pop(job, ()):
            self._leave(rank.handle)
        if (agent := self._agents.get(job)) is not None:
            for session in agent.sessions:
                kill_session(session)
                self._guard_session(-session)
            agent.sessions.clear()

    def over(self, job: str) -> None:
        """End the agent and whatever its ranks have left."""
        self._ranks.pop(job, None)
        agent = self._agents.pop(job, None)
        if agent is None:
            return
        self._leave(agent.handle)
        with contextlib.suppress(ProcessLookupError):
            os.kill(agent.process.pid, signal.SIGKILL)
        sessions = [agent.process.pid, *agent.sessions]  # the agent is not reaped yet: its number is its own
        for session in sessions:
            kill_session(session)
        agent.process.wait()
        for session in sessions:
            self._guard_session(-session)

    def close(self) -> None:
        """End all agents, and what guards their sessions."""
        for job in list(self._agents):
            self.over(job)
        for handle in list(self._handles):
            self._leave(handle)
        if self._session_guard is not None:
            assert self._session_guard.stdin is not None
            with contextlib.suppress(OSError):
                self._session_guard.stdin.close()
            self._session_guard.wait()

    def _guard_session(self, session: int) -> None:
        """Have the session ended when this process is killed: the kernel would end the agent, not what it started."""
        if self._session_guard is None:
            self._session_guard = subprocess.Popen(
                [sys.executable, "-P", "-m", "papergen.execution.worker", "--end-sessions"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=worker_environment(),
                cwd="/",
                start_new_session=True,
            )
        assert self._session_guard.stdin is not None
        with contextlib.suppress(OSError):
            self._session_guard.stdin.write(f"{session}\n".encode())
            self._session_guard.stdin.flush()

    def _attend(self, handle: int, source: Agent | RankProcess) -> None:
        self._handles.add(handle)
        self.selector.register(handle, selectors.EVENT_READ, source)

    def _leave(self, handle: int) -> None:
        if handle in self._handles:
            self._handles.remove(handle)
            self.selector.unregister(handle)
            with contextlib.suppress(OSError):
                os.close(handle)


def _status(pid: int) -> int:
    """The exit status of a child that has ended, which stays a zombie; negative: a signal."""
    # WNOWAIT leaves the zombie: while it is there, its number and its session's belong to nobody else.
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert found is not None, "without WNOHANG waitid waits"
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


class SpawnStarter(AgentStarter):
    """Ranks started by torch.multiprocessing."""

    option: ClassVar[str] = "--spawn"


class TorchrunStarter(AgentStarter):
    """Ranks started by torch's elastic agent, whose own store is their rendezvous."""

    option: ClassVar[str] = "--torchrun"

    def environment(self, environment: Mapping[str, str], node_ranks: NodeRanks) -> dict[str, str]:
        """On one machine the agent chooses address and port."""
        ours = {"MASTER_ADDR", "MASTER_PORT"} if node_ranks.num_nodes == 1 else set()
        return {name: value for name, value in environment.items() if name not in ours}


class TorchLauncher(Supervisor):
    """Ranks that torch starts, in new processes for every trial."""

    @classmethod
    def fitness(cls) -> Fitness:
        """Second to `local` wherever torch is installed."""
        if importlib.util.find_spec("torch") is None:
            return Fitness(score=0, reason="torch is not installed")
        return Fitness(score=1, reason=f"{cls.name} starts new processes, imports included, for every trial")


class SpawnLauncher(TorchLauncher):
    """Ranks started by torch.multiprocessing."""

    name: ClassVar[str] = "spawn"
    starter_class: ClassVar[type[Starter]] = SpawnStarter


class TorchrunLauncher(TorchLauncher):
    """Ranks started by torch's elastic agent, on one machine or several."""

    name: ClassVar[str] = "torchrun"
    starter_class: ClassVar[type[Starter]] = TorchrunStarter
    spans_hosts: ClassVar[bool] = True
    restarts_ranks: ClassVar[bool] = True
