"""Signs of life of other processes, read from /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from papergen.execution.worker.system import descendants

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
IDLE_CPU = 0.05
"""Share of one core under which a group of processes counts as idle."""
IDLE_IO_PER_S = 65_536
"""Bytes read and written per second, likewise."""
STARVED = 0.5
"""Share of the time that a group which is not idle may have waited for a processor on an overloaded machine."""
STALE_S = 15.0
"""Between two looks at most: after a longer pause the machine, or who looks, stood still itself."""
LOOK_S = 0.5
"""Between two looks at least: the kernel counts processor time in hundredths of a second."""


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


def _stat(pid: int, thread: str = "") -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; the name before them may hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/task/{thread}/stat" if thread else f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


class IdleMeter:
    """Since when a process group has been idle, by looks at it from time to time."""

    def __init__(self) -> None:
        self._last: tuple[float, Vitals] | None = None
        self._since: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether `LOOK_S` have passed since the last look."""
        return self._last is None or now - self._last[0] >= LOOK_S

    def idle_s(self, now: float) -> float:
        """For how many seconds the group has been idle, as far as the looks tell; 0 after the first."""
        return 0.0 if self._since is None else now - self._since

    def look(self, now: float, vitals: Vitals) -> float:
        """Take in what the group has used by now; for how many seconds it has been idle."""
        last, self._last = self._last, (now, vitals)
        if last is None or now - last[0] > STALE_S:
            self._since = None
            return 0.0
        then, before = last
        passed = max(now - then, 1e-3)
        # A sum that fell (a child has ended unseen) is a change like any other, so no sign of idleness.
        cpu_s, io_bytes = abs(vitals.cpu_s - before.cpu_s), abs(vitals.io_bytes - before.io_bytes)
        is_starved = (vitals.queued_s - before.queued_s) / passed >= STARVED
        is_at_work = cpu_s / passed >= IDLE_CPU or io_bytes / passed >= IDLE_IO_PER_S
        if is_at_work or is_starved or vitals.is_on_disk:
            self._since = None
        elif self._since is None:
            self._since = then
        return self.idle_s(now)

    def forget(self) -> None:
        """Start anew, when the suspicion was unfounded."""
        self._last = self._since = None
