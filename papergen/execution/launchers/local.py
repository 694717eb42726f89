"""The default launcher: a fork server that forks the ranks, so that a trial costs milliseconds instead of imports."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import papergen
from papergen.execution.launcher import Fitness
from papergen.execution.supervision.rank_server import Line, RankServer
from papergen.execution.supervision.starter import RankListener, Starter
from papergen.execution.supervision.supervisor import Supervisor
from papergen.execution.supervision.watch import ended_by
from papergen.execution.worker.spec import NodeRanks, RankSpec
from papergen.execution.worker.system import signal_group
from papergen.store.failures import FailureKind

CLOSE_S = 2.0
"""For the fork server to end its ranks and itself."""


@dataclass
class ForkServerProcess:
    """The process that forks, and the line to it."""

    process: subprocess.Popen[bytes]
    line: Line
    log: Path


class ForkServerStarter(Starter):
    """Ranks forked from one fork server."""

    def __init__(self, listener: RankListener, server: RankServer, selector: selectors.BaseSelector) -> None:
        super().__init__(listener, server, selector)
        self._fork_server: ForkServerProcess | None = None
        self._num_fork_servers = 0
        self._jobs: set[str] = set()

    def start(self, spec: RankSpec, node_ranks: NodeRanks, modules: Sequence[str]) -> None:
        """Ask the fork server to fork them."""
        fork_server = self._fork_server or self._new_fork_server()
        self._jobs.add(spec.job)
        request = {"start": spec.to_json(), "node_ranks": node_ranks.to_json(), "preload": list(modules)}
        with contextlib.suppress(OSError):  # a server that just died is noticed when its line is read
            fork_server.line.socket.setblocking(True)
            fork_server.line.socket.sendall(json.dumps(request).encode() + b"\n")
        fork_server.line.socket.setblocking(False)

    def ready(self, source: Any) -> None:
        """The fork server has something to say."""
        assert isinstance(source, ForkServerProcess), f"{source!r} was not registered here"
        messages, is_gone = source.line.read()
        for message in messages:
            if "started" in message:
                self.listener.started(message["started"], dict(message["pids"]))
            else:
                self.listener.exited(message["exited"], message["rank"], message["status"])
        if is_gone:
            self._lost(source)

    def over(self, job: str) -> None:
        """Nothing was taken for one trial."""
        self._jobs.discard(job)

    def close(self) -> None:
        """Let the fork server end its ranks and itself."""
        fork_server = self._fork_server
        if fork_server is None:
            return
        self._forget(fork_server)  # it reads the end of its input, kills the groups of all ranks and goes
        try:
            fork_server.process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            signal_group(fork_server.process.pid, signal.SIGKILL)
            fork_server.process.wait()

    def _new_fork_server(self) -> ForkServerProcess:
        ours, theirs = socket.socketpair()
        self._num_fork_servers += 1
        log = self.server.folder / f"forkserver{self._num_fork_servers}.log"
        # -P: the working folder must not come before the standard library in the search for modules.
        with log.open("wb") as output, theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "papergen.execution.worker", "--forkserver", str(os.getpid())],
                stdin=theirs.fileno(),
                stdout=output,
                stderr=output,
                env=worker_environment(),
                cwd="/",
                start_new_session=True,  # no terminal: Ctrl-C is the parent's, and nothing can prompt
            )
        self._fork_server = ForkServerProcess(process, Line(ours), log)
        self.selector.register(ours, selectors.EVENT_READ, self._fork_server)
        return self._fork_server

    def _lost(self, fork_server: ForkServerProcess) -> None:
        """The fork server died: so did its ranks. The next trial gets a new one."""
        self._forget(fork_server)
        status = fork_server.process.wait()
        told = fork_server.log.read_text(errors="replace").strip().splitlines()[-1:]
        cause = f"the process that starts the ranks was lost: {ended_by(status)}. {' '.join(told)}".strip()
        for job in list(self._jobs):
            self.listener.lost(job, FailureKind.START_FAILED, cause, traceback="", with_ranks=True)

    def _forget(self, fork_server: ForkServerProcess) -> None:
        self.selector.unregister(fork_server.line.socket)
        fork_server.line.socket.close()
        self._fork_server = None


class LocalLauncher(Supervisor):
    """Ranks on this machine, forked from one fork server; the parent never imports torch."""

    name: ClassVar[str] = "local"
    starter_class: ClassVar[type[Starter]] = ForkServerStarter

    @classmethod
    def fitness(cls) -> Fitness:
        """The best wherever processes can be forked and watched as Linux lets them."""
        if not sys.platform.startswith("linux"):
            return Fitness(score=0, reason=f"the local launcher needs Linux, this is {sys.platform}")
        reason = "a fork server forks the ranks of every trial, so imports are paid once"
        if job := os.environ.get("SLURM_JOB_ID"):
            reason = f"inside SLURM job {job}, whose allocation is used: no job is submitted from within a job"
        return Fitness(score=2, reason=reason)


def worker_environment() -> dict[str, str]:
    """The environment of a process that runs ranks: ours, with what must be set before its first import."""
    environment = dict(os.environ)
    root = str(Path(papergen.__file__).resolve().parent.parent)
    if root not in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        # A checkout that is not installed; site-packages itself must not come before the standard library.
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    return {
        **environment,
        "PYTHONUNBUFFERED": "1",
        # OpenMP threads that spin while they wait make a shared machine many times slower; read when torch is loaded.
        "OMP_WAIT_POLICY": environment.get("OMP_WAIT_POLICY", "PASSIVE"),
        "GOMP_SPINCOUNT": environment.get("GOMP_SPINCOUNT", "0"),
        "PYTHONHASHSEED": environment.get("PYTHONHASHSEED", "0"),  # no set order may reach a number
        "TOKENIZERS_PARALLELISM": "false",
        "OPENBLAS_NUM_THREADS": "1",  # its threads would start at import, before the fork
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # asking whether there is a GPU must not start CUDA before the fork
    }
