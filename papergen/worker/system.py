"""Process matters of Linux that Python has no words for."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, sent: int = signal.SIGKILL) -> None:
    """Have the kernel send this process the signal `sent` when `parent` ends; ends at once when it has already.

    SIGKILL by default: SIGINT and SIGTERM may be ignored by inheritance (nohup), which leaves orphans.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_PDEATHSIG, sent, 0, 0, 0) == 0, "prctl(PR_SET_PDEATHSIG) takes any valid signal"
    if os.getppid() != parent:
        os._exit(1)


def lead_own_group() -> None:
    """Put this process into a process group of its own, so that what it starts can be ended with it."""
    with contextlib.suppress(PermissionError):  # a session leader has its own group already
        os.setpgid(0, 0)


def signal_group(group: int, sent: int) -> None:
    """Send a signal to all processes of a group; none left is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sent)


def redirect_output(path: str) -> None:
    """Append standard output and error to the file `path`; nothing can be read from standard input."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(null)
