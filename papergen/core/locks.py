"""Locks that die with their holder, `kill -9` included: no file that a killed process left keeps anybody out.

Where one file is locked for the time of a command, filelock does it. What it cannot do is done by flock itself
(`try_lock`): it opens lock files for writing, which another user's file in /tmp does not allow, and locks no folders.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from papergen.core.errors import MachineError, PapergenError

try:
    import fcntl
except ImportError:  # no such thing outside Unix: what locks says so, everything else works
    fcntl = None  # type: ignore[assignment]

SAME_START_S = 5.0
"""A process's time of start is computed from that of the machine, which moves when its clock is set."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The process that holds a lock, as it wrote into the lock's file."""

    pid: int
    started_s: float
    """When the process started, since the epoch: its number may belong to another one later."""
    hostname: str
    since_ns: int = 0
    """When it got the lock, since the epoch, by the clock of the file system: comparable with times of other files."""

    def __str__(self) -> str:
        """As a message names it."""
        return f"process {self.pid} on {self.hostname}, since {datetime.fromtimestamp(self.since_ns / 1e9):%H:%M}"


@contextlib.contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold an exclusive lock on `path` for the block; the file says who holds it (`holder_of`).

    PapergenError, `busy` and the holder, when another process has it; MachineError where there are no locks.
    """
    from filelock import FileLock, Timeout  # 20 ms of imports that only who runs something needs

    path.parent.mkdir(parents=True, exist_ok=True)
    # With `on_acquired` filelock never falls back to lock files without flock, which would outlive a kill -9.
    lock = FileLock(path, blocking=False, on_acquired=_sign)
    try:
        lock.acquire()
    except Timeout as error:
        holder = holder_of(path)
        raise PapergenError(busy if holder is None else f"{busy}\nIt is {holder}.") from error
    except (OSError, NotImplementedError) as error:
        raise MachineError(
            f"{path}: no lock can be had here ({getattr(error, 'strerror', None) or error}).",
            hint="Move the project to a file system with locks (flock), such as a local disk.",
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a full disk or a removed folder: the lock itself goes all the same
            os.truncate(path, 0)
        lock.release()


def _sign(handle: int) -> None:
    """Write into a lock's file who got it."""
    import psutil

    own = psutil.Process()
    holder = {"pid": own.pid, "started_s": own.create_time(), "hostname": socket.gethostname()}
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(holder).encode(), 0)


def holder_of(path: Path) -> Holder | None:
    """The process of this machine that holds the lock `path` now; None when nobody does.

    It is asked without touching the lock: who only looks must not be in the way of who wants it.
    """
    try:
        with path.open("rb") as stream:
            holder = Holder(**json.load(stream), since_ns=os.fstat(stream.fileno()).st_mtime_ns)
    except (OSError, ValueError, TypeError):  # nobody holds it, or it is being signed at this moment
        return None
    if holder.hostname != socket.gethostname():
        return None
    import psutil

    try:
        started_s = psutil.Process(holder.pid).create_time()
    except psutil.Error:
        return None
    return holder if abs(started_s - holder.started_s) < SAME_START_S else None


def try_lock(handle: int, *, is_shared: bool = False) -> bool:
    """Lock an open file or folder until the handle is closed; False when another process has it.

    OSError where the file system, or the system, has no such locks.
    """
    if fcntl is None:
        raise OSError("this system has no flock")
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
