"""Folders for the time of a command: gone with it, and where it was killed, gone with the next one.

Whoever works in such a folder holds a lock on it, which the kernel drops with the process: an unlocked one is a
leftover.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from papergen.core.files import disk_error
from papergen.core.locks import try_lock

_NAME = re.compile(r"\.?papergen-scratch-[a-z]+-[0-9a-f]{8}")
_MOST_SWEPT = 64
"""Folders that one command looks at, so that it does not wait long after many were killed."""


@contextlib.contextmanager
def scratch_folder(purpose: str, parent: Path | None = None) -> Iterator[Path]:
    """A new private folder `papergen-scratch-PURPOSE-...`, gone after the block, with a lock held on it.

    It lies below the folder for temporary files, or hidden in `parent`. What killed commands of this user left there
    goes first. MachineError when it cannot be made.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    _sweep(place)
    folder, handle = _made(place / f"{'' if parent is None else '.'}papergen-scratch-{purpose}-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)  # last: unlocked before, another command's sweep would remove the same files at once


def _made(stem: Path) -> tuple[Path, int]:
    """A new folder and the handle that holds its lock."""
    while True:
        folder = stem.with_name(f"{stem.name}{secrets.token_hex(4)}")
        try:
            stem.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        except OSError as error:
            raise disk_error(error, stem.parent) from error
        # Another command's sweep may see the folder before it is locked, and take it: then another one.
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                is_swept = False
                with contextlib.suppress(OSError):  # no locks on this file system: nothing is swept there either
                    is_swept = not try_lock(handle, is_shared=True)
                if not is_swept and os.path.samestat(folder.stat(), os.fstat(handle)):
                    return folder, handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)


def _sweep(place: Path) -> None:
    """Remove unlocked scratch folders of this user in `place`."""
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        ours = (entry.name for entry in entries if _NAME.fullmatch(entry.name))
        for name in list(itertools.islice(ours, _MOST_SWEPT)):
            _remove_unlocked(place / name)


def _remove_unlocked(folder: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            found = os.fstat(handle)  # of what was opened, which O_NOFOLLOW keeps from being another user's link
            if found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode) and try_lock(handle):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)
