"""The store kept tidy: what attempts have left behind, and its removal."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from papergen.core.errors import PapergenError, did_you_mean
from papergen.core.files import disk_error, read_json, sync_folder, write_json
from papergen.store.index import Entry, Index
from papergen.store.records import Result, Trial
from papergen.store.runs import Run, Store

LeftoverKind = Literal["running", "scratch", "failed", "unavailable", "damaged"]

MIN_DIGEST = 6
"""Digits of a digest that name a result."""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A folder of the store that is no result."""

    kind: LeftoverKind
    folder: Path
    num_bytes: int
    is_wanted: bool
    """Whether a trial of the plan may still go on from it (scratch), or `papergen status` and tables tell of it."""


def leftovers(store: Store, plan: Collection[Trial]) -> tuple[Leftover, ...]:
    """What attempts left under results/: stopped ones, scratch, failures, notes of n/a, damaged results set aside."""
    unfinished = [trial for trial in plan if not store.is_finished(trial)]
    wanted = {store.scratch(trial) for trial in unfinished}
    wanted |= {run.folder for trial in unfinished for run in (store.failed(trial), store.unavailable_run(trial))}
    return tuple(
        Leftover(kind=kind, folder=folder, num_bytes=_num_bytes(folder), is_wanted=folder in wanted)
        for kind in get_args(LeftoverKind)
        for folder in _folders(store.root / f".{kind}", is_flat=kind == "damaged")
    )


def recover(store: Store) -> list[Trial]:
    """Publish what a killed run-exp had finished but not yet moved into place; put back what it had moved away.

    Call it while the store is held, before anything runs. Returns the trials whose results are there again.
    """
    found: list[Trial] = []
    root = store.root / ".running"
    # Attempts first: where a publication was killed between its two renames the new result lies there, and the one that
    # it replaced beside it.
    for folder in sorted(_folders(root, is_flat=False), key=lambda folder: folder.name.startswith("replaced-")):
        run = Run(folder)
        if not run.result_file.exists():
            continue
        try:
            result = Result.from_json(read_json(run.result_file), store.shown(run.result_file))
        except PapergenError:
            continue
        final = store.run(result.trial).folder
        if final.exists():
            continue
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(final)
            sync_folder(final.parent)
        except OSError as error:
            raise disk_error(error, final) from error
        found.append(result.trial)
    return found


def copy_renamed(store: Store, trials: Collection[Trial]) -> list[tuple[Trial, str]]:
    """Give trials the results that stand under another name: a renamed row is the same trial, and is not run again.

    Call it while the store is held. The other folder stays; returns each trial with the label of where it came from.
    """
    index = Index(store)
    try:
        places = index.by_digest()
    finally:
        index.close()
    found: list[tuple[Trial, str]] = []
    for trial in trials:
        path = places.get(trial.digest)
        if path is None or store.is_finished(trial) or path == store.path_of(trial):
            continue
        source = Run(store.root / path)
        result = Result.from_json(read_json(source.result_file), store.shown(source.result_file))
        attempt, final = store.attempt(trial), store.run(trial)
        shutil.rmtree(attempt.folder, ignore_errors=True)
        try:
            shutil.copytree(source.folder, attempt.folder, ignore=shutil.ignore_patterns("result.json"))
            write_json(attempt.trial_file, trial.to_json())
            write_json(attempt.result_file, replace(result, trial=trial).to_json())
            final.folder.parent.mkdir(parents=True, exist_ok=True)
            attempt.folder.rename(final.folder)
            sync_folder(final.folder.parent)
        except OSError as error:
            raise disk_error(error, final.folder) from error
        found.append((trial, result.trial.label))
    return found


def remove_leftover(leftover: Leftover) -> None:
    """Delete it, and the folder of its experiment when that is empty then."""
    try:
        shutil.rmtree(leftover.folder)
        parent = leftover.folder.parent
        if not any(parent.iterdir()):
            parent.rmdir()
    except OSError as error:
        raise disk_error(error, leftover.folder) from error


def find_results(entries: Sequence[Entry], keys: Sequence[str], current: Collection[str]) -> list[Entry]:
    """The results that the keys name: a digest's beginning, experiment, experiment/row, or "old" (not in `current`)."""
    found: dict[str, Entry] = {}
    for key in keys:
        if key == "old":
            hits = [entry for entry in entries if entry.digest and entry.digest not in current]
        else:
            hits = [item for item in entries if key in {item.experiment, f"{item.experiment}/{item.row}", item.label}]
            if not hits and len(key) >= MIN_DIGEST:
                hits = [entry for entry in entries if entry.digest.startswith(key)]
            if not hits:
                known = {f"{entry.experiment}/{entry.row}" for entry in entries if entry.digest}
                raise PapergenError(f"{key}: there is no result of this name. {did_you_mean(key, known)}")
        found |= {entry.path: entry for entry in hits}
    return list(found.values())


def delete_results(store: Store, entries: Sequence[Entry]) -> None:
    """Delete them: moved aside first, so that a folder is never half a result."""
    for entry in entries:
        target = store.root / ".running" / f"replaced-{time.time_ns():x}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            (store.root / entry.path).rename(target)
            # Without its record it is no result that a killed run-exp left, to be taken in again.
            Run(target).result_file.unlink()
            shutil.rmtree(target)
        except OSError as error:
            raise disk_error(error, store.root / entry.path) from error


def _folders(root: Path, *, is_flat: bool) -> Iterator[Path]:
    """The trial folders below `root`, which lie in folders of their experiments; replaced results do not."""
    if not root.is_dir():
        return
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if is_flat or folder.name.startswith("replaced-"):
            yield folder
        else:
            yield from sorted(path for path in folder.iterdir() if path.is_dir())


def _num_bytes(folder: Path) -> int:
    return sum(os.lstat(Path(place) / name).st_size for place, _, names in os.walk(folder) for name in names)
