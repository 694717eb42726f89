"""What SLURM is asked and told of jobs that exist, and what its answers mean: squeue, scontrol, scancel, sacct.

sacct is asked only for what the controller has forgotten: many clusters have no accounting, and what ended a trial
stands in the trial's own files.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from papergen.core.errors import MachineError
from papergen.store.failures import FailureKind

ASK_LIMIT_S = 20.0
PING_LIMIT_S = 5.0
TRANSIENT = re.compile(r"unable to contact|socket timed out|temporarily|try again|connection refused", re.IGNORECASE)
"""What a busy or restarting controller says; the same request may succeed a little later."""

NEVER = re.compile(
    r"held|launch.?failed|^Partition(Config|NodeLimit|TimeLimit)$|^BadConstraints$|^Invalid(Account|QOS)$",
    re.IGNORECASE,
)
"""Reasons under which a pending job never starts by itself: it is held, or asks for more than there is (squeue(1)).

Nodes that are down or drained are another reason, and pass.
"""

DEFAULT_MAX_ARRAY_SIZE = 1001
"""slurm.conf's MaxArraySize where nobody set it (slurm.conf(5))."""


class SlurmBusyError(MachineError):
    """The controller does not answer now."""


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """How SLURM stands with a task."""

    state: str
    """RUNNING, PENDING, COMPLETING and so on."""
    reason: str
    """Why it waits, in SLURM's word."""
    nodes: str = ""
    """Where it runs, in SLURM's short form: n[1-2]."""

    @property
    def is_waiting(self) -> bool:
        """Whether it has not begun, or begins anew."""
        return self.state in {"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING"}


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
        return f"the SLURM controller does not answer ({last_line(done.stdout + done.stderr)})"
    return ""


def states() -> Mapping[str, TaskState]:
    """Task ("12_3") -> state, of all of this user's tasks that are not over; SlurmBusyError when nobody answers."""
    done = ask(["squeue", "--me", "--noheader", "--array", "--format=%i|%T|%N|%r"])
    if done.returncode != 0:
        raise SlurmBusyError(f"squeue: {last_line(done.stderr)}")
    found = {}
    for line in done.stdout.splitlines():
        task, state, nodes, reason = [*line.strip().split("|", 3), "", "", ""][:4]
        found[task] = TaskState(state=state, reason=reason, nodes=nodes)
    return found


def end_of(task: str) -> tuple[FailureKind, str]:
    """Why a task that is over ended without a word of its own: the kind, and one line."""
    facts = _facts_of(task)
    where = f" on {facts['NodeList']}" if facts.get("NodeList", "(null)") not in {"(null)", "None assigned"} else ""
    name = f"SLURM job {task}"
    match facts.get("JobState", ""):
        case "TIMEOUT":
            cause = f"{name} ran longer than its time limit{where}; ask for more: time in launch.yaml"
            return FailureKind.TIME_LIMIT, cause
        case "OUT_OF_MEMORY":
            cause = f"{name} ran out of memory{where}; ask for more: memory_per_rank in launch.yaml"
            return FailureKind.MEMORY_LIMIT, cause
        case "NODE_FAIL" | "BOOT_FAIL":
            return FailureKind.HOST_LOST, f"{name}: the node failed{where}"
        case "CANCELLED":
            return FailureKind.CANCELLED, f"{name} was cancelled"
        case "PREEMPTED":
            cause = f"{name} was preempted and may not be started again (requeue: false)"
            return FailureKind.PREEMPTED, cause
        case "":
            return FailureKind.EXITED, f"{name} is gone, and SLURM does not remember why"
        case state:
            code, _, signal_number = facts.get("ExitCode", "?:0").partition(":")
            if signal_number != "0":
                return FailureKind.KILLED, f"{name}: {state} (signal {signal_number}){where}"
            return FailureKind.EXITED, f"{name}: {state} (exit code {code}){where}"


def _facts_of(task: str) -> Mapping[str, str]:
    """JobState, ExitCode and NodeList of a task that is over: from the controller's memory, then from sacct."""
    with contextlib.suppress(SlurmBusyError):
        done = ask(["scontrol", "--oneliner", "show", "job", task])
        if done.returncode == 0 and (facts := dict(re.findall(r"(\w+)=(\S*)", done.stdout))):
            return facts
    if shutil.which("sacct") is not None:
        with contextlib.suppress(SlurmBusyError):
            # Without accounting it fails, or knows nothing.
            done = ask(["sacct", "--noheader", "--parsable2", f"--jobs={task}", "--format=State,ExitCode,NodeList"])
            words = done.stdout.partition("\n")[0].split("|")
            if done.returncode == 0 and len(words) == 3:
                state = words[0].partition(" ")[0]  # "CANCELLED by 1000"
                return {"JobState": state, "ExitCode": words[1], "NodeList": words[2]}
    return {}


def requeue(task: str) -> bool:
    """Have a running task that may be started again do so; whether SLURM agreed.

    One that SLURM itself ends (cancelled, over its time, preempted) is left to it.
    """
    facts = _facts_of(task)
    if facts.get("JobState") != "RUNNING" or facts.get("Requeue") != "1":
        return False
    return ask(["scontrol", "requeue", task]).returncode == 0


def cancel(tasks: Sequence[str]) -> None:
    """Cancel tasks or whole jobs; those that are over already are no error."""
    if tasks:
        with contextlib.suppress(SlurmBusyError):
            ask(["scancel", *tasks])


def set_throttle(job_id: str, num_tasks: int) -> None:
    """How many tasks of an array may run at a time; an array that is over is no error."""
    with contextlib.suppress(SlurmBusyError):
        ask(["scontrol", "update", f"JobId={job_id}", f"ArrayTaskThrottle={num_tasks}"])


def head_address() -> str:
    """Inside a job: where the first of its nodes is reached."""
    nodes = ask(["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]]).stdout.split()
    told = ask(["scontrol", "--oneliner", "show", "node", nodes[0]]).stdout
    found = re.search(r"\bNodeAddr=(\S+)", told)
    return found.group(1) if found else nodes[0]


@functools.cache
def max_array_size() -> int:
    """How many tasks an array may have here."""
    with contextlib.suppress(SlurmBusyError):
        found = re.search(r"^MaxArraySize\s*=\s*(\d+)", ask(["scontrol", "show", "config"]).stdout, re.MULTILINE)
        if found:
            return max(1, int(found.group(1)) - 1)  # indices are smaller than it
    return DEFAULT_MAX_ARRAY_SIZE - 1


def ask(
    command: Sequence[str], *, stdin: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The answer to a command of SLURM's; SlurmBusyError when it does not come in time."""
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


def last_line(text: str) -> str:
    """The last line of what a program said."""
    return " ".join(text.strip().splitlines()[-1:])
