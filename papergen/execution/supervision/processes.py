"""What other processes use, read from /proc.

psutil knows neither how long threads waited for a processor (schedstat) nor the state of a single thread, and both
keep an idle rank from being mistaken for a hung one; what is read beside them comes in the same pass.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from papergen.execution.worker.system import descendants, parents

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """What a process group has used so far, its ended children included."""

    cpu_s: float
    io_bytes: int
    queued_s: float = 0.0
    """Time in which its threads were ready to run and got no processor."""
    is_on_disk: bool = False
    """Whether one of its threads waits for a disk at this moment."""


def state_of(pid: int) -> str:
    """The kernel's letter for the state of a process ("R", "S", "T" stopped, "Z"); "" when there is none."""
    found = _stat(pid)
    return "" if found is None else found[0]


def vitals_of(group: int) -> Vitals:
    """What the processes of a group, and what its leader has started in other groups, have used; zero without any."""
    cpu_ticks, queued_ns, io_bytes, is_on_disk = 0, 0, 0, False
    stats = {int(name): fields for name in os.listdir("/proc") if name.isdigit() and (fields := _stat(int(name)))}  # noqa: PTH208
    started = descendants({group}, {pid: int(fields[1]) for pid, fields in stats.items()})
    for name, fields in stats.items():
        if int(fields[2]) != group and name not in started:
            continue
        # From here on a process may end while it is read: what is not there any more has used nothing since.
        cpu_ticks += sum(int(item) for item in fields[11:15])  # utime, stime, cutime, cstime
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{name}/task"):  # noqa: PTH208
                of_thread = _stat(name, thread)
                is_on_disk = is_on_disk or (of_thread is not None and of_thread[0] == "D")
                # On the processor, ready and waiting for it (both in nanoseconds), turns.
                queued_ns += int(Path(f"/proc/{name}/task/{thread}/schedstat").read_text().split()[1])
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{name}/io").read_text().splitlines():
                if line.startswith(("rchar:", "wchar:")):
                    io_bytes += int(line.split()[1])
    return Vitals(cpu_s=cpu_ticks / TICKS_PER_S, io_bytes=io_bytes, queued_s=queued_ns / 1e9, is_on_disk=is_on_disk)


def memory_of(roots: Collection[int]) -> int:
    """Bytes of memory that these processes, their groups and all that they have started hold; shared pages count once.

    What a forked rank shares with the fork server is divided among those that share it (the kernel's Pss).
    """
    of = parents()
    members = set(roots)
    for pid in of:
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) in roots:
                members.add(pid)
    found = members | descendants(members, of)
    return sum(_memory(pid) for pid in found)


def _memory(pid: int) -> int:
    for name, label in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
                if line.startswith(label):
                    return int(line.split()[1]) * 1024
    return 0


def _stat(pid: int, thread: str = "") -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; the name before them may hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/task/{thread}/stat" if thread else f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def overweight(pids: Mapping[int, int], limit_gib: float, where: str = "") -> tuple[int, str] | None:
    """The rank that holds the most memory and what is said of it; None when all together hold no more than the limit.

    `pids` are the processes of a trial's ranks on this machine.
    """
    used_gib = memory_of(set(pids.values())) / 2**30
    if used_gib <= limit_gib:
        return None
    of_rank = {rank: memory_of({pid}) / 2**30 for rank, pid in pids.items()}
    rank = max(of_rank, key=lambda rank: of_rank[rank])
    most = f"; rank {rank} holds the most, {of_rank[rank]:.2f} GiB" if len(pids) > 1 else ""
    return rank, f"used {used_gib:.2f} GiB of memory{where}, more than its memory limit of {limit_gib:g} GiB{most}"
