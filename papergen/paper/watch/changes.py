"""Which files of a project changed: told by the kernel (inotify), or found by looking every tenth of a second.

Neither takes the processor while nothing happens. What papergen writes itself (`build/`), hidden files and editors'
temporary files are not looked at.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from papergen.core.stamps import Stamp, stamp_of

QUIET_S = 0.04
"""A burst of changes (save, format, rename) is over when nothing came for this long ..."""
LONGEST_BURST_S = 0.3
"""... or after this long."""
POLL_S = 0.1
IGNORED = {"build", "__pycache__", "node_modules"}

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_ONLYDIR, _ISDIR, _OVERFLOW, _IGNORED = 0x01000000, 0x40000000, 0x4000, 0x8000
_MASK = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ONLYDIR


def is_watched(name: str) -> bool:
    """Whether a file or folder of this name is the author's or a result (`.failed` holds those that failed)."""
    is_hidden = name.startswith(".") and name != ".failed"
    is_temporary = name.endswith(("~", ".swp", ".tmp", ".pyc")) or name == "4913"  # vim asks with this whether it may
    return not (is_hidden or is_temporary or name in IGNORED)


class Watcher(Protocol):
    """Tells which paths changed since it was asked last."""

    def wait(self, timeout_s: float | None) -> set[Path]:
        """The paths of the next burst of changes; empty when none came within the time."""

    def close(self) -> None:
        """Let go of the kernel's watches."""


def watcher(root: Path) -> Watcher:
    """The best that this machine has."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return Inotify(root)
    return Polling(root)


class Inotify:
    """Told by the kernel of Linux; OSError when it has no watches left."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self._folders: dict[int, Path] = {}
        try:
            self._add(root)
        except OSError:
            self.close()
            raise

    def wait(self, timeout_s: float | None) -> set[Path]:
        """See `Watcher`."""
        if not self._is_ready(timeout_s):
            return set()
        changed: set[Path] = set()
        end = time.monotonic() + LONGEST_BURST_S
        while True:
            changed.update(self._read())
            left = min(QUIET_S, end - time.monotonic())
            if left <= 0 or not self._is_ready(left):
                return changed

    def close(self) -> None:
        """See `Watcher`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _is_ready(self, timeout_s: float | None) -> bool:
        return bool(select.select([self._fd], [], [], timeout_s)[0])

    def _add(self, folder: Path) -> list[Path]:
        """Watch a folder and those in it; the files that are there already."""
        found: list[Path] = []
        for base, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if is_watched(name)]
            watch = int(self._libc.inotify_add_watch(self._fd, os.fsencode(base), _MASK))
            if watch >= 0:
                self._folders[watch] = Path(base)
            elif ctypes.get_errno() == errno.ENOSPC or base == os.fspath(self._root):
                # ENOSPC: the user has no watches left. A folder below that vanished meanwhile is no fault.
                raise OSError(ctypes.get_errno(), "inotify_add_watch", base)
            found += [Path(base) / name for name in names if is_watched(name)]
        return found

    def _read(self) -> Iterator[Path]:
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(data):
            watch, mask, _, length = struct.unpack_from("iIII", data, offset)
            name = os.fsdecode(data[offset + 16 : offset + 16 + length].rstrip(b"\0"))
            offset += 16 + length
            if mask & _OVERFLOW:  # the kernel's queue was full, and changes were lost: look at everything
                yield self._root
            elif mask & _IGNORED:
                self._folders.pop(watch, None)
            elif watch in self._folders and is_watched(name):
                path = self._folders[watch] / name
                if mask & _ISDIR and mask & (_CREATE | _MOVED_TO):
                    yield from self._add(path)  # files written into it before it was watched are told by nobody else
                if not (mask & _CREATE and not mask & _ISDIR):  # a file that is being written tells when it is closed
                    yield path


class Polling:
    """Looks at sizes and times again and again."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen = self._look()

    def wait(self, timeout_s: float | None) -> set[Path]:
        """See `Watcher`."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while end is None or time.monotonic() < end:
            time.sleep(POLL_S if end is None else max(0.0, min(POLL_S, end - time.monotonic())))
            now = self._look()
            changed = {path for path in {*now, *self._seen} if now.get(path) != self._seen.get(path)}
            self._seen = now
            if changed:
                return changed
        return set()

    def close(self) -> None:
        """See `Watcher`."""

    def _look(self) -> dict[Path, Stamp]:
        found = {}
        for base, folders, names in os.walk(self._root):
            folders[:] = [name for name in folders if is_watched(name)]
            for name in names:
                if is_watched(name):
                    stamp = stamp_of(os.path.join(base, name))  # noqa: PTH118 (in a loop, ten times a second)
                    if stamp:
                        found[Path(base) / name] = stamp
        return found
