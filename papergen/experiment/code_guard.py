"""Whether the code is still the planned one when a trial starts: an edited file must not run under the old name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from papergen.experiment.kind import Kind
from papergen.store.records import Trial

Signature = tuple[int, int]


class CodeGuard:
    """Looks at the project's files that trials were planned with; their content only where size or time changed."""

    def __init__(self, project: Path, kinds: Mapping[str, Kind], trials: Iterable[Trial]) -> None:
        self._project = project
        self._kinds = kinds
        names = {name for trial in trials for name in trial.parts.get("code", {})}
        self._known = {name: self._signature(name) for name in names}

    def changed(self, trial: Trial) -> list[str]:
        """The files whose part in the trial's numbers is another than when it was planned."""
        planned: Mapping[str, str] = trial.parts.get("code", {})
        if all(self._known.get(name) == self._signature(name) for name in planned):
            return []
        return changed_files(trial, self._kinds[trial.kind], self._project)

    def _signature(self, name: str) -> Signature | None:
        """Time and size of a file of the project; None for one of an installed package, which is not edited."""
        try:
            status = (self._project / name).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


def changed_files(trial: Trial, kind: Kind, project: Path) -> list[str]:
    """The files whose part in the trial's numbers is another than when it was planned, by their content."""
    planned: Mapping[str, str] = trial.parts.get("code", {})
    code = kind.code_of(kind.params_of(trial.params), project) if kind.chooses_code else None
    now = (code or kind.code(project)).files
    return sorted(name for name in {*planned, *now} if planned.get(name) != now.get(name))
