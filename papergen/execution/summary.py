"""What a run-exp did, trial by trial, and how it is told at its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from papergen.core.errors import MachineError, ResultError, counted
from papergen.store.failures import Failure, FailureKind
from papergen.store.records import Trial

MAX_FAILED = 5
"""Failures told in full."""
MAX_SKIPPED = 20
TRACEBACK_LINES = 12
"""Of the end of a traceback; the log has all of it."""


@dataclass
class Summary:
    """What a run-exp did."""

    num_finished_before: int = 0
    finished: list[Trial] = field(default_factory=list)
    failed: list[tuple[Trial, Failure]] = field(default_factory=list)
    skipped: list[tuple[Trial, str]] = field(default_factory=list)
    """Trials that could not be tried because another failed first, and which."""

    @property
    def exit_code(self) -> int:
        """3 when the machine made a trial fail (no room, no device), 1 when another reason did, 0 when all is done."""
        if {failure.kind for _, failure in self.failed} & {FailureKind.DISK_FULL, FailureKind.MACHINE}:
            return MachineError.exit_code
        return ResultError.exit_code if self.failed or self.skipped else 0

    def to_json(self) -> dict[str, int | str]:
        """The event that ends the stream of `--json`."""
        counts = {"finished": len(self.finished), "failed": len(self.failed), "skipped": len(self.skipped)}
        return {"event": "ended", **counts, "cached": self.num_finished_before}

    def counts(self) -> str:
        """One line of counts."""
        counts = f"{counted(len(self.finished), 'trial')} finished, {len(self.failed)} failed"
        return f"{counts}, {self.num_finished_before} were finished before"

    def problems(self) -> list[str]:
        """What a person should know of the trials that have no result."""
        lines: list[str] = []
        for trial, failure in self.failed[:MAX_FAILED]:
            lines += ["", f"FAILED {trial.label}: {failure.cause}", "\n".join(_details(failure))]
            if failure.log:
                lines.append(f"log: {failure.log}")
        if len(self.failed) > MAX_FAILED:
            rest = len(self.failed) - MAX_FAILED
            lines += ["", f"... and {rest} more failed: `papergen status --state failed`"]
        lines += [f"skipped {trial.label}: {cause} failed" for trial, cause in self.skipped[:MAX_SKIPPED]]
        if len(self.skipped) > MAX_SKIPPED:
            lines.append(f"... and {len(self.skipped) - MAX_SKIPPED} more were skipped")
        return lines

    @property
    def is_disk_full(self) -> bool:
        """Whether a trial failed because there was no room."""
        return any(failure.kind is FailureKind.DISK_FULL for _, failure in self.failed)


def _details(failure: Failure) -> list[str]:
    """The end of the traceback; of an error that the user can mend only what to do about it."""
    if failure.advice is not None:
        return failure.advice.splitlines()
    return failure.traceback.rstrip().splitlines()[-TRACEBACK_LINES:]
