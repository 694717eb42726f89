"""`python -m papergen.execution.launchers.slurm.job FOLDER`: what runs on each node of a SLURM job for an array task.

The first node watches over the trial as on a single machine, and its word lies in files; the others follow it. A job
that SLURM starts again begins with an empty attempt and the scratch that the earlier one left; one that it ends
(SIGTERM: preemption, or `--signal=TERM@120` before the time limit) has the trial save its state there first. Where the
earlier attempt still lives, on a node that SLURM has lost sight of, it sees that it is no longer the trial's, and ends.
"""

from __future__ import annotations

import os
import platform
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, Self

from papergen.core.errors import MachineError, PapergenError
from papergen.execution.devices import cpu_model, find_gpus, memory_gib, num_cores
from papergen.execution.launcher import Ended, Event, Job
from papergen.execution.launchers.local import ForkServerStarter, LocalLauncher
from papergen.execution.launchers.slurm import client
from papergen.execution.launchers.slurm.files import TaskFiles
from papergen.execution.multihost.follower import Follower, join
from papergen.execution.multihost.network import Endpoint, interface_environment
from papergen.execution.multihost.nodes import NodeLine, Nodes
from papergen.execution.settings import RunSettings
from papergen.execution.supervision.rank_server import Message
from papergen.execution.supervision.running import spec_of
from papergen.execution.worker.lease import LOST, Lease
from papergen.execution.worker.spec import SAVE_VARIABLE, RankSpec
from papergen.experiment.code_guard import changed_files, refusal
from papergen.experiment.registry import load_kind
from papergen.store.failures import Failure, FailureKind
from papergen.store.records import utc
from papergen.store.runs import Run

JOIN_S = 300.0
SAVE_S = 20
"""For a trial to save its state before SLURM, which waits for 30 s where nobody changed it (KillWait), kills it."""
MAX_RESTARTS = 3
"""So often a job that loses a node is started again: the fault may be its own."""
GRACE_S = 0.5
"""Between SIGTERM and SIGKILL for the ranks of a failed trial: here SIGTERM only asks them to save."""
PREEMPTION_LOOK_S = 0.5
"""Between two looks at whether SLURM wants the node back."""
SETTLE_S = 1.5
"""For an earlier attempt that still lives to see that it is not the trial's any more."""
TERMINATED = 128 + signal.SIGTERM
"""Exit status of a process that SIGTERM ended, as shells have it."""
NUM_PORTS = 8
"""Ports that the first node tries; the others know which."""


class Terminated(BaseException):
    """SLURM wants the job to end. No Exception: nothing that waits or reports may catch it on its way out."""


