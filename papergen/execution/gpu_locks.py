"""One GPU for one trial, across every papergen on the machine: a lock per GPU that the kernel drops with its holder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from papergen.core.files import slug
from papergen.core.locks import try_lock

FOLDER = Path("/tmp")
"""One place for all users of the machine, whatever TMPDIR each of them has."""


class GpuLocks:
    """Claims GPUs by name. `identities` says which GPU a name stands for, where two names may be one GPU."""

    def __init__(self, identities: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
        self._identities = dict(identities or {})
        self._folder = folder or FOLDER
        self._handles: dict[str, int] = {}

    def claim(self, name: str) -> bool:
        """Take the GPU; False when another process has it."""
        if name in self._handles:
            return True
        handle = self._open(self._folder / f"papergen-gpu-{slug(self._identities.get(name, name))}.lock")
        if handle is None:
            return True  # no lock can be made here; then there is nobody to agree with
        with contextlib.suppress(OSError):  # no locks on this file system: likewise
            if not try_lock(handle):
                os.close(handle)
                return False
        self._handles[name] = handle
        return True

    def release(self, name: str) -> None:
        """Let others have it."""
        if (handle := self._handles.pop(name, None)) is not None:
            os.close(handle)

    def close(self) -> None:
        """Let others have all."""
        for name in list(self._handles):
            self.release(name)

    @staticmethod
    def _open(path: Path) -> int | None:
        """The lock file, which any user may have made; reading is enough to lock it."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        for extra in (0, os.O_CREAT | os.O_EXCL, 0):
            try:
                return os.open(path, flags | extra, 0o644)
            except (FileNotFoundError, FileExistsError):
                continue
            except OSError:
                return None
        return None
