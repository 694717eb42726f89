"""What earlier attempts of a command wrote before they were ended, when a later one goes on from `{scratch}`.

Each attempt writes to an empty `{out}`, so the head of a series stands in a folder that is gone by then.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from papergen.core.errors import PapergenError
from papergen.core.files import read_text
from papergen.experiment.external.metrics import TableLine, is_missing, step_of
from papergen.experiment.external.readers.tables import READERS


class Attempts:
    """The metric files of all attempts at a trial, kept in its scratch while the program writes them."""

    def __init__(self, scratch: Path, out: Path, files: Iterable[str]) -> None:
        self.program_scratch = scratch / "program"
        """The `{scratch}` of the program: apart, so that it finds only what it left there itself."""
        self._kept = scratch / "metrics"
        self._out, self._files = out, sorted(set(files))
        self._number = max((int(folder.name) for folder in self._folders()), default=0) + 1
        self.program_scratch.mkdir(parents=True, exist_ok=True)

    def _folders(self) -> list[Path]:
        return sorted(self._kept.iterdir(), key=lambda folder: int(folder.name)) if self._kept.is_dir() else []

    def keep(self) -> None:
        """Keep the files as they are and as they grow; to be called again and again while the program runs."""
        for file in self._files:
            written, kept = self._out / file, self._kept / str(self._number) / file
            with contextlib.suppress(FileNotFoundError):
                before = kept.stat() if kept.exists() else None
                now = written.stat()
                if before is None or (before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    _same_file(written, kept)

    def leave(self) -> None:
        """Remove what is empty after a failure, so that nothing is said to be left of it."""
        for folder in (self.program_scratch, self._kept):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def before(self, file: str) -> list[list[TableLine]]:
        """The lines of a file that each earlier attempt wrote; a last one that it did not finish is left out."""
        found: list[list[TableLine]] = []
        for folder in self._folders():
            path = folder / file
            if int(folder.name) >= self._number or not path.is_file():
                continue
            found.append(_whole_lines(path, f"{file} of attempt {folder.name}"))
        return found


def _whole_lines(path: Path, where: str) -> list[TableLine]:
    """The lines of a file whose writer may have been killed in the middle of one."""
    text, suffix = read_text(path, where), path.suffix.lower()
    if suffix != ".json":
        return list(READERS[suffix](text[: text.rfind("\n") + 1], where))
    try:
        return list(READERS[suffix](text, where))
    except PapergenError:  # half a document
        return []


def _same_file(written: Path, kept: Path) -> None:
    """A second name for the file: it outlives the attempt's folder and grows with it. A copy where there are none."""
    new = kept.with_name(f"{kept.name}.new")
    new.unlink(missing_ok=True)
    try:
        os.link(written, new)
    except FileNotFoundError:
        raise
    except OSError:  # no hard links on this file system
        shutil.copy2(written, new)
    kept.unlink(missing_ok=True)  # renaming one name of a file to another of its names does nothing (POSIX)
    new.rename(kept)


def joined(
    earlier: Sequence[Sequence[TableLine]], lines: Sequence[TableLine], step: str
) -> tuple[list[TableLine], int]:
    """The lines of all attempts as one series, and how many earlier ones cannot be joined because they lack a step.

    An attempt makes void what earlier ones wrote from its first step on: it went on from before that, or from nothing.
    """
    found = list(lines)
    num_without = 0
    for attempt in reversed(earlier):
        steps = [step_of(line, 0, step, "") for line in found if not is_missing(line.get(step))]
        counted = [line for line in attempt if not is_missing(line.get(step))]
        if steps and counted:
            found = [*(line for line in counted if step_of(line, 0, step, "") < min(steps)), *found]
        elif len(attempt) > 1:
            num_without += len(attempt)
    return found, num_without
