"""What is costly to find out and cheap to confirm, kept from one command to the next; nothing depends on it.

A cache file that is damaged, of another version, deleted or not to be written costs time alone: its first line holds a
checksum over what was written, so whatever is read back has the very types and shapes that were put in. An answer is
kept with the stamps of all files that it came from and believed only while those are the same.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from papergen.core.stamps import Stamp, ignore, is_settled, stamp_of, will_read

if TYPE_CHECKING:
    from pathlib import Path

Place = str | os.PathLike[str]

UNUSED_DAYS = 90
"""A file of the user's cache that nobody wrote for so long is deleted when another is written."""


def write_cached(path: Place, value: Any, *, version: Any = 1) -> None:
    """Write JSON data for `read_cached`. What hinders it (a full disk, a folder of another user) costs time alone."""
    from pathlib import Path

    from papergen.core.errors import PapergenError
    from papergen.core.files import write_atomic

    body = json.dumps(value, separators=(",", ":")).encode()  # ASCII: odd file names survive as escapes
    with contextlib.suppress(PapergenError):
        write_atomic(Path(path), _head(version, body) + body, is_durable=False)


def read_cached(path: Place, *, version: Any = 1) -> Any | None:
    """What `write_cached` wrote for this version; None where there is none, or one byte of it is another."""
    try:
        with open(path, "rb") as stream:  # noqa: PTH123  no pathlib in a build-pdf with nothing to do
            head, body = stream.readline(), stream.read()
    except OSError:
        return None
    # The checksum first: json alone would give wrong shapes, and fails on deep nesting with a RecursionError.
    return json.loads(body) if head == _head(version, body) else None


def _head(version: Any, body: bytes) -> bytes:
    """The first line: which version wrote the rest, and a checksum against accidents (it is none against forgery)."""
    return b"papergen cache %08x %08x\n" % (zlib.crc32(json.dumps(version).encode()), zlib.crc32(body))


def cache_folder() -> str | None:
    """`$PAPERGEN_CACHE`, `$XDG_CACHE_HOME/papergen` or `~/.cache/papergen`; None for a user without a home."""
    if own := os.environ.get("PAPERGEN_CACHE"):
        return os.path.expanduser(own)  # noqa: PTH111
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # noqa: PTH117  the standard: a relative one is to be ignored
        return os.path.join(base, "papergen")  # noqa: PTH118
    home = os.path.expanduser("~")  # noqa: PTH111
    return os.path.join(home, ".cache", "papergen") if home != "~" else None  # noqa: PTH118


class Cache:
    """Answers about files, of JSON data, under one topic in the user's cache folder."""

    def __init__(self, topic: str, *, most: int, version: Callable[[], Any] = lambda: 1) -> None:
        self.topic = topic
        self._most = most
        """Answers; those that were asked for the longest ago go first."""
        self._version_of = version
        self._version: Any = None
        self._entries: dict[str, list[Any]] | None = None
        """Question and files -> [path -> stamp, answer]."""
        self._asked: dict[str, None] = {}
        self._is_changed = False

    def answer(
        self,
        question: str,
        files: Iterable[Place],
        find: Callable[[], tuple[Any, Iterable[Place]]],
        *,
        is_enough: Callable[[Any], bool] = lambda _: True,
    ) -> Any:
        """The answer to a question about these files and folders, found only when it is not known or not enough.

        `find` gives the answer, and more files that it came from. It is asked each time as long as one of them
        changed a moment ago or while it was read.
        """
        first = [os.fspath(path) for path in files]
        key = "\n".join([question, *first])
        known = self._loaded().get(key)
        if known is not None:
            for path in known[0]:
                will_read(path)
            if all(stamp_of(path) == stamp for path, stamp in known[0].items()) and is_enough(known[1]):
                self._asked[key] = None
                return known[1]
        for path in first:
            will_read(path)
        now_ns = time.time_ns()
        stamps = {path: stamp_of(path) for path in first}
        found, more = find()
        stamps |= {path: stamp_of(path) for path in [os.fspath(one) for one in more] if path not in stamps}
        # Stamps are taken before and looked at after, and none may be young: so no edit in between stays unseen.
        if all(is_settled(stamp, read_ns=now_ns) and stamp_of(path) == stamp for path, stamp in stamps.items()):
            self._remember(key, stamps, found)
        return found

    def _remember(self, key: str, stamps: dict[str, Stamp], answer: Any) -> None:
        if not self._is_changed:
            atexit.register(self.save)
        self._loaded()[key] = [stamps, answer]
        self._asked[key] = None
        self._is_changed = True

    def save(self) -> None:
        """Keep what is new, beside what other commands have kept meanwhile; two at once may lose each other's."""
        folder = cache_folder()
        if not self._is_changed or folder is None:
            return
        self._is_changed = False
        atexit.unregister(self.save)
        mine = {key: self._loaded()[key] for key in self._asked}
        others = self._read(folder)
        kept = {key: entry for key, entry in others.items() if key not in mine} | mine
        path = os.path.join(folder, f"{self.topic}.json")  # noqa: PTH118
        write_cached(path, dict(list(kept.items())[-self._most :]), version=self._version)
        with contextlib.suppress(OSError):
            _tidy(folder)

    def _loaded(self) -> dict[str, list[Any]]:
        if self._entries is None:
            self._version = [self.topic, self._version_of()]
            folder = cache_folder()
            self._entries = {} if folder is None else self._read(folder)
        return self._entries

    def _read(self, folder: str) -> dict[str, list[Any]]:
        ignore(folder)
        path = os.path.join(folder, f"{self.topic}.json")  # noqa: PTH118
        found: dict[str, list[Any]] = read_cached(path, version=self._version) or {}
        return found


def _tidy(folder: str) -> None:
    """Delete what has not been written for `UNUSED_DAYS`."""
    oldest = time.time() - UNUSED_DAYS * 86_400
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file() and entry.stat().st_mtime < oldest:
                with contextlib.suppress(FileNotFoundError):  # another command tidied as well
                    os.unlink(entry.path)  # noqa: PTH108


LARGE_BYTES = 1 << 20
"""Smaller files are read in less time than it takes to remember them."""

DIGESTS = Cache("files", most=10_000)
"""SHA-256 of the large files that experiments read."""


def known_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as `digest_file` gives it; a large file that did not change is not read again."""
    from papergen.core.files import digest_file

    place = str(path.absolute())
    stamp = stamp_of(place)
    if not stamp or stamp[0] < LARGE_BYTES:
        return digest_file(path)
    return str(DIGESTS.answer("sha256", [place], lambda: (digest_file(path), ())))


def known_folder_digest(folder: Path) -> str:
    """SHA-256 over the relative names and contents of all files below `folder`, in sorted order."""
    from papergen.core.files import digest_json

    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return digest_json([[name, known_digest(folder / name)] for name in names])
