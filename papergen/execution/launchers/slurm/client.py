"""What SLURM is asked and told, and what its answers mean: squeue, scontrol, scancel, sinfo, sacct.

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
import time
from collections.abc import Callable, Mapping, Sequence
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

CALM = 4.0
"""The longest pause while nothing changes, in multiples of the shortest."""
BUSY_S = 60.0
"""The longest pause while the controller does not answer."""
BUSY_LIMIT_S = 600.0
"""For so long a controller that does not answer is asked again."""

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


@functools.cache
def gpus_of_nodes(partition: str, gpu_type: str) -> Sequence[int]:
    """How many GPUs (of `gpu_type`) each node of the partition has; of the default one where none is named.

    Empty when there is no such partition; SlurmBusyError when nobody answers.
    """
    done = ask(["sinfo", "--noheader", "--Node", "--format=%P|%G"])
    if done.returncode != 0:
        raise SlurmBusyError(f"sinfo: {last_line(done.stderr)}")
    wanted = set(partition.split(",")) if partition else None
    found = []
    for line in done.stdout.splitlines():
        name, _, resources = line.strip().partition("|")
        if name.rstrip("*") in wanted if wanted is not None else name.endswith("*"):
            found.append(_num_gpus(resources, gpu_type))
    return tuple(found)


def _num_gpus(resources: str, gpu_type: str) -> int:
    """From `gpu:a100:4(S:0-1),gpu:v100:2,shard:8` to 6, or 4 for a100; `(null)` is none."""
    total = 0
    for word in re.sub(r"\([^)]*\)", "", resources).split(","):
        kind, _, rest = word.partition(":")
        name, _, count = rest.rpartition(":")
        if kind == "gpu" and count.isdigit() and gpu_type in {"", name}:
            total += int(count)
    return total


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


class SqueuePoll:
    """squeue's last answer, renewed when it is due."""

    def __init__(self, poll_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`poll_s` is the shortest pause between two questions."""
        self._shortest_s = self._pause_s = poll_s
        self._clock = clock
        self._asked_at: float | None = None
        self._busy_since: float | None = None
        self._states: Mapping[str, TaskState] = {}
        self.num_answers = 0
        """How often squeue has answered."""

    @property
    def is_current(self) -> bool:
        """Whether the last question was answered: only then is a task that is not named over."""
        return self.num_answers > 0 and self._busy_since is None

    def states(self) -> Mapping[str, TaskState]:
        """Of all tasks that are not over; MachineError when the controller has not answered for too long."""
        now = self._clock()
        if self._asked_at is None or now - self._asked_at >= self._pause_s:
            self._ask(now)
            self._asked_at = self._clock()
        return self._states

    def submitted(self) -> None:
        """A job was submitted, which squeue may not know for a moment; soon there will be news."""
        self._pause_s = self._shortest_s
        self._asked_at = self._clock()

    def confirmed_states(self) -> Mapping[str, TaskState]:
        """Likewise, but an answer is waited for: for who must know that a task is over."""
        while True:
            known = self.states()
            if self.is_current:
                return known
            time.sleep(self._pause_s / 4)

    def _ask(self, now: float) -> None:
        try:
            known = states()
        except SlurmBusyError as error:
            self._busy_since = now if self._busy_since is None else self._busy_since
            if now - self._busy_since > BUSY_LIMIT_S:
                raise MachineError(f"{error} for {BUSY_LIMIT_S / 60:.0f} min; the jobs go on.") from error
            self._pause_s = min(2 * self._pause_s, max(BUSY_S, self._shortest_s))
            return
        is_news = self._busy_since is not None or known != self._states
        self._pause_s = self._shortest_s if is_news else min(1.5 * self._pause_s, CALM * self._shortest_s)
        self._busy_since, self._states = None, known
        self.num_answers += 1
