"""The one place that speaks SLURM: settings become sbatch's words, squeue's and scontrol's answers become ours.

Neither slurmdbd nor sacct is asked: many clusters have none, and what ended a trial stands in the trial's own files.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from papergen.errors import MachineError, PapergenError
from papergen.launch.base import Job
from papergen.launch.local import worker_environment
from papergen.launch.settings import LaunchSettings

ASK_LIMIT_S = 20.0
PING_LIMIT_S = 5.0
TRANSIENT = re.compile(r"unable to contact|socket timed out|temporarily|try again|connection refused", re.IGNORECASE)
"""What a busy or restarting controller says; the same request may succeed a little later."""

HELD = re.compile(r"held|launch.?failed", re.IGNORECASE)
"""Reasons under which a pending job never starts by itself."""


class SlurmBusyError(MachineError):
    """The controller does not answer now."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a trial takes of the cluster; trials of one shape form one job array."""

    num_nodes: int
    ranks_per_node: int
    device: str
    minutes: int | None


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """How SLURM stands with a task: RUNNING, PENDING and so on, and the reason it gives."""

    state: str
    reason: str


def why_not() -> str:
    """Why SLURM cannot be used from here; "" when it can."""
    if shutil.which("sbatch") is None:
        return "sbatch is not installed here"
    try:
        done = subprocess.run(
            ["scontrol", "ping"],
            capture_output=True,
            text=True,
            timeout=PING_LIMIT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "the SLURM controller does not answer"
    if done.returncode != 0 or " UP" not in done.stdout:
        return f"the SLURM controller does not answer ({_last(done.stdout + done.stderr)})"
    return ""


def shape_of(job: Job, settings: LaunchSettings) -> Shape:
    """What the trial takes; PapergenError when its ranks cannot be laid out as the settings say."""
    num_ranks = job.trial.num_ranks
    per_node = min(settings.ranks_per_node or num_ranks, num_ranks)
    if num_ranks % per_node:
        raise PapergenError(
            f"launch setting ranks_per_node = {per_node} does not divide the {num_ranks} ranks of {job.trial.label}.",
            hint="Every node must get as many ranks as the others.",
        )
    minutes = settings.time_minutes
    if minutes is None and job.time_limit_s is not None:
        minutes = math.ceil(job.time_limit_s / 60) + 5  # the trial's own limit comes first, and says where it stood
    return Shape(
        num_nodes=num_ranks // per_node,
        ranks_per_node=per_node,
        device=job.device,
        minutes=minutes,
    )


def submit(shape: Shape, settings: LaunchSettings, *, folder: Path, name: str, num_tasks: int) -> str:
    """Submit an array of `num_tasks` trials, described in `folder`; the job's number.

    SlurmBusyError when the controller does not answer now, MachineError with what SLURM said when it refuses.
    """
    cores = shape.ranks_per_node * settings.cpus_per_rank
    layout = [f"--ntasks={shape.num_nodes}", "--ntasks-per-node=1", f"--cpus-per-task={cores}"]
    command = [
        "sbatch",
        "--parsable",
        f"--job-name={name}",
        f"--array=0-{num_tasks - 1}",
        f"--nodes={shape.num_nodes}",
        *layout,
        f"--output={str(folder).replace('%', '%%')}/task%a.log",
        "--open-mode=append",
        "--requeue" if settings.requeue else "--no-requeue",
        *_resources(shape, settings),
        *settings.sbatch,
    ]
    done = _ask(command, stdin=_script(layout, settings, folder), environment=worker_environment())
    if done.returncode != 0:
        said = _last(done.stderr) or _last(done.stdout)
        if TRANSIENT.search(said):
            raise SlurmBusyError(f"sbatch: {said}")
        raise MachineError(
            f"sbatch refused: {said}",
            hint="Set what the cluster wants in launch.yaml (partition, account, time, gpu_type, sbatch), "
            "or by --launch KEY=VALUE.",
        )
    return done.stdout.strip().split(";")[0]


def states() -> Mapping[str, TaskState]:
    """Task ("12_3") -> state, of all of this user's tasks that are not over; SlurmBusyError when nobody answers."""
    done = _ask(["squeue", "--me", "--noheader", "--array", "--format=%i|%T|%r"])
    if done.returncode != 0:
        raise SlurmBusyError(f"squeue: {_last(done.stderr)}")
    found = {}
    for line in done.stdout.splitlines():
        task, state, reason = [*line.strip().split("|", 2), "", ""][:3]
        found[task] = TaskState(state=state, reason=reason)
    return found


def end_of(task: str) -> str:
    """Why a task that is over ended without a word of its own, in one line."""
    try:
        done = _ask(["scontrol", "--oneliner", "show", "job", task])
    except SlurmBusyError:
        done = None
    facts = dict(re.findall(r"(\w+)=(\S*)", done.stdout)) if done is not None and done.returncode == 0 else {}
    where = f" on {facts['NodeList']}" if facts.get("NodeList", "(null)") != "(null)" else ""
    match facts.get("JobState", ""):
        case "TIMEOUT":
            return (
                f"SLURM ended job {task} at its time limit ({facts.get('TimeLimit')}); "
                "ask for more: time in launch.yaml, or --launch time=8h"
            )
        case "OUT_OF_MEMORY":
            return f"SLURM job {task} ran out of memory{where}; ask for more: memory_per_rank in launch.yaml"
        case "NODE_FAIL" | "BOOT_FAIL":
            return f"SLURM job {task}: the node failed{where}"
        case "CANCELLED":
            return f"SLURM job {task} was cancelled"
        case "PREEMPTED":
            return f"SLURM job {task} was preempted and may not be started again (requeue: false)"
        case "":
            return f"SLURM job {task} is gone, and SLURM does not remember why"
        case state:
            code, _, signal_number = facts.get("ExitCode", "?:0").partition(":")
            how = f"signal {signal_number}" if signal_number != "0" else f"exit code {code}"
            return f"SLURM job {task}: {state} ({how}){where}"


def cancel(tasks: Sequence[str]) -> None:
    """Cancel tasks or whole jobs; those that are over already are no error."""
    if tasks:
        with contextlib.suppress(SlurmBusyError):
            _ask(["scancel", *tasks])


def head_address() -> str:
    """Inside a job: where the first of its nodes is reached."""
    nodes = _ask(["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]]).stdout.split()
    told = _ask(["scontrol", "--oneliner", "show", "node", nodes[0]]).stdout
    found = re.search(r"\bNodeAddr=(\S+)", told)
    return found.group(1) if found else nodes[0]


def _resources(shape: Shape, settings: LaunchSettings) -> list[str]:
    words = [
        f"--{name}={value}"
        for name, value in (
            ("partition", settings.partition),
            ("account", settings.account),
            ("qos", settings.qos),
            ("time", shape.minutes),
        )
        if value
    ]
    if settings.memory_per_rank:
        amount, unit = int(settings.memory_per_rank[:-1]), settings.memory_per_rank[-1]
        words.append(f"--mem={amount * shape.ranks_per_node}{unit}")
    if shape.device == "cuda":
        words.append(f"--gres=gpu:{settings.gpu_type + ':' if settings.gpu_type else ''}{shape.ranks_per_node}")
    return words


def _script(layout: Sequence[str], settings: LaunchSettings, folder: Path) -> str:
    """What sbatch runs: one process on each node. Some clusters pass no environment on, so ours stands in here."""
    ours = {name: value for name, value in worker_environment().items() if os.environ.get(name) != value}
    inside = [sys.executable, "-P", "-m", "papergen.launch.inside", str(folder)]
    # srun takes no --cpus-per-task over from sbatch since SLURM 22.05.
    start = ["srun", *layout, "--kill-on-bad-exit=1", "--export=ALL", *inside]
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(ours.items())]
    return "\n".join(["#!/bin/bash", *lines, *settings.setup, f"exec {shlex.join(start)}", ""])


def _ask(
    command: Sequence[str], *, stdin: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ASK_LIMIT_S,
            check=False,
            env=environment,
            start_new_session=True,  # Ctrl-C is ours to answer, not sbatch's
        )
    except subprocess.TimeoutExpired as error:
        raise SlurmBusyError(f"{command[0]} did not answer within {ASK_LIMIT_S:g} s") from error
    except OSError as error:
        raise MachineError(f"{command[0]}: {error.strerror}") from error


def _last(text: str) -> str:
    return " ".join(text.strip().splitlines()[-1:])
