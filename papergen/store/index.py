"""The index of the store: what every result folder holds, in results/.index.sqlite, so that 10,000 are read at once.

The folders are the truth. Each look compares the index with them (name and stamp of every result.json: the inode tells
apart two that were renamed into place within one tick of the clock), reads what is new and forgets what is gone;
deleting the file costs one rebuild and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from papergen.core.errors import PapergenError
from papergen.core.files import read_json
from papergen.core.stamps import Stamp, stamp_of
from papergen.store.records import Result
from papergen.store.runs import Run, Store

VERSION = 3
"""Of the table below; an index of another version is made anew."""

WAIT_S = 5.0
"""For another process that is writing the index."""

COLUMNS = (
    "size INTEGER",
    "mtime_ns INTEGER",
    "ctime_ns INTEGER",
    "inode INTEGER",
    "path TEXT PRIMARY KEY",
    "fault TEXT",
    "experiment TEXT",
    "row TEXT",
    "seed INTEGER",
    "is_seeded INTEGER",
    "kind TEXT",
    "digest TEXT",
    "parts TEXT",
    "metrics TEXT",
    "started TEXT",
    "duration_s REAL",
    "hostname TEXT",
    "device TEXT",
    "git_commit TEXT",
)
ABSENT: Stamp = [0, 0, 0, 0]
"""In the place of the stamp of a result.json that is not there."""
NAMES = tuple(column.split()[0] for column in COLUMNS)
STAMP, FIELDS = NAMES[:4], NAMES[4:]
"""Columns of the stamp, and of the fields of an `Entry`."""


@dataclass(frozen=True)
class Entry:
    """One folder of the store, by its path below results/. A damaged or foreign one has a `fault` and little else."""

    path: str
    fault: str = ""
    experiment: str = ""
    row: str = ""
    seed: int = 0
    is_seeded: bool = True
    kind: str = ""
    digest: str = ""
    parts: Mapping[str, Any] | None = None
    metrics: Mapping[str, float | None] | None = None
    started: str = ""
    duration_s: float = 0.0
    hostname: str = ""
    device: str = ""
    git_commit: str = ""

    @property
    def label(self) -> str:
        """As `Trial.label`; the path of a folder that holds no result."""
        seed = f" seed {self.seed}" if self.is_seeded else ""
        return f"{self.experiment}/{self.row}{seed}" if self.digest else self.path


class Index:
    """The store as it was when this was made. Reading it opens no result."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._file = store.root / ".index.sqlite"
        self._connection = self._opened()
        try:
            self._refresh()
        except sqlite3.DatabaseError:  # damaged, locked for too long, or on a file system without locks
            self._connection.close()
            with contextlib.suppress(OSError):
                self._file.unlink()
            self._connection = _made(":memory:")
            self._refresh()

    @property
    def finished(self) -> set[str]:
        """Paths of the whole results."""
        return {path for (path,) in self._connection.execute("SELECT path FROM runs WHERE fault = ''")}

    @property
    def faults(self) -> dict[str, str]:
        """Path -> what is wrong with the folder."""
        return dict(self._connection.execute("SELECT path, fault FROM runs WHERE fault != '' ORDER BY path"))

    def newest(self) -> dict[tuple[str, str, int], str]:
        """(experiment, row, seed) -> path of the newest result under any digest."""
        found = self._connection.execute(
            "SELECT experiment, row, seed, path FROM runs WHERE fault = '' ORDER BY mtime_ns, path"
        )
        return {(experiment, row, seed): path for experiment, row, seed, path in found}

    def by_digest(self) -> dict[str, str]:
        """Digest -> path of a whole result with it, whatever its row is called."""
        return dict(self._connection.execute("SELECT digest, path FROM runs WHERE fault = '' ORDER BY path DESC"))

    def parts(self, path: str) -> dict[str, Any]:
        """What decided the numbers of the result at `path`."""
        (text,) = self._connection.execute("SELECT parts FROM runs WHERE path = ?", (path,)).fetchone()
        found: dict[str, Any] = json.loads(text)
        return found

    def entries(self) -> Iterator[Entry]:
        """Everything, in the order of the paths."""
        for record in self._connection.execute(f"SELECT {', '.join(FIELDS)} FROM runs ORDER BY path"):
            fields = dict(zip(FIELDS, record, strict=True))
            fields |= {name: json.loads(fields[name]) if fields[name] else None for name in ("parts", "metrics")}
            yield Entry(**{**fields, "is_seeded": bool(fields["is_seeded"])})

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        if not self._store.root.is_dir():
            return _made(":memory:")
        try:
            return _made(str(self._file))
        except sqlite3.DatabaseError:
            with contextlib.suppress(OSError):
                self._file.unlink()
            try:
                return _made(str(self._file))
            except sqlite3.DatabaseError:  # results/ cannot be written
                return _made(":memory:")

    def _refresh(self) -> None:
        stamps = self._connection.execute(f"SELECT path, {', '.join(STAMP)} FROM runs")
        known = {path: stamp for path, *stamp in stamps}
        found = dict(_folders(self._store.root))
        gone = [(path,) for path in known.keys() - found.keys()]
        new = [path for path in sorted(found) if known.get(path) != found[path]]
        if not gone and not new:
            return
        with self._connection:
            self._connection.executemany("DELETE FROM runs WHERE path = ?", gone)
            marks = ", ".join("?" * len(NAMES))
            self._connection.executemany(
                f"INSERT OR REPLACE INTO runs VALUES ({marks})", self._read((path, found[path]) for path in new)
            )

    def _read(self, found: Iterable[tuple[str, Stamp]]) -> Iterator[tuple[Any, ...]]:
        for path, stamp in found:
            entry = self._entry(path, is_absent=stamp == ABSENT)
            values = [getattr(entry, name) for name in FIELDS]
            yield (*stamp, *(json.dumps(value) if isinstance(value, Mapping) else value for value in values))

    def _entry(self, path: str, *, is_absent: bool) -> Entry:
        run = Run(self._store.root / path)
        shown = self._store.shown(run.result_file)
        if is_absent:
            return Entry(path, fault=f"{self._store.shown(run.folder)}: holds no result.json")
        try:
            result = Result.from_json(read_json(run.result_file), shown)
            trial, provenance = result.trial, result.provenance
            if (expected := self._store.path_of(trial)) != path:
                raise PapergenError(f"{shown}: this result belongs in {expected}.")
        except (PapergenError, OSError) as error:
            fault = error.message if isinstance(error, PapergenError) else f"{shown}: {error.strerror}"
            return Entry(path, fault=fault)
        return Entry(
            path,
            experiment=trial.experiment,
            row=trial.row,
            seed=trial.seed,
            is_seeded=trial.is_seeded,
            kind=trial.kind,
            digest=trial.digest,
            parts=trial.parts,
            metrics=result.outcome.metrics,
            started=provenance.started,
            duration_s=provenance.duration_s,
            hostname=provenance.hostname,
            device=provenance.device,
            git_commit=provenance.git_commit,
        )


def _made(place: str) -> sqlite3.Connection:
    """The database at `place` with our table in it."""
    connection = sqlite3.connect(place, timeout=WAIT_S)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            with connection:
                connection.execute("DROP TABLE IF EXISTS runs")
                connection.execute(f"CREATE TABLE runs ({', '.join(COLUMNS)}) WITHOUT ROWID")
                connection.execute(f"PRAGMA user_version = {VERSION}")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _folders(root: Path) -> Iterator[tuple[str, Stamp]]:
    """Every folder where a trial's could lie -> the stamp of its result.json; ABSENT where it has none."""
    if not root.is_dir():
        return
    with os.scandir(root) as experiments:
        for experiment in experiments:
            if experiment.name.startswith(".") or not experiment.is_dir():
                continue
            with os.scandir(experiment.path) as folders:
                for folder in folders:
                    if folder.name.startswith(".") or not folder.is_dir():
                        continue
                    yield f"{experiment.name}/{folder.name}", stamp_of(f"{folder.path}/result.json") or ABSENT
