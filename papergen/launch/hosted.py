"""Launchers that leave the start of the ranks to torch: one host process per trial, the same watch over the ranks."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import selectors
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from papergen.files import write_json
from papergen.launch.base import Fitness
from papergen.launch.hub import Message
from papergen.launch.local import worker_environment
from papergen.launch.running import Running, tail
from papergen.launch.supervisor import Supervisor
from papergen.launch.watch import ended_by
from papergen.worker.system import signal_group


@dataclass(frozen=True)
class Host:
    """The process that starts a trial's ranks."""

    job: str
    process: subprocess.Popen[bytes]
    handle: int
    log: Path


@dataclass(frozen=True)
class RankProcess:
    """A rank, which is a child of the host."""

    job: str
    rank: int
    handle: int


class HostedLauncher(Supervisor):
    """Ranks that torch starts. They pay for their imports in every trial; `local` does not."""

    option: ClassVar[str]
    """What `python -m papergen.worker` calls this way to start ranks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._hosts: dict[str, Host] = {}
        self._handles: set[int] = set()

    @classmethod
    def fitness(cls) -> Fitness:
        """Second to `local` wherever torch is installed."""
        if importlib.util.find_spec("torch") is None:
            return Fitness(score=0, reason="torch is not installed")
        return Fitness(score=1, reason=f"{cls.name} starts new processes, imports included, for every trial")

    def _start(self, running: Running) -> None:
        name = running.spec.job
        spec_path = self._hub.folder / f"{name}.json"
        write_json(spec_path, running.spec.to_json())
        log = Path(running.spec.folder) / "launcher.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "papergen.worker", self.option, spec_path, str(len(running.watch.ranks))],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=worker_environment(),
                cwd="/",
                start_new_session=True,
            )
        host = Host(name, process, os.pidfd_open(process.pid), log)
        self._hosts[name] = host
        self._attend(host.handle, host)

    def _ready(self, source: Any) -> None:
        self._leave(source.handle)
        if isinstance(source, RankProcess):
            self._exited(source.job, source.rank, None)
        else:
            assert isinstance(source, Host), f"{source!r} was not registered here"
            self._host_ended(source)

    def _heard_of_host(self, running: Running, message: Message) -> None:
        if message["event"] == "rank_exited":
            self._exited(running.spec.job, message["failed"], message["status"])

    def _said_hello(self, running: Running, rank: int, pid: int) -> None:
        self._started(running.spec.job, {rank: pid})
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            self._exited(running.spec.job, rank, None)
        else:
            self._attend(handle, RankProcess(running.spec.job, rank, handle))

    def _host_ended(self, host: Host) -> None:
        status = host.process.wait()
        running = self._running.get(host.job)
        if running is None:
            return
        if not running.watch.is_done and not running.watch.faults:
            cause = f"{self.name}: {ended_by(status)}"
            running.watch.fail(running.began_at, None, cause, traceback="\n".join(tail(host.log)))
        for state in running.watch.ranks:
            if not state.pid:
                state.has_exited = True

    def _over(self, running: Running) -> None:
        host = self._hosts.pop(running.spec.job, None)
        if host is not None:
            signal_group(host.process.pid, signal.SIGKILL)
            host.process.wait()
            self._leave(host.handle)

    def _close(self) -> None:
        for running in self._running.values():
            self._over(running)
        for handle in list(self._handles):
            self._leave(handle)

    def _attend(self, handle: int, source: Host | RankProcess) -> None:
        self._handles.add(handle)
        self._selector.register(handle, selectors.EVENT_READ, source)

    def _leave(self, handle: int) -> None:
        if handle in self._handles:
            self._handles.remove(handle)
            self._selector.unregister(handle)
            with contextlib.suppress(OSError):
                os.close(handle)


class SpawnLauncher(HostedLauncher):
    """Ranks started by torch.multiprocessing."""

    name: ClassVar[str] = "spawn"
    option: ClassVar[str] = "--spawn"


class TorchrunLauncher(HostedLauncher):
    """Ranks started by torch's elastic agent, whose own store is their rendezvous."""

    name: ClassVar[str] = "torchrun"
    option: ClassVar[str] = "--torchrun"

    def _start(self, running: Running) -> None:
        own = {
            name: value
            for name, value in running.spec.environment.items()
            if name not in {"MASTER_ADDR", "MASTER_PORT"}
        }
        running.spec = replace(running.spec, environment=own)
        super()._start(running)
