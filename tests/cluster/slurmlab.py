"""A real SLURM on this machine: one controller and two nodes, without systemd, munge or a database."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")

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
RebootProgram=/bin/true
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=4 CoresPerSocket=4 RealMemory=4000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=closed Nodes=ALL MaxTime=INFINITE State=UP AllowGroups=nobody-at-all
"""


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
    port = _free_ports(3)
    conf = folder / "slurm.conf"
    conf.write_text(
        CONF.format(folder=folder, port=port, first=port + 1, last=port + 2, host=socket.gethostname().split(".")[0])
    )
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for words in (["slurmctld", "-D"], ["slurmd", "-D", "-N", "n1"], ["slurmd", "-D", "-N", "n2"]):
            with (folder / f"{'-'.join(words)}.out".replace("/", "")).open("wb") as output:
                daemons.append(
                    subprocess.Popen(
                        [*words, "-f", str(conf)],
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        start_new_session=True,
                    )
                )
        _wait_for(lambda: _said(environment, "sinfo", "-h", "-o", "%D %t") == "2 idle", folder)
        yield conf
    finally:
        _said(environment, "scancel", "--user=root")
        with contextlib.suppress(AssertionError):
            _wait_for(lambda: not _said(environment, "squeue", "-h"), folder, limit_s=15)
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


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
