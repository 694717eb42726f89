"""A build-pdf with nothing to do answers without importing what builds: when no input can have changed since the last.

While a build runs, every file that Python opens and every folder that it lists is noted with its size, times and inode
as they were *before* it was read, and at the end the modules in use and all files of the project. When all of those,
the environment, the command and the interpreter are the same, the build would come out the same, and what it said is
said again. A file that changed within moments of being noted cannot be told from its next version by its times: such
a build is not remembered. Times here include ctime, which no program sets back.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

SCHEMA = 1
NAME = ".unchanged.json"
RACY_NS = 50_000_000
"""Clock ticks of file systems are shorter than this."""
IGNORED = ("/proc/", "/sys/", "/dev/", "/run/")
NOISE = {"_", "SHLVL", "PWD", "OLDPWD", "COLUMNS", "LINES", "WINDOWID", "TERM_SESSION_ID"}
"""Environment variables that no build depends on."""
SKIPPED = {"build", ".git", "__pycache__", "node_modules", ".venv"}

Stamp = list[int]

_recorders: list[Recorder] = []
_ignored: set[str] = set()
_is_hooked = False
_START_NS = time.time_ns()


def stamp(path: str | os.PathLike[str]) -> Stamp:
    """Size, mtime, ctime (which no program sets back), inode and device; empty when there is no such file."""
    try:
        found = os.stat(path)  # noqa: PTH116 (this module must not import pathlib's friends)
    except (OSError, ValueError):
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]


class Recorder:
    """Notes what a build reads, from `start` to `finish`."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.seen: dict[str, Stamp] = {}
        self.is_racy = False
        self._own = os.path.join(root, "build") + os.sep  # noqa: PTH118

    def note(self, path: str, *, is_folder: bool = False) -> None:
        """Note a file or folder that is about to be read."""
        path = os.path.abspath(path)  # noqa: PTH100
        if path in self.seen or path.startswith((*IGNORED, *_ignored, self._own)) or path + os.sep == self._own:
            return
        found = stamp(path)
        if not found and is_folder:
            return
        self.seen[path] = found
        self._judge(found, time.time_ns())

    def _judge(self, found: Stamp, now_ns: int) -> None:
        if found and max(found[1], found[2]) > now_ns - RACY_NS:
            self.is_racy = True

    def start(self) -> None:
        """Begin to listen; the project as it is now is noted first."""
        global _is_hooked
        for path in project_files(self.root):
            self.note(path)
        _recorders.append(self)
        if not _is_hooked:
            sys.addaudithook(_heard)
            _is_hooked = True

    def stop(self) -> None:
        """Listen no more."""
        if self in _recorders:
            _recorders.remove(self)

    def finish(self, command: Sequence[str], said: str, printed: str, outputs: Iterable[str]) -> None:
        """Remember a build that succeeded: what it read, what it said, and its `outputs` as they are now."""
        self.stop()
        for module in list(sys.modules.values()):
            name = getattr(module, "__file__", None)
            if isinstance(name, str) and name not in self.seen:
                self.seen[name] = stamp(name)
                self._judge(self.seen[name], _START_NS)
        files = list(project_files(self.root))
        if self.is_racy or any(self.seen.get(path) != stamp(path) for path in files):
            forget(self.root)
            return
        record = {
            "setting": setting(command),
            "files": self.seen,
            "project": sorted(files),
            "outputs": {path: stamp(path) for path in outputs},
            "said": said,
            "printed": printed,
        }
        target = place(self.root)
        with open(f"{target}.new", "w", encoding="utf-8") as stream:  # noqa: PTH123
            json.dump(record, stream)
        os.replace(f"{target}.new", target)  # noqa: PTH105


def depends_on(path: str) -> None:
    """Note a file or folder on which what is read depends although nobody opens it; call this before looking at it."""
    for recorder in _recorders:
        recorder.note(path)


def ignore(folder: str) -> None:
    """Note nothing in a folder: what is remembered there is confirmed by files that are noted (`depends_on`)."""
    _ignored.add(os.path.join(os.path.abspath(folder), ""))  # noqa: PTH100, PTH118


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    """Python tells every opened file and listed folder."""
    if not _recorders or event not in {"open", "os.listdir", "os.scandir"}:
        return
    path = arguments[0]
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if path is None:
        path = "."
    if not isinstance(path, str):
        return
    if event == "open" and (_writes(arguments)):
        return
    for recorder in _recorders:
        recorder.note(path, is_folder=event != "open")


def _writes(arguments: tuple[Any, ...]) -> bool:
    mode, flags = arguments[1], arguments[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


def project_files(root: str) -> Iterator[str]:
    """Every file of the project that a build may read: all but `build/`, hidden folders and the like."""
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in SKIPPED and not entry.name.startswith("."):
                    yield from project_files(entry.path)
            else:
                yield entry.path


def find_root() -> str:
    """The folder at or above the current one that holds a paper.yaml; "" without one."""
    folder = os.path.realpath(os.getcwd())  # noqa: PTH109
    while True:
        if os.path.isfile(os.path.join(folder, "paper.yaml")):  # noqa: PTH113, PTH118
            return folder
        above = os.path.dirname(folder)  # noqa: PTH120
        if above == folder:
            return ""
        folder = above


def place(root: str) -> str:
    """Where the last build is remembered."""
    return os.path.join(root, "build", NAME)  # noqa: PTH118


def forget(root: str) -> None:
    """The next build looks at everything again."""
    try:
        os.unlink(place(root))  # noqa: PTH108
    except OSError:
        return


def setting(command: Sequence[str]) -> list[Any]:
    """What a build depends on besides files."""
    environment = sorted((name, value) for name, value in os.environ.items() if name not in NOISE)
    return [
        SCHEMA,
        list(command),
        sys.version,
        sys.executable,
        sys.flags.optimize,
        [list(pair) for pair in environment],
    ]


def last_answer(root: str, command: Sequence[str]) -> tuple[str, str] | None:
    """What the last build said and printed, when a build now would do nothing but say it; None otherwise."""
    try:
        with open(place(root), encoding="utf-8") as stream:  # noqa: PTH123
            record = json.load(stream)
        if record["setting"] != setting(command) or record["project"] != sorted(project_files(root)):
            return None
        for kind in ("files", "outputs"):
            for path, known in record[kind].items():
                if stamp(path) != known:
                    return None
        return str(record["said"]), str(record["printed"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
