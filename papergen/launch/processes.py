"""Signs of life of other processes, read from /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from papergen.worker.system import descendants

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
IDLE_CPU = 0.05
"""Share of one core under which a group of processes counts as idle."""
IDLE_IO_PER_S = 65_536
"""Bytes read and written per second, likewise."""


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """What a process group has used so far, its ended children included."""

    cpu_s: float
    io_bytes: int


def state_of(pid: int) -> str:
    """The kernel's letter for the state of a process ("R", "S", "T" stopped, "Z"); "" when there is none."""
    found = _stat(pid)
    return "" if found is None else found[0]


def vitals_of(group: int) -> Vitals:
    """What the processes of a group, and what its leader has started in other groups, have used; zero without any."""
    cpu_ticks, io_bytes = 0, 0
    stats = {int(name): fields for name in os.listdir("/proc") if name.isdigit() and (fields := _stat(int(name)))}  # noqa: PTH208
    started = descendants({group}, {pid: int(fields[1]) for pid, fields in stats.items()})
    for name, fields in stats.items():
        if int(fields[2]) != group and name not in started:
            continue
        cpu_ticks += sum(int(item) for item in fields[11:15])  # utime, stime, cutime, cstime
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{name}/io").read_text().splitlines():
                if line.startswith(("rchar:", "wchar:")):
                    io_bytes += int(line.split()[1])
    return Vitals(cpu_s=cpu_ticks / TICKS_PER_S, io_bytes=io_bytes)


def memory_of(roots: Collection[int]) -> int:
    """Bytes of memory that these processes, their groups and all that they have started hold; shared pages count once.

    What a forked rank shares with the warm worker is divided among those that share it (the kernel's Pss).
    """
    parents: dict[int, int] = {}
    found: set[int] = set(roots)
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and (fields := _stat(int(name))) is not None:
            parents[int(name)] = int(fields[1])
            if int(fields[2]) in found:
                found.add(int(name))
    is_growing = True
    while is_growing:
        children = {pid for pid, parent in parents.items() if parent in found and pid not in found}
        found |= children
        is_growing = bool(children)
    return sum(_memory(pid) for pid in found)


def _memory(pid: int) -> int:
    for name, label in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
                if line.startswith(label):
                    return int(line.split()[1]) * 1024
    return 0


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; the name before them may hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


class IdleMeter:
    """Since when a process group has been idle, by looks at it from time to time."""

    def __init__(self) -> None:
        self._last: tuple[float, Vitals] | None = None
        self._since: float | None = None

    def look(self, now: float, vitals: Vitals) -> float:
        """For how many seconds the group has been idle; 0 at the first look."""
        last, self._last = self._last, (now, vitals)
        if last is None:
            return 0.0
        then, before = last
        passed = max(now - then, 1e-3)
        # A sum that fell (a child has ended unseen) is a change like any other, so no sign of idleness.
        cpu_s, io_bytes = abs(vitals.cpu_s - before.cpu_s), abs(vitals.io_bytes - before.io_bytes)
        is_idle = cpu_s / passed < IDLE_CPU and io_bytes / passed < IDLE_IO_PER_S
        if not is_idle:
            self._since = None
            return 0.0
        if self._since is None:
            self._since = then
        return now - self._since

    def forget(self) -> None:
        """Start anew, when the suspicion was unfounded."""
        self._last = self._since = None
