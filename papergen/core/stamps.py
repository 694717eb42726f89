"""What a file is known by without being read, and which files this process reads.

Only `os` and `sys` are imported: a build-pdf with nothing to do stops here, before anything heavy is imported.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

Stamp = list[int]
"""Size, mtime, ctime and inode; empty when there is no such file. A list, as it comes back from JSON."""

RACY_NS = 2_000_000_000
"""A file that changed this recently may change again with the same times: the coarsest file systems (FAT, some of NFS)
count in 2 s, and Linux's own clock for files ticks every 1 to 10 ms."""


def stamp_of(path: str | os.PathLike[str]) -> Stamp:
    """The stamp of what lies at `path` now.

    ctime is there because no program sets it back, as `touch -r`, `cp -p` and rsync do with mtime. The device is not:
    its number differs between mounts of one network folder, and from one start of the machine to the next (git leaves
    it out of its index for the same reason).
    """
    try:
        found = os.stat(path)  # noqa: PTH116  ten thousand Path objects are not free
    except (OSError, ValueError):  # ValueError: a name with a zero byte
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def is_settled(stamp: Stamp, *, read_ns: int) -> bool:
    """Whether content read at `read_ns` (since the epoch) belongs to a stamp for good.

    Otherwise the file may be written again within one tick of the clock and keep the stamp: "racy" in git's words.
    """
    return not stamp or max(stamp[1], stamp[2]) < read_ns - RACY_NS


UNSETTLED: Stamp = [-1]
"""Equal to the stamp of no file."""


def settled_stamp(path: str | os.PathLike[str], *, read_ns: int) -> Stamp:
    """The stamp of a file that was read at `read_ns` or later; `UNSETTLED` when it may be that of two contents."""
    stamp = stamp_of(path)
    return stamp if is_settled(stamp, read_ns=read_ns) else UNSETTLED


class ReadLog:
    """Notes every file that Python opens for reading and every folder that it lists, as they were just before.

    It listens by an audit hook, as an author's own figure function or kind may open any file: a list of what our own
    readers open would miss those, and a build would then be answered with numbers of yesterday. The hook costs
    about 20 µs for each of a build's 900 files (2026-12-01, a loaded machine); what it makes possible, an answer before
    the heavy imports, is 0.05 s in place of 0.43 s for a paper of one page (idle), 0.14 and 1.5 s for six (loaded).
    """

    def __init__(self, own: str) -> None:
        self.stamps: dict[str, Stamp] = {}
        """Path -> its stamp before it was read first."""
        self.is_settled = True
        """False once a file was read that had changed within `RACY_NS`."""
        self._own = os.path.join(own, "")  # noqa: PTH118

    def start(self) -> None:
        """Begin to listen."""
        global _is_hooked
        _listening.append(self)
        if not _is_hooked:  # an audit hook cannot be taken out again
            sys.addaudithook(_hear)
            _is_hooked = True

    def stop(self) -> None:
        """Listen no more."""
        if self in _listening:
            _listening.remove(self)

    def note(self, path: str, *, is_folder: bool = False, read_ns: int | None = None) -> None:
        """Note a file or folder that is about to be read, or was read at `read_ns`."""
        path = os.path.abspath(path)  # noqa: PTH100
        if path in self.stamps or os.path.join(path, "").startswith((*IGNORED, *_ignored, self._own)):  # noqa: PTH118
            return
        stamp = stamp_of(path)
        if not stamp and is_folder:
            return
        self.stamps[path] = stamp
        if not is_settled(stamp, read_ns=time.time_ns() if read_ns is None else read_ns):
            self.is_settled = False


IGNORED = ("/proc/", "/sys/", "/dev/", "/run/")

_listening: list[ReadLog] = []
_ignored: set[str] = set()
_is_hooked = False


def will_read(path: str | os.PathLike[str]) -> None:
    """Note a file that an answer depends on although nobody may open it; to be called before looking at it."""
    for log in _listening:
        log.note(os.fspath(path))


def ignore(folder: str) -> None:
    """Note nothing in a folder: what is kept there is confirmed by files that are noted (`will_read`)."""
    _ignored.add(os.path.join(os.path.abspath(folder), ""))  # noqa: PTH100, PTH118


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Python tells of every opened file and listed folder, before it does so."""
    if not _listening or event not in {"open", "os.listdir", "os.scandir"}:
        return
    path = arguments[0]
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if path is None:  # os.listdir()
        path = "."
    if not isinstance(path, str) or (event == "open" and _writes(arguments)):
        return
    for log in _listening:
        log.note(path, is_folder=event != "open")


def _writes(arguments: tuple[Any, ...]) -> bool:
    mode, flags = arguments[1], arguments[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
