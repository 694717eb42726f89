"""A real SLURM on this machine: one controller and two nodes, without systemd, munge or a database."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lab import quick

from papergen.store.runs import Run

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")

NODES = ("n1", "n2", "g1")
MAX_ARRAY_SIZE = 6
"""So small that a test can go beyond it."""
DAEMONS: dict[str, subprocess.Popen[bytes]] = {}
"""What runs, by name: slurmctld and the nodes."""

CONF = """
ClusterName=papergen
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdParameters=config_overrides
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmdSpoolDir={folder}/spool-%n
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
KillWait=3
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
RebootProgram=/bin/true
MaxArraySize={max_array_size}
GresTypes=gpu
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=4 CoresPerSocket=4 RealMemory=4000
NodeName=g1 NodeHostname={host} NodeAddr=127.0.0.1 Port={gpu} CPUs=4 CoresPerSocket=4 RealMemory=4000 Gres=gpu:2
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP GraceTime=20
PartitionName=urgent Nodes=n[1-2] MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=gpus Nodes=g1 MaxTime=INFINITE State=UP
PartitionName=closed Nodes=ALL MaxTime=INFINITE State=UP AllowGroups=nobody-at-all
"""


WAIT = "time.sleep(1000)"
FAST = quick(poll_s=0.5)


def why_not() -> str:
    """Why no SLURM can be booted here; "" when it can."""
    if os.geteuid() != 0:
        return "booting SLURM needs root"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"slurm-wlm is not installed (no {missing[0]})" if missing else ""


@contextlib.contextmanager
def booted(folder: Path) -> Iterator[Path]:
    """Boot it; the path of slurm.conf. On exit every job is cancelled and every daemon ended."""
    folder.mkdir(parents=True)
    (folder / "state").mkdir()
    port = _free_ports(4)
    conf = folder / "slurm.conf"
    conf.write_text(
        CONF.format(
            folder=folder,
            port=port,
            first=port + 1,
            last=port + 2,
            gpu=port + 3,
            max_array_size=MAX_ARRAY_SIZE,
            host=socket.gethostname().split(".")[0],
        )
    )
    gpus = [folder / f"gpu{number}" for number in range(2)]
    for path in gpus:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))  # SLURM wants a device, and never opens it
    (folder / "gres.conf").write_text("".join(f"NodeName=g1 Name=gpu File={path}\n" for path in gpus))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    try:
        for name in ("slurmctld", *NODES):
            start(name, conf)
        _wait_for(lambda: _said(environment, "sinfo", "-h", "-o", "%D %t") == "3 idle", folder)
        yield conf
    finally:
        _said(environment, "scancel", "--user=root")
        with contextlib.suppress(AssertionError):
            _wait_for(lambda: not _said(environment, "squeue", "-h"), folder, limit_s=15)
        for daemon in DAEMONS.values():
            daemon.send_signal(signal.SIGTERM)
        for daemon in DAEMONS.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        DAEMONS.clear()


def start(name: str, conf: Path) -> None:
    """Start the controller or a node's daemon, unless it is there."""
    if name in DAEMONS and DAEMONS[name].poll() is None:
        return
    words = ["slurmctld", "-D"] if name == "slurmctld" else ["slurmd", "-D", "-N", name]
    with (conf.parent / f"{name}.out").open("ab") as output:
        DAEMONS[name] = subprocess.Popen(
            [*words, "-f", str(conf)],
            env={**os.environ, "SLURM_CONF": str(conf)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def crash(node: str) -> None:
    """End all that runs on a node at once, as a power cut does, and have the controller notice it."""
    lose(node, signal.SIGKILL)
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"SLURMD_NODENAME={node}".encode() in (path / "environ").read_bytes().split(b"\0"):
                os.kill(int(path.name), signal.SIGKILL)
    _down(node)


def split(node: str) -> list[int]:
    """Have the controller lose sight of a node on which all jobs live on, as a network does; its muted daemons."""
    muted = lose(node, signal.SIGSTOP)
    _down(node)
    return muted


def lose(node: str, sent: int) -> list[int]:
    """End the node's slurmd, and send a signal to those of its daemons that look after jobs; these."""
    DAEMONS[node].kill()
    DAEMONS[node].wait()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_step = (path / "cmdline").read_bytes().startswith(b"slurmstepd")
            if is_step and f"/{node}.log" in "".join(str(file.readlink()) for file in (path / "fd").iterdir()):
                os.kill(int(path.name), sent)
                found.append(int(path.name))
    return found


def said(*words: str) -> str:
    """What a command of SLURM's prints."""
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def wait_for(condition: Callable[[], object], limit_s: float = 180.0) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "what was waited for does not come"
        time.sleep(0.05)


def start_again(task: str) -> None:
    """Have a task that waits because it was requeued start now.

    SLURM waits for two minutes, so that the end of the first run is not taken for that of the second.
    """
    wait_for(lambda: said("squeue", "-h", "-r", "-j", task, "-o", "%T") == "PENDING")
    wait_for(lambda: not processes_of(task))
    time.sleep(1.0)
    said("scontrol", "update", f"JobId={task}", "StartTime=now")


def processes_of(task: str) -> set[int]:
    """What runs for a task of an array."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    job = f"SLURM_ARRAY_JOB_ID={task.partition('_')[0]}".encode()
    return {pid for pid in pids if job in read(pid, "environ")}


def read(pid: int, name: str) -> bytes:
    """A file of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def outcome_of(folder: Path) -> dict[str, object]:
    return json.loads(Run(folder).outcome_file.read_text(encoding="utf-8"))


def papergen(project: Path, *words: str) -> str:
    command = [sys.executable, "-m", "papergen", *words]
    return subprocess.run(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100, check=False
    ).stdout


def _down(node: str) -> None:
    subprocess.run(["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost"], check=True)


def _said(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _wait_for(condition: object, folder: Path, limit_s: float = 30.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + limit_s
    while not condition():
        logs = {path.name: path.read_text(errors="replace")[-1500:] for path in folder.glob("*.log")}
        assert time.monotonic() < deadline, f"SLURM is not as wanted: {logs}"
        time.sleep(0.1)


def _free_ports(count: int) -> int:
    """The first of so many neighbouring free ports."""
    for first in range(27_817, 29_000, count):
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    probe = held.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports for SLURM")
