"""`python -m papergen.launch.inside FOLDER`: what runs on each node of a SLURM job, for the array's task.

The first node watches over the trial as on a single machine, and its word lies in files; the others follow it. A job
that SLURM starts again begins with an empty attempt and the scratch that the earlier one left.
"""

from __future__ import annotations

import os
import platform
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from papergen.errors import PapergenError
from papergen.launch import slurm_words
from papergen.launch.base import Ended, Event, Job, Limits
from papergen.launch.detect import cpu_model, find_gpus, memory_gib, num_cores
from papergen.launch.follower import Follower, join
from papergen.launch.hub import Message
from papergen.launch.local import LocalLauncher, WarmStarter
from papergen.launch.network import Endpoint, interface_environment
from papergen.launch.nodes import NodeLine, Nodes
from papergen.launch.running import clear, spec_of, utc
from papergen.launch.tasks import TaskFiles
from papergen.records import Failure
from papergen.worker.spec import Spec

JOIN_S = 300.0
NUM_PORTS = 8
"""Ports that the first node tries; the others know which."""


class Terminated(BaseException):
    """SLURM wants the job to end."""


def main() -> None:
    """Be the first node of the job's task, or follow it."""
    signal.signal(signal.SIGTERM, _terminated)
    files = TaskFiles(Path(sys.argv[1]), int(os.environ["SLURM_ARRAY_TASK_ID"]))
    node, num_nodes = int(os.environ.get("SLURM_PROCID", "0")), int(os.environ.get("SLURM_NTASKS", "1"))
    job, limits = files.read()
    try:
        if node == 0:
            sys.exit(_lead(files, job, limits, num_nodes))
        _follow(job, node, num_nodes)
    except Terminated:
        sys.exit(143)


def _lead(files: TaskFiles, job: Job, limits: Limits, num_nodes: int) -> int:
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    clear(job.folder)
    if restarts:
        files.tell(
            "note", {"text": f"started again by SLURM (restart {restarts}), from what the trial left in scratch"}
        )
    began = time.time()
    try:
        nodes = None
        if num_nodes > 1:
            nodes = Nodes(_listen(), num_nodes=num_nodes, trials={job.trial.label: job.trial.digest})
        with LocalLauncher(limits=limits, nodes=nodes) as launcher:
            if nodes is not None:
                launcher.gather(JOIN_S)
            files.tell("note", {"text": f"runs on {', '.join(launcher.hosts)} (SLURM job {_task()})"})
            launcher.submit(job)
            ended = _watch(launcher, files)
    except PapergenError as error:
        failure = Failure(rank=None, cause=str(error))
        ended = Ended(
            job=job,
            failure=failure,
            machine={},
            started=utc(began),
            ended=utc(time.time()),
            duration_s=time.time() - began,
        )
    files.write_end(replace(ended, machine={**_here(), **ended.machine}))
    return 0 if ended.failure is None else 1


def _watch(launcher: LocalLauncher, files: TaskFiles) -> Ended:
    while True:
        for item in launcher.wait():
            if isinstance(item, Event):
                files.tell(item.kind, item.data)
            else:
                return item


def _follow(job: Job, node: int, num_nodes: int) -> None:
    address = slurm_words.head_address()
    line, _ = join(
        [Endpoint(address, port) for port in _ports()],
        node=node,
        num_nodes=num_nodes,
        trials={job.trial.label: job.trial.digest},
        timeout_s=JOIN_S,
    )
    Follower(line, WarmStarter, lambda message, hub: _spec(job, line, message, hub)).serve()


def _spec(job: Job, line: NodeLine, message: Message, hub: str) -> Spec:
    gpus = [gpu.name_for_cuda for gpu in find_gpus()] if job.device == "cuda" else []
    if job.device == "cuda" and len(gpus) < message["share"]["per_node"]:
        raise PapergenError(f"SLURM gave this node {len(gpus)} GPUs, the trial needs {message['share']['per_node']}.")
    meeting = {**message["environment"], **interface_environment(line.socket.getsockname()[0])}
    return spec_of(job, message["job"], gpus[: message["share"]["per_node"]], hub, meeting)


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
    """The same on every node, others for every job and restart."""
    job, task = int(os.environ["SLURM_JOB_ID"]), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    return [20_000 + (job * 61 + task * 17 + index * 1009) % 12_000 for index in range(NUM_PORTS)]


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