class PreemptionSignal:
    """SLURM's SIGTERM: the trial gets `SAVE_S` to save its state, unless it is cancelled or does not run yet."""

    def __init__(self, files: TaskFiles) -> None:
        self._files = files
        self.has_come = False
        self.may_save = False
        """Whether the trial runs, and can be asked."""

    def listen(self) -> None:
        """Hear SIGTERM from now on."""
        signal.signal(signal.SIGTERM, self._hear)
        signal.signal(signal.SIGALRM, _terminated)

    def _hear(self, *_: object) -> None:
        # The second SIGTERM is scancel's or the end of the grace time: no more waiting.
        if self.has_come or not self.may_save or self._files.cancelled_file.exists():
            raise Terminated
        self.has_come = True
        signal.alarm(SAVE_S)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One start of a task by SLURM, as one of its nodes sees it."""

    files: TaskFiles
    job: Job
    settings: RunSettings
    node: int
    num_nodes: int
    restarts: int
    """How often SLURM has started the task again."""
    lease: Lease
    preemption: PreemptionSignal

    @classmethod
    def of_task(cls, files: TaskFiles) -> Self:
        """By what SLURM tells this process in its environment."""
        job, settings = files.read()
        timeouts = replace(settings.timeouts, grace_s=min(settings.timeouts.grace_s, GRACE_S))
        return cls(
            files=files,
            job=job,
            # One trial, on the whole of this task's allocation.
            settings=settings.model_copy(update={"jobs": 1, "max_restarts": 0, "timeouts": timeouts}),
            node=int(os.environ.get("SLURM_PROCID", "0")),
            num_nodes=int(os.environ.get("SLURM_NTASKS", "1")),
            restarts=_num_restarts(),
            lease=Lease(f"{os.environ['SLURM_JOB_ID']}.{_num_restarts()}", files.lease_file),
            preemption=PreemptionSignal(files),
        )

    def run(self) -> int:
        """Be this node of the task; the exit status."""
        os.environ[SAVE_VARIABLE] = "1"
        self.lease.to_environment()
        try:
            self.preemption.listen()
            if self.node == 0:
                return self._lead()
            self._follow()
        except Terminated:
            return TERMINATED
        return 0

    def _lead(self) -> int:
        self.lease.take()
        if self.restarts:
            # The attempt before may live on where SLURM lost sight of it: it looks for its lease twice a second.
            time.sleep(SETTLE_S)
        Run(self.job.folder).clear()
        if self.restarts:
            self._note(f"started again by SLURM (restart {self.restarts}), from what the trial left in scratch")
        began = time.time()
        try:
            ended = self._run_trial()
        except PapergenError as error:
            kind = FailureKind.MACHINE if isinstance(error, MachineError) else FailureKind.REFUSED
            ended = Ended(
                job=self.job,
                failure=Failure(kind=kind, rank=None, cause=str(error)),
                machine={},
                started=utc(began),
                ended=utc(time.time()),
                duration_s=time.time() - began,
            )
        if not self.lease.is_held():
            sys.stderr.write(f"{LOST}\n")  # to the task's log: nothing else is this attempt's any more
            return 1
        if ended.failure is not None and self._goes_on(ended.failure):
            return TERMINATED
        self.files.write_end(replace(ended, machine={**_here(), **ended.machine}))
        return 0 if ended.failure is None else 1

    def _run_trial(self) -> Ended:
        """PapergenError where it cannot begin here, or is not this attempt's any more."""
        self._check_code()
        nodes = None
        if self.num_nodes > 1:
            nodes = Nodes(_listen(), num_nodes=self.num_nodes, trials=self._plan)
        with LocalLauncher(self.settings, nodes=nodes) as launcher:
            if nodes is not None:
                launcher.gather(JOIN_S)
            self._note(f"runs on {', '.join(launcher.hosts)} (SLURM job {_task()})")
            launcher.submit(self.job)
            return self._watch(launcher)

    def _check_code(self) -> None:
        """PapergenError when files were edited while the job waited, perhaps for days: not to be run as what it was."""
        if not self.job.trial.parts.get("code"):
            return
        if files := changed_files(self.job.trial, load_kind(self.job.kind_file), self.job.project):
            raise PapergenError(refusal(files))

    def _watch(self, launcher: LocalLauncher) -> Ended:
        self.preemption.may_save, is_asked = True, False
        while True:
            told = launcher.wait(timeout_s=PREEMPTION_LOOK_S)
            if not self.lease.is_held():
                raise PapergenError(LOST)
            for item in told:
                if isinstance(item, Event):
                    self.files.tell(item.kind, item.data)
                else:
                    return item
            if self.preemption.has_come and not is_asked:
                is_asked = True
                launcher.ask_to_save()

    def _goes_on(self, failure: Failure) -> bool:
        """Whether this is no end of the trial: SLURM is asked here to start the job again."""
        if failure.kind is FailureKind.HOST_LOST:  # SLURM itself notices it after minutes
            if self.restarts >= MAX_RESTARTS or not client.requeue(_task()):
                return False
            self._note(f"{failure.cause}; SLURM starts the job again")
        elif self.preemption.has_come:
            client.requeue(_task())
            self._note(f"SLURM wants the node back: {failure.cause}")
        else:
            return False
        return True

    def _follow(self) -> None:
        address = client.head_address()
        line, _ = join(
            [Endpoint(address, port) for port in _ports()],
            node=self.node,
            num_nodes=self.num_nodes,
            trials=self._plan,
            timeout_s=JOIN_S,
        )
        self.preemption.may_save = True  # as the first node asks, which hears it too
        Follower(line, ForkServerStarter, lambda message, server: self._spec(line, message, server)).serve()

    def _spec(self, line: NodeLine, message: Message, server: str) -> RankSpec:
        gpus = [gpu.name_for_cuda for gpu in find_gpus()] if self.settings.device == "cuda" else []
        num_ranks = message["node_ranks"]["per_node"]
        if self.settings.device == "cuda" and len(gpus) < num_ranks:
            raise PapergenError(f"SLURM gave this node {len(gpus)} GPUs, the trial needs {num_ranks}.")
        rendezvous = {**message["environment"], **interface_environment(line.socket.getsockname()[0])}
        name = message["job"]
        return spec_of(self.job, self.settings, name, gpus=gpus[:num_ranks], address=server, rendezvous=rendezvous)

    @property
    def _plan(self) -> Mapping[str, str]:
        return {self.job.trial.label: self.job.trial.digest}

    def _note(self, text: str) -> None:
        self.files.tell("note", {"text": text})


def main() -> None:
    """Run the task of this process's place in the array."""
    files = TaskFiles(Path(sys.argv[1]), int(os.environ["SLURM_ARRAY_TASK_ID"]))
    if files.ended_file.exists():
        return  # SLURM starts again what is over; its end may be taken in already, and another job run the trial
    sys.exit(Attempt.of_task(files).run())


def _listen() -> socket.socket:
    for port in _ports():
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
        except OSError:
            listener.close()
            continue
        listener.listen(64)
        return listener
    raise PapergenError(f"the ports {', '.join(map(str, _ports()))} of {socket.gethostname()} are all taken.")


def _ports() -> list[int]:
    """The same on every node, which have no other way to agree; others for every job and restart.

    Below the ports of outgoing connections, and far apart for jobs of neighbouring numbers that may share a node. A
    restart has others too: the ports of an attempt that still lives are taken.
    """
    job = int(os.environ["SLURM_JOB_ID"])
    return [20_000 + (job * 61 + _num_restarts() * 17 + index * 1009) % 12_000 for index in range(NUM_PORTS)]


def _num_restarts() -> int:
    return int(os.environ.get("SLURM_RESTART_COUNT", "0"))


def _task() -> str:
    return f"{os.environ.get('SLURM_ARRAY_JOB_ID', '?')}_{os.environ['SLURM_ARRAY_TASK_ID']}"


def _here() -> dict[str, object]:
    """What the record says of the machine: this one, not the one that waits for the result."""
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu": cpu_model(),
        "num_cores": num_cores(),
        "memory_gib": round(memory_gib(), 1),
    }


def _terminated(*_: object) -> NoReturn:
    raise Terminated


if __name__ == "__main__":
    main()
