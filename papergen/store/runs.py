"""The run store: one folder per trial under results/, published by one rename, never half there.

results/
  decoding/nucleus-seed1-1f3a9c0b7d22/   trial.json  result.json  log.txt  samples.jsonl[.gz]  + artifacts (model/)
  .running/<same name>/                  an attempt under way, or what a killed one left
  .scratch/<same name>/                  what attempts at a trial leave for the next one; gone when it is published
  .failed/<same name>/                   the last failed attempt: trial.json  failure.json  log.txt  rank*.log
  .unavailable/<same name>/              trial.json  unavailable.json: why it cannot run on the device that was tried
  .damaged/<name>/                       folders whose result.json no longer matches its hash
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from papergen.core.errors import PapergenError
from papergen.core.files import (
    compress,
    digest_file,
    disk_error,
    read_json,
    slug,
    sync_folder,
    write_json,
)
from papergen.core.locks import holder_of, locked
from papergen.core.phrase import Phrase
from papergen.store.failures import Failure
from papergen.store.records import SCHEMA, Outcome, Provenance, Result, Trial

LARGE_SAMPLES = 2**18
"""Bytes of samples.jsonl from which on it is compressed when the trial is published."""


@dataclass(frozen=True)
class Run:
    """Every path of one trial's folder. Making a Run creates nothing."""

    folder: Path

    @property
    def trial_file(self) -> Path:
        """What is to be run, written before it starts."""
        return self.folder / "trial.json"

    @property
    def result_file(self) -> Path:
        """Written last: its presence means "done"."""
        return self.folder / "result.json"

    @property
    def outcome_file(self) -> Path:
        """What rank 0 reported, folded into result.json when the trial is published."""
        return self.folder / "outcome.json"

    @property
    def failure_file(self) -> Path:
        """Why the attempt failed."""
        return self.folder / "failure.json"

    @property
    def unavailable_file(self) -> Path:
        """Why the trial cannot run on the device where it was tried, in the place of a result."""
        return self.folder / "unavailable.json"

    @property
    def samples_file(self) -> Path:
        """One JSON record per generated sample, as it is written while the trial runs."""
        return self.folder / "samples.jsonl"

    @property
    def stored_samples(self) -> Path | None:
        """The samples of a finished trial, compressed when they are large; None when it made none."""
        packed = self.folder / f"{self.samples_file.name}.gz"
        return packed if packed.exists() else self.samples_file if self.samples_file.exists() else None

    def samples(self) -> Iterator[dict[str, Any]]:
        """The records of the samples, one after the other; PapergenError at the line of a damaged one."""
        path = self.stored_samples
        if path is None:
            return
        opener: Any = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise PapergenError(f"{path}:{number}: not a line of JSON ({error}).") from error

    def rank_log(self, rank: int) -> Path:
        """Standard output and error of one rank."""
        return self.folder / f"rank{rank}.log"

    def artifact(self, name: str) -> Path:
        """Where the artifact of that name lies: in the folder, or among what a command wrote to its `{out}`."""
        inside = self.folder / "out" / name
        return inside if inside.exists() and not (self.folder / name).exists() else self.folder / name

    @property
    def artifacts(self) -> Iterator[Path]:
        """The files that are neither records nor logs, in sorted order."""
        known = {self.trial_file, self.result_file, self.outcome_file, self.failure_file}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path not in known and path.suffix != ".log":
                yield path

    def clear(self, *, keep_logs: bool = False) -> None:
        """Empty the folder of an attempt but for trial.json, and for the logs where they go on."""
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != self.trial_file and not (keep_logs and path.suffix == ".log"):
                path.unlink()


