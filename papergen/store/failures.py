"""Why a trial ended without a result: its kind, on which code decides, and a sentence, which only people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Self


class FailureKind(StrEnum):
    """What went wrong, set where it is known. Whether it is tried again stands in `execution/scheduler.py`."""

    ERROR = "error"
    """An exception of the experiment's own code, or a parameter that it refuses."""
    DESYNC = "desync"
    """The ranks wait for each other: they did not call the same collective operations."""
    OUT_OF_MEMORY = "out_of_memory"
    """Python, torch or CUDA could not get memory."""
    MEMORY_LIMIT = "memory_limit"
    """The trial used more memory than it may: `--memory-limit`, or the cluster's limit."""
    TIME_LIMIT = "time_limit"
    """The trial ran longer than it may: `--time-limit`, or the cluster's limit."""
    HANG = "hang"
    """A rank does not go on: it hangs, spins, is stopped, or was not heard of."""
    KILLED = "killed"
    """A rank was ended by a signal: by the kernel for want of memory, by a crash in native code, by a person."""
    EXITED = "exited"
    """A rank's process ended by itself before the trial was done."""
    CONNECTION = "connection"
    """A connection to another rank or to a server was lost, refused or timed out."""
    HARDWARE = "hardware"
    """The GPU or the file system reports a fault."""
    HOST_LOST = "host_lost"
    """Another machine of the trial is gone."""
    START_FAILED = "start_failed"
    """What starts the ranks has ended."""
    PORT_TAKEN = "port_taken"
    """Another program took the port at which the ranks meet."""
    DISK_FULL = "disk_full"
    """There was no room on the disk: nothing is wrong with the trial."""
    MACHINE = "machine"
    """This machine lacks something that the trial needs (a MachineError)."""
    PREEMPTED = "preempted"
    """The cluster took the machine back."""
    CANCELLED = "cancelled"
    """A person cancelled the trial."""
    REFUSED = "refused"
    """The trial was not started: it does not fit this machine or cluster, or its code has changed."""
    UNKNOWN = "unknown"
    """A failure that an earlier papergen recorded without its kind, or a later one with a kind of its own."""

    @classmethod
    def _missing_(cls, value: object) -> FailureKind:
        return cls.UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a trial ended without a result."""

    kind: FailureKind
    rank: int | None
    """The rank that failed first, None when the trial as a whole did (time limit, no memory)."""
    cause: str
    """One line: `ValueError: ...`, `killed by SIGKILL (out of memory?)`."""
    traceback: str = ""
    advice: str | None = None
    """Of an error that its author can mend (PapergenError) the lines after the first; None for any other."""
    log: str = ""
    """Path of the log to read."""
    attempts: Sequence[str] = field(default_factory=list)
    """Causes of the attempts that failed before, oldest first."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The failure whose fields were written as JSON; the kind is `UNKNOWN` where the record has none."""
        names = {item.name for item in fields(cls)}
        known = {name: value for name, value in data.items() if name in names}
        unknown = {"rank": None, "cause": "its record does not say why"}
        return cls(**{**unknown, **known, "kind": FailureKind(data.get("kind", "unknown"))})
