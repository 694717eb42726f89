"""Results from and for elsewhere: an archive to keep or send, and taking in another machine's folders.

Folders copied by hand count as well. What this adds is the check: every file against the hashes in its result.json.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from papergen.core.errors import PapergenError
from papergen.core.files import digest_file, disk_error, read_json, sync_folder
from papergen.core.scratch import scratch_folder
from papergen.store.records import Result
from papergen.store.runs import Run, Store


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of the folders that were found, by their path below results/."""

    taken: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    incomplete: dict[str, list[str]] = field(default_factory=dict)
    """Taken without these files, which were not there (git leaves large ones out)."""
    faults: list[str] = field(default_factory=list)
    """Why others were not taken."""


def write_archive(store: Store, paths: Iterable[str], target: Path) -> int:
    """Pack the trial folders at `paths` (below results/) into a .tar.gz; the same results give the same bytes.

    Returns how many there were. The archive appears whole or not at all.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    count = 0
    try:
        with temporary.open("wb") as raw:
            with (
                gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
            ):
                for path in sorted(paths):
                    count += 1
                    for file in sorted(item for item in (store.root / path).rglob("*") if item.is_file()):
                        archive.add(file, f"results/{file.relative_to(store.root).as_posix()}", filter=_anonymous)
            raw.flush()
            os.fsync(raw.fileno())
        temporary.replace(target)
        sync_folder(target.resolve().parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, target) from error
    return count


def import_results(store: Store, source: Path) -> Imported:
    """Take in every result below `source`: a paper project, its results folder, one trial's folder, or an archive."""
    outcome = Imported()
    if not source.exists():
        raise PapergenError(f"{source}: there is no such file or folder.")
    with _unpacked(source, store) as folder:
        runs = [Run(path.parent) for path in sorted(folder.rglob("result.json")) if not _is_hidden(path, folder)]
        if not runs:
            raise PapergenError(f"{source}: holds no result (no result.json).")
        for run in runs:
            try:
                _take(store, run, outcome, str(run.folder.relative_to(folder)))
            except PapergenError as error:
                outcome.faults.append(error.message)
    return outcome


def missing_artifacts(run: Run, result: Result, where: str) -> list[str]:
    """The files that the result speaks of and its folder has not; PapergenError when one is not what it was."""
    missing = []
    for name, digest in result.artifacts.items():
        path = run.folder / name
        if not path.resolve().is_relative_to(run.folder.resolve()):
            raise PapergenError(f"{where}: speaks of {name}, a file outside its folder.")
        if not path.is_file():
            missing.append(name)
        elif digest_file(path) != digest:
            raise PapergenError(f"{where}/{name}: is not the file that the trial made (its SHA-256 differs).")
    return missing


def _take(store: Store, run: Run, outcome: Imported, where: str) -> None:
    result = Result.from_json(read_json(run.result_file), f"{where}/result.json")
    path = store.path_of(result.trial)
    missing = missing_artifacts(run, result, where)
    final = store.run(result.trial)
    if final.result_file.exists():
        same = read_json(final.result_file) == read_json(run.result_file)
        if not same:
            raise PapergenError(f"{where}: another run of this trial is here already ({path}); that one was kept.")
        outcome.present.append(path)
        return
    if final.folder.exists():
        store.set_aside(final)
    with scratch_folder("import", store.root / ".running") as scratch:
        try:
            # Deeper than attempts lie: what a killed import leaves is not taken for a trial that has finished.
            staged = Path(shutil.copytree(run.folder, scratch / "copy" / "trial"))
            for file in staged.rglob("*"):
                if file.is_file():
                    with file.open("rb") as stream:
                        os.fsync(stream.fileno())
            final.folder.parent.mkdir(parents=True, exist_ok=True)
            staged.rename(final.folder)
            sync_folder(final.folder.parent)
        except OSError as error:
            raise disk_error(error, final.folder) from error
    outcome.taken.append(path)
    if missing:
        outcome.incomplete[path] = missing


@contextmanager
def _unpacked(source: Path, store: Store) -> Iterator[Path]:
    """The folder to look in; that of an archive lies in the store for as long as it is needed."""
    if source.is_dir():
        yield source
        return
    with scratch_folder("import", store.root / ".running") as scratch:
        folder = scratch / "unpacked"
        try:
            with tarfile.open(source) as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
            why = "no .tar.gz" if "\n" in str(error) else error  # it lists what each compression said
            raise PapergenError(f"{source}: not a whole archive that papergen made ({why}).") from error
        except OSError as error:
            raise disk_error(error, folder) from error
        yield folder


def _is_hidden(path: Path, root: Path) -> bool:
    """Whether it lies in a folder of attempts, failures or damaged results."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without owner and time: only names and contents."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
