"""Processes on Linux: ended with their parent, with their group or session; orphans; output that goes to a file."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Collection, Mapping
from typing import NoReturn

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
"""Options of prctl(2), which Python does not offer: <linux/prctl.h>."""


def die_with_parent(parent: int, sent: int = signal.SIGKILL) -> None:
    """Have the kernel send this process the signal `sent` when `parent` ends; ends at once when it has already.

    SIGKILL by default: SIGINT and SIGTERM may be ignored by inheritance (nohup), which leaves orphans.
    """
    # The kernel forgets the wish at a fork, so every process asks for itself. It speaks of the thread that has forked,
    # not of its process: a launcher must be used from one thread that outlives it.
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_PDEATHSIG, sent, 0, 0, 0) == 0, "prctl(PR_SET_PDEATHSIG) takes any valid signal"
    # A parent that ended before the call above is never told of.
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Have the kernel give this process the orphans among its descendants, so that none of them gets out of sight."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def parents() -> dict[int, int]:
    """Process -> its parent, of all that there are.

    By hand: it is asked after every trial, and psutil's `process_iter(["ppid"])` took 31 ms where this took 12 (133
    processes, a loaded machine), as it opens more files of each process.
    """
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  a thousand Path objects are not free
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as stream:  # noqa: PTH123
                data = stream.read()
                found[int(name)] = int(data[data.rindex(b")") + 2 :].split()[1])
    return found


def descendants(ancestors: Collection[int], of: Mapping[int, int] | None = None) -> set[int]:
    """The processes that these have started, near and far, whatever group or session they have moved to."""
    of = parents() if of is None else of
    found: set[int] = set()
    level = set(ancestors)
    while level:
        level = {pid for pid, parent in of.items() if parent in level} - found
        found |= level
    return found


def lead_own_group() -> None:
    """Put this process into a process group of its own, so that what it starts can be ended with it."""
    with contextlib.suppress(PermissionError):  # a session leader has its own group already
        os.setpgid(0, 0)


def signal_group(group: int, sent: int) -> None:
    """Send a signal to all processes of a group; none left is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sent)


def signal_process(pid: int, sent: int) -> None:
    """Send a signal to one process; none of that number is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, sent)


def end_sessions_of_parent() -> NoReturn:
    """Kill what is left of the sessions whose numbers are read, one a line ("-N" forgets N), once the writer is gone.

    The kernel ends a process with its parent, but not what that process has put into another session.
    """
    for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sent, signal.SIG_IGN)  # it ends with its launcher, never before
    held: set[int] = set()
    for line in sys.stdin:
        number = int(line)
        if number > 0:
            held.add(number)
        else:
            held.discard(-number)
    for session in held:
        kill_session(session)
    os._exit(0)


def kill_session(session: int) -> None:
    """Send SIGKILL to every process of a session, its ranks' own children among them, until none is left."""
    for _ in range(20):  # a process may start another while we look
        members = session_members(session)
        for pid in members:
            signal_process(pid, signal.SIGKILL)
        if not members:
            return


def session_members(session: int) -> list[int]:
    """The living processes of a session."""
    import psutil

    found = []
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            is_dead = process.info["status"] in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
            if not is_dead and os.getsid(process.pid) == session:
                found.append(process.pid)
    return found


def has_variable(pid: int, name: str, value: str) -> bool:
    """Whether the process was started with this environment variable."""
    try:
        return psutil.Process(pid).environ().get(name) == value
    except psutil.Error:  # gone meanwhile, or another user's
        return False


def redirect_output(path: str) -> None:
    """Append standard output and error to the file `path`; nothing can be read from standard input."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(null)
