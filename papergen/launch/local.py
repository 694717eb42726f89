"""The default launcher: a warm worker that forks the ranks, so that a trial costs milliseconds instead of imports."""

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import papergen
from papergen.launch.base import Fitness
from papergen.launch.hub import Line
from papergen.launch.running import Running
from papergen.launch.supervisor import Supervisor
from papergen.launch.watch import ended_by
from papergen.worker.system import signal_group

CLOSE_S = 2.0
"""For the warm worker to end its ranks and itself."""


@dataclass
class WarmWorker:
    """The process that forks, and the line to it."""

    process: subprocess.Popen[bytes]
    line: Line
    log: Path


class LocalLauncher(Supervisor):
    """Ranks on this machine, forked from one warm worker; the parent never imports torch."""

    name: ClassVar[str] = "local"

    @classmethod
    def fitness(cls) -> Fitness:
        """The best wherever processes can be forked and watched as Linux lets them."""
        if not sys.platform.startswith("linux"):
            return Fitness(score=0, reason=f"the local launcher needs Linux, this is {sys.platform}")
        return Fitness(score=2, reason="a warm worker forks the ranks of every trial, so imports are paid once")

    _worker: WarmWorker | None = None
    _num_workers = 0

    def _start(self, running: Running) -> None:
        worker = self._worker or self._new_worker()
        request = {
            "start": running.spec.to_json(),
            "world_size": running.job.trial.num_ranks,
            "preload": running.job.modules,
        }
        with contextlib.suppress(OSError):  # a worker that just died is noticed when its line is read
            worker.line.socket.setblocking(True)
            worker.line.socket.sendall(json.dumps(request).encode() + b"\n")
        worker.line.socket.setblocking(False)

    def _ready(self, source: Any) -> None:
        assert isinstance(source, WarmWorker), f"{source!r} was not registered here"
        messages, is_gone = source.line.read()
        for message in messages:
            if "started" in message:
                self._started(message["started"], dict(enumerate(message["pids"])))
            else:
                self._exited(message["exited"], message["rank"], message["status"])
        if is_gone:
            self._lost(source)

    def _new_worker(self) -> WarmWorker:
        ours, theirs = socket.socketpair()
        self._num_workers += 1
        log = self._hub.folder / f"worker{self._num_workers}.log"
        with log.open("wb") as output, theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "papergen.worker", "--zygote"],
                stdin=theirs.fileno(),
                stdout=output,
                stderr=output,
                env=worker_environment(),
                cwd="/",
                start_new_session=True,  # no terminal: Ctrl-C is the parent's, and nothing can prompt
            )
        self._worker = WarmWorker(process, Line(ours), log)
        self._selector.register(ours, selectors.EVENT_READ, self._worker)
        return self._worker

    def _lost(self, worker: WarmWorker) -> None:
        """The warm worker died: so did its ranks. The next trial gets a new one."""
        self._forget(worker)
        status = worker.process.wait()
        told = worker.log.read_text(errors="replace").strip().splitlines()[-1:]
        cause = f"the process that starts the ranks was lost: {ended_by(status)}. {' '.join(told)}".strip()
        for running in list(self._running.values()):
            self._signal(running, signal.SIGKILL)
            running.watch.fail(0.0, None, cause)
            for state in running.watch.ranks:
                state.has_exited = True

    def _forget(self, worker: WarmWorker) -> None:
        self._selector.unregister(worker.line.socket)
        worker.line.socket.close()
        self._worker = None

    def _close(self) -> None:
        worker = self._worker
        if worker is None:
            return
        self._forget(worker)  # it reads the end of its input, kills the groups of all ranks and goes
        try:
            worker.process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            signal_group(worker.process.pid, signal.SIGKILL)
            worker.process.wait()


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
