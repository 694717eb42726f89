"""The last build-pdf, so that the next one with nothing to do answers before anything that builds is imported.

While a build runs, every file that it reads is noted as it was before (`core/stamps.py`), and at the end the modules in
use and all files of the project. As long as those, the environment, the command and the interpreter are the same, the
build would come out the same, and what it said is said again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from papergen.core.cache import Place, read_cached, write_cached
from papergen.core.stamps import ReadLog, stamp_of

VERSION = 2
"""Of what is kept; another one is not read."""
NAME = ".last-build.json"
NOISE = {"_", "SHLVL", "PWD", "OLDPWD", "COLUMNS", "LINES", "WINDOWID", "TERM_SESSION_ID"}
"""Environment variables that no build depends on."""
SKIPPED = {"build", "__pycache__", "node_modules"}
"""Folders whose files are not the project's; hidden files and folders are not either."""
STATES = {".failed", ".unavailable"}
"""Hidden folders of results/ that say why a result is missing, which a paper tells."""

_START_NS = time.time_ns()
"""Modules were read after this."""


class Recording:
    """Notes what a build reads, from `start` to `finish`."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._log = ReadLog(own=os.path.join(root, "build"))  # noqa: PTH118
        self._start_ns = time.time_ns()

    def start(self) -> None:
        """Begin to listen; the project as it is now is noted first."""
        forget(self._root)
        for path in project_files(self._root):
            self._log.note(path)
        self._log.start()

    def stop(self) -> None:
        """Listen no more."""
        self._log.stop()

    def finish(
        self, command: Sequence[str], said: str, printed: str, *, outputs: Iterable[Place], read: Iterable[str] = ()
    ) -> None:
        """Keep a build that succeeded: what it read, what it said, and its `outputs` as they are now.

        `read` are files that other programs read for it.
        """
        self.stop()
        for path in read:
            self._log.note(path, read_ns=self._start_ns)
        for module in list(sys.modules.values()):
            name = getattr(module, "__file__", None)
            if isinstance(name, str):
                self._log.note(name, read_ns=_START_NS)
        files, stamps = sorted(project_files(self._root)), self._log.stamps
        # A file of the project that is another by now was edited while the build ran; one that was edited just before
        # may be again within the tick of the clock. Such a build is not kept: the next one looks at everything.
        if not self._log.is_settled or any(stamps.get(path) != stamp_of(path) for path in files):
            return
        record = {
            "setting": setting(command),
            "project": files,
            "stamps": stamps | {os.fspath(path): stamp_of(path) for path in outputs},
            "said": said,
            "printed": printed,
        }
        write_cached(place(self._root), record, version=VERSION)


def last_answer(root: str, command: Sequence[str]) -> tuple[str, str] | None:
    """What the last build said and printed, when a build now would do nothing but say it; None otherwise."""
    record = read_cached(place(root), version=VERSION)
    if record is None or record["setting"] != setting(command) or record["project"] != sorted(project_files(root)):
        return None
    if any(stamp_of(path) != stamp for path, stamp in record["stamps"].items()):
        return None
    return record["said"], record["printed"]


def project_files(root: str) -> Iterator[str]:
    """Every file of the project that a build may read: all but `build/`, what is hidden and the like."""
    with os.scandir(root) as entries:
        for entry in entries:
            # .git, results/.index.sqlite, an editor's swap file: none is an input.
            if entry.name.startswith(".") and entry.name not in STATES:
                continue
            if not entry.is_dir(follow_symlinks=False):
                yield entry.path
            elif entry.name not in SKIPPED:
                yield from project_files(entry.path)


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
    """Where the last build is kept."""
    return os.path.join(root, "build", NAME)  # noqa: PTH118


def forget(root: str) -> None:
    """The next build looks at everything again."""
    try:
        os.unlink(place(root))  # noqa: PTH108
    except OSError:
        return


def setting(command: Sequence[str]) -> list[Any]:
    """What a build depends on besides files, as it comes back from JSON."""
    environment = [[name, value] for name, value in sorted(os.environ.items()) if name not in NOISE]
    return [list(command), sys.version, sys.executable, sys.flags.optimize, environment]