class Store:
    """The results of one paper project, in its results/ or in another folder `root`."""

    def __init__(self, project: Path, root: Path | None = None) -> None:
        self.project = project
        self.root = root or project / "results"

    def run(self, trial: Trial) -> Run:
        """Where the finished trial lies or will lie."""
        return Run(self.root / self.path_of(trial))

    def path_of(self, trial: Trial) -> str:
        """The folder of the finished trial, relative to results/."""
        return f"{slug(trial.experiment)}/{trial.folder_name}"

    def attempt(self, trial: Trial) -> Run:
        """Where the trial is being run."""
        return Run(self.root / ".running" / slug(trial.experiment) / trial.folder_name)

    def scratch(self, trial: Trial) -> Path:
        """What attempts at the trial leave for the next one to go on from."""
        return self.root / ".scratch" / slug(trial.experiment) / trial.folder_name

    def failed(self, trial: Trial) -> Run:
        """Where the last failed attempt is kept."""
        return Run(self.root / ".failed" / slug(trial.experiment) / trial.folder_name)

    def is_finished(self, trial: Trial) -> bool:
        """Whether the trial's result is there (one stat; its content is checked when it is read)."""
        return self.run(trial).result_file.exists()

    def failures(self) -> set[str]:
        """The folders that hold a failed attempt, relative to results/.failed/."""
        root = self.root / ".failed"
        return {path.relative_to(root).as_posix() for path in root.glob("*/*")} if root.is_dir() else set()

    def failure(self, trial: Trial) -> Failure | None:
        """Why the last attempt failed, None when none did."""
        path = self.failed(trial).failure_file
        return Failure.from_json(_record(path)) if path.exists() else None

    def unavailable(self, trial: Trial) -> str | None:
        """Why the trial cannot run on the device where it was last tried; None when nothing of the kind is known."""
        path = self.unavailable_run(trial).unavailable_file
        if not path.exists():
            return None
        record = _record(path)
        reason = str(record.get("reason", "its record does not say why"))
        return Phrase(reason, str(record["reason_zh"])) if "reason_zh" in record else reason

    def set_unavailable(self, trial: Trial, reason: str, *, device: str, hostname: str) -> None:
        """Record that the trial cannot run on that device; a result of it, made elsewhere later, takes the place."""
        run = self.unavailable_run(trial)
        write_json(run.trial_file, trial.to_json())
        record = {"schema": SCHEMA, "reason": reason, "device": device, "hostname": hostname}
        if isinstance(reason, Phrase):
            record["reason_zh"] = reason.zh
        write_json(run.unavailable_file, record)
        shutil.rmtree(self.failed(trial).folder, ignore_errors=True)

    def unavailable_run(self, trial: Trial) -> Run:
        """Where the note lies that the trial cannot run on the device that was tried."""
        return Run(self.root / ".unavailable" / slug(trial.experiment) / trial.folder_name)

    def load(self, trial: Trial) -> Result | None:
        """The trial's result; None when there is none. A damaged folder is set aside, and an error names it."""
        run = self.run(trial)
        if not run.result_file.exists():
            return None
        try:
            result = Result.from_json(read_json(run.result_file), self.shown(run.result_file))
            if result.trial.digest != trial.digest:
                raise PapergenError(
                    f"{self.shown(run.result_file)}: holds the result of another trial ({result.trial.label})."
                )
        except PapergenError as error:
            raise PapergenError(
                f"{error.message}\nSet aside as {self.shown(self.set_aside(run))}; nothing was deleted.",
                hint="Run `papergen run-exp` to make the result again.",
            ) from error
        return result

    def set_aside(self, run: Run) -> Path:
        """Move a damaged folder out of the way and return where it lies now; MachineError when it cannot be moved."""
        target = self.root / ".damaged" / f"{run.folder.name}-{time.time_ns():x}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            return run.folder.rename(target)
        except OSError as error:
            raise disk_error(error, run.folder) from error

    def begin(self, trial: Trial) -> Run:
        """An empty attempt folder with trial.json in it; the trial's scratch as an earlier attempt left it.

        What lies in the place of the trial's result and is none is set aside.
        """
        run, final = self.attempt(trial), self.run(trial)
        if final.folder.exists():
            if not final.result_file.exists():
                self.set_aside(final)
            with contextlib.suppress(PapergenError):
                self.load(trial)
        try:
            if run.folder.exists():
                shutil.rmtree(run.folder)
            self.scratch(trial).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(error, run.folder) from error
        write_json(run.trial_file, trial.to_json())
        return run

    def publish(self, trial: Trial, provenance: Provenance) -> Result:
        """Turn a successful attempt into the trial's result: result.json last, then one rename of the whole folder."""
        attempt = self.attempt(trial)
        outcome = Outcome(**read_json(attempt.outcome_file))
        if attempt.samples_file.exists() and attempt.samples_file.stat().st_size > LARGE_SAMPLES:
            compress(attempt.samples_file)
        artifacts = {path.relative_to(attempt.folder).as_posix(): digest_file(path) for path in attempt.artifacts}
        before = self.failure(trial)
        if before is not None:
            provenance = replace(
                provenance, failed_attempts=[*before.attempts, before.cause, *provenance.failed_attempts]
            )
        result = Result(trial=trial, outcome=outcome, provenance=provenance, artifacts=artifacts)
        # From here on the attempt is a result: killed before the rename below, `recover` moves it into its place. All
        # that it names is on the disk already: the rank syncs its files before it reports (`worker/rank.py`).
        write_json(attempt.result_file, result.to_json())
        attempt.outcome_file.unlink()
        final = self.run(trial)
        try:
            final.folder.parent.mkdir(parents=True, exist_ok=True)
            if final.folder.exists():  # --force: the old result goes only now that the new one is whole
                old = self.root / ".running" / f"replaced-{time.time_ns():x}"
                final.folder.rename(old)  # a folder cannot be renamed onto one that is not empty
                # Killed here there is no result in place, but two under .running/: `recover` takes the new one.
                attempt.folder.rename(final.folder)
                shutil.rmtree(old, ignore_errors=True)
            else:
                attempt.folder.rename(final.folder)
            sync_folder(final.folder.parent)
            sync_folder(self.root)  # which may hold the experiment's folder since a moment ago
        except OSError as error:
            raise disk_error(error, final.folder) from error
        shutil.rmtree(self.scratch(trial), ignore_errors=True)
        shutil.rmtree(self.unavailable_run(trial).folder, ignore_errors=True)
        # The failures of earlier versions of this row and seed are mended too.
        for failure in self.failed(trial).folder.parent.glob(f"{slug(trial.row)}-seed{trial.seed}-*"):
            shutil.rmtree(failure, ignore_errors=True)
        return result

    def fail(self, trial: Trial, failure: Failure) -> Run:
        """Keep a failed attempt apart, with its cause, and return where."""
        attempt, kept, before = self.attempt(trial), self.failed(trial), self.failure(trial)
        if before is not None:
            failure = replace(failure, attempts=[*before.attempts, before.cause, *failure.attempts])
        shutil.rmtree(kept.folder, ignore_errors=True)
        kept.folder.parent.mkdir(parents=True, exist_ok=True)
        attempt.folder.mkdir(parents=True, exist_ok=True)
        log = attempt.rank_log(failure.rank or 0)
        kept_log = self.shown(kept.folder / log.name) if log.exists() else ""
        write_json(attempt.failure_file, {**asdict(failure), "log": kept_log})
        attempt.folder.rename(kept.folder)
        with contextlib.suppress(OSError):  # only an empty one: most experiments leave nothing there
            self.scratch(trial).rmdir()
        return kept

    def is_running(self) -> Callable[[Trial], bool]:
        """Whether a run-exp on this machine is at work on a trial at this moment (not what a killed one left)."""
        holder = holder_of(self._lock)

        def found(trial: Trial) -> bool:
            try:
                return holder is not None and self.attempt(trial).trial_file.stat().st_mtime_ns >= holder.since_ns
            except OSError:
                return False

        return found

    @property
    def _lock(self) -> Path:
        return self.root / ".lock"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """One run-exp per project at a time."""
        with locked(
            self._lock,
            f"{self.shown(self.root)}: another `papergen run-exp` is running here.\nWait for it, or stop it first.",
        ):
            yield

    def shown(self, path: Path) -> str:
        """`path` as the user would type it from inside the project."""
        try:
            return os.fspath(path.relative_to(self.project))
        except ValueError:
            return os.fspath(path)


def _record(path: Path) -> dict[str, Any]:
    """A record of ours; PapergenError when the file holds something else."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise PapergenError(f"{path}: not a papergen record.", hint="Remove the file and run the trial again.")
    return found
