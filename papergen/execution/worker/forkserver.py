"""The fork server: imports the heavy libraries once and forks one process per rank, in milliseconds instead of seconds.

It has one thread and never touches CUDA, so that a fork is safe: a child has the forking thread alone, and locks that
others held stay locked for ever; a CUDA context does not survive a fork. It and its ranks end when its launcher does.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from papergen.execution.worker.rank import run_rank
from papergen.execution.worker.spec import JOB_VARIABLE, NodeRanks, RankId, RankSpec
from papergen.execution.worker.system import (
    adopt_orphans,
    descendants,
    die_with_parent,
    has_variable,
    lead_own_group,
    parents,
    redirect_output,
    signal_group,
    signal_process,
)
from papergen.experiment import shared_models
from papergen.store.runs import Run


@dataclass(frozen=True)
class Child:
    """A rank that this process has forked."""

    job: str
    rank: int
    pid: int


class ForkServer:
    """Serves requests on `control`, one JSON object per line.

    In: {"start": {...RankSpec}, "node_ranks": {...NodeRanks}, "preload": ["torch"]}.
    Out: {"started": job, "pids": [[rank, pid], ...]}, then {"exited": job, "rank": 0, "status": 0}; a negative status
    is a signal.
    """

    def __init__(self, control: socket.socket, parent: int) -> None:
        self._control = control
        self._buffer = b""
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._children: dict[int, Child] = {}
        """By descriptor of the process."""
        self._parent = parent

    def serve(self) -> NoReturn:
        """Answer until the launcher is gone."""
        signal.signal(signal.SIGTERM, self._terminated)
        die_with_parent(self._parent)
        adopt_orphans()
        while True:
            for handle, _ in self._poll.poll():
                if handle in self._children:
                    self._reap(handle)
                elif not self._receive():
                    self.end()

    def _terminated(self, *_: object) -> None:
        """The kernel's word that the launcher has ended. SLURM sends SIGTERM to all processes: the launcher decides."""
        if os.getppid() != self._parent:
            self.end()

    def end(self) -> NoReturn:
        """End all ranks with what they started, then this process."""
        for pid in descendants({os.getpid()}):  # torchrun puts its workers into sessions of their own
            signal_process(pid, signal.SIGKILL)
        for child in self._children.values():
            signal_group(child.pid, signal.SIGKILL)
        os._exit(0)

    def _receive(self) -> bool:
        data = self._control.recv(65536)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            preload(request["preload"])
            spec = RankSpec.from_json(request["start"])
            hold_models(spec)
            self._start(spec, NodeRanks(**request["node_ranks"]))
        return bool(data)

    def _start(self, spec: RankSpec, node_ranks: NodeRanks) -> None:
        # While there are ranks the launcher's end must leave time to end their whole groups; SIGKILL would not.
        die_with_parent(self._parent, signal.SIGTERM)
        pids = []
        parent = os.getpid()
        for rank_id in node_ranks.rank_ids():
            pid = os.fork()
            if pid == 0:
                self._become(spec, rank_id, parent)
            # The child does the same: whoever comes first, the group exists before either goes on.
            with contextlib.suppress(OSError):
                os.setpgid(pid, pid)
            # A descriptor of the process can be polled, and means this process even when its number is used again.
            handle = os.pidfd_open(pid)
            self._children[handle] = Child(spec.job, rank_id.rank, pid)
            self._poll.register(handle, select.POLLIN)
            pids.append([rank_id.rank, pid])
        self._reply({"started": spec.job, "pids": pids})

    def _become(self, spec: RankSpec, rank_id: RankId, parent: int) -> NoReturn:
        """Be a rank; never returns into the loop above."""
        try:
            die_with_parent(parent)
            lead_own_group()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._control.close()
            for handle in self._children:
                os.close(handle)
            redirect_output(os.fspath(Run(Path(spec.folder)).rank_log(rank_id.rank)))
            run_rank(spec, rank_id)
        except BaseException:  # noqa: BLE001  nothing may unwind into the server's loop
            traceback.print_exc()
        finally:
            os._exit(1)

    def _reap(self, handle: int) -> None:
        child = self._children.pop(handle)
        self._poll.unregister(handle)
        os.close(handle)
        # The group is ended while its leader is a zombie: its number cannot belong to anybody else yet.
        signal_group(child.pid, signal.SIGKILL)
        self._end_orphans(child)
        _, status = os.waitpid(child.pid, 0)
        self._reply({"exited": child.job, "rank": child.rank, "status": os.waitstatus_to_exitcode(status)})
        if not self._children:
            die_with_parent(self._parent)

    def _end_orphans(self, ended: Child) -> None:
        """End what a rank started and left behind in another group or session: it is a child of this process now."""
        of = parents()
        ranks = {child.pid for child in self._children.values()}
        left = {pid for pid, parent in of.items() if parent == os.getpid() and pid not in {ended.pid, *ranks}}
        orphans = {pid for pid in left if not ranks or has_variable(pid, JOB_VARIABLE, ended.job)}
        for pid in orphans | descendants(orphans, of):
            signal_process(pid, signal.SIGKILL)
        for pid in orphans:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def _reply(self, message: dict[str, Any]) -> None:
        try:
            self._control.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.end()


def preload(names: Sequence[str]) -> None:
    """Import these modules before the fork, once. One that cannot be imported is left to the rank, which shows why."""
    missing = [name for name in names if name not in sys.modules]
    for name in missing:
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001
            traceback.print_exc()
    if missing:
        gc.collect()
        # The collector of a child need not touch what was here before the fork: writing its marks would copy the pages.
        gc.freeze()


def hold_models(spec: RankSpec) -> None:
    """Have the trial's models in memory; what goes wrong is left to the rank, which shows why."""
    try:
        shared_models.hold([(loader, path, dtype) for loader, path, dtype in spec.models])
    except Exception:  # noqa: BLE001
        traceback.print_exc()


def main(parent: int) -> NoReturn:
    """Serve on standard input, which is a socket."""
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    ForkServer(control, parent).serve()
