r"""A sandbox of the kernel around TeX programs: they read TeX's own trees and their folder, and write their folder,
nothing else.

TeX's openin_any does not cover all that an engine can open: `\pdfobj file {...}` of pdfTeX and `\special{pdf:fstream
...}` of XeTeX read any file (both tried, TeX Live 2022). Linux has Landlock for this since 5.13; where there is none
(macOS, older kernels) TeX's own settings are all there is, and `is_available()` says so.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# glibc has no functions for these system calls. Since Linux 5.1 a new call has the same number everywhere but on Alpha.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_SET_NO_NEW_PRIVS = 38  # of prctl; the kernel lets only processes restrict themselves that can gain no privileges
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
# A kernel refuses rights that are newer than itself: 2 added linking between folders, 3 truncation.
_RIGHTS_OF_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1}
_ALL_RIGHTS = (1 << 15) - 1
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_TCP = 0b11
"""Bind and connect, from version 4 on."""

SYSTEM = (
    *("/usr", "/bin", "/lib", "/lib32", "/lib64", "/opt", "/nix/store", "/var/lib/texmf", "/var/cache/fontconfig"),
    *("/etc/texmf", "/etc/fonts", "/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/etc/papersize"),
    *("/etc/paperspecs", "/etc/libpaper.d", "/etc/alternatives", "/dev/urandom", "/proc/self"),
)
"""What every program may read."""


@functools.cache
def _version() -> int:
    """The version of Landlock in this kernel; 0 when there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def is_available() -> bool:
    """Whether this kernel has the sandbox."""
    return _version() > 0


def sandboxed(start: Callable[[], T], *, read: Iterable[Path], write: Iterable[Path]) -> T:
    """Call `start`, which starts a process, so that the process can reach these paths and what `SYSTEM` names only.

    Without Landlock, `start` is simply called.
    """
    version = _version()
    if version == 0:
        return start()
    result: list[T] = []
    failure: list[BaseException] = []

    # Landlock restricts one thread for good, and what that thread forks: so a thread of its own restricts itself, forks
    # the process and ends, and papergen itself stays free.
    def work() -> None:
        try:
            _restrict(version, [*map(Path, SYSTEM), *read], [Path("/dev/null"), *write])
            result.append(start())
        except BaseException as error:  # noqa: BLE001 (raised again by the caller's thread)
            failure.append(error)

    thread = threading.Thread(target=work, name="papergen-sandbox")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _restrict(version: int, read: Iterable[Path], write: Iterable[Path]) -> None:
    """Restrict the calling thread and whatever it forks, for good."""
    handled = _RIGHTS_OF_VERSION.get(version, _ALL_RIGHTS)
    # struct landlock_ruleset_attr grew: older kernels take the first field alone.
    attributes = struct.pack("=QQ", handled, _TCP) if version >= 4 else struct.pack("=Q", handled)
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for path in read:
            _allow(ruleset, path, handled & (_EXECUTE | _READ_FILE | _READ_DIR))
        for path in write:
            _allow(ruleset, path, handled)
        if _libc().prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this machine
    try:
        allowed = rights if path.is_dir() else rights & _ON_FILES  # EINVAL for rights of folders on a file
        _call(_ADD_RULE, ruleset, 1, struct.pack("=Qi", allowed, handle), 0)
    finally:
        os.close(handle)


def _call(number: int, *arguments: object) -> int:
    answer = int(_libc().syscall(number, *arguments))
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"landlock system call {number}")
    return answer
