"""SHA-256 of the files and folders that experiments read: a large file that did not change is not read again.

What a digest is of is confirmed by the file's size, times (ctime, which no program sets back, among them), inode and
device, as git's index does; it is kept for the next command only when the file had rested for a while before it was
read, so that no later version can bear the same stamp (`remembered`).
"""

from __future__ import annotations

import atexit
import time
from pathlib import Path
from typing import Any, TypeGuard

from papergen.core import unchanged
from papergen.core.files import digest_file, digest_json
from papergen.core.remembered import is_settled, keep, recall
from papergen.core.unchanged import Stamp, stamp

TOPIC = "files"
LARGE_BYTES = 1 << 20
"""Smaller files are read in less time than it takes to remember them."""
MOST_KEPT = 10_000
"""Files; those that were added the longest ago go first."""


class KnownDigests:
    """Digests by path and stamp; what is new is kept when the process ends."""

    def __init__(self) -> None:
        self._known: dict[str, Any] | None = None
        self._new: dict[str, tuple[Stamp, str]] = {}

    def of(self, path: Path) -> str:
        """SHA-256 of a file's bytes."""
        place = str(path.absolute())
        unchanged.depends_on(place)  # a build that reads the digest alone depends on the file all the same
        before = stamp(place)
        if not before or before[0] < LARGE_BYTES:
            return digest_file(path)
        if self._known is None:
            self._known = recall(TOPIC)
        if place in self._new and self._new[place][0] == before:
            return self._new[place][1]
        kept = self._known.get(place)
        if _is(kept, before):
            return kept[1]
        now = time.time_ns()
        digest = digest_file(path)
        if stamp(place) == before and is_settled(before, read_ns=now):
            if not self._new:
                atexit.register(self.save)
            self._new[place] = before, digest
        return digest

    def save(self) -> None:
        """Keep what is new beside what other commands have kept meanwhile."""
        if self._new:
            others = {place: entry for place, entry in recall(TOPIC).items() if place not in self._new}
            keep(TOPIC, dict([*others.items(), *self._new.items()][-MOST_KEPT:]))


def _is(entry: Any, found: Stamp) -> TypeGuard[tuple[Stamp, str]]:
    """Whether a kept entry has the right form, for the file may be anybody's, and is of this very stamp."""
    return isinstance(entry, list) and len(entry) == 2 and entry[0] == found and isinstance(entry[1], str)


KNOWN = KnownDigests()
"""Of this process."""


def known_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as `digest_file` gives it."""
    return KNOWN.of(path)


def known_folder_digest(folder: Path) -> str:
    """SHA-256 over the relative names and contents of all files below `folder`, in sorted order."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return digest_json([[name, known_digest(folder / name)] for name in names])
