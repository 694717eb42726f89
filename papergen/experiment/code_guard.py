"""Whether the code is still the planned one when a trial starts: an edited file must not run under the old name."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from papergen.core.stamps import UNSETTLED, Stamp, settled_stamp, stamp_of
from papergen.experiment.kind import Kind
from papergen.store.records import Trial


class CodeGuard:
    """Looks at the project's files that trials were planned with; their content only where the stamp changed."""

    def __init__(self, project: Path, kinds: Mapping[str, Kind], trials: Iterable[Trial]) -> None:
        self._project = project
        self._kinds = kinds
        names = {name for trial in trials for name in trial.parts.get("code", {})}
        now_ns = time.time_ns()
        self._known: dict[str, Stamp] = {name: settled_stamp(project / name, read_ns=now_ns) for name in names}

    def changed(self, trial: Trial) -> list[str]:
        """The files whose part in the trial's numbers is another than when it was planned."""
        planned: Mapping[str, str] = trial.parts.get("code", {})
        # A file of an installed package has a name that is none of the project's: no stamp, then and now.
        now = {name: stamp_of(self._project / name) for name in planned}
        if all(self._known.get(name, UNSETTLED) == stamp for name, stamp in now.items()):
            return []
        began_ns = time.time_ns()
        if changed := changed_files(trial, self._kinds[trial.kind], self._project):
            return changed
        # Touched, or edited in what no number depends on: from now on this is the stamp of the planned content.
        self._known |= {name: settled_stamp(self._project / name, read_ns=began_ns) for name in planned}
        return []


def refusal(files: Sequence[str]) -> str:
    """Why a trial is not started of which these files have changed."""
    return f"not run: {', '.join(files)} changed since this run was planned"


def changed_files(trial: Trial, kind: Kind, project: Path) -> list[str]:
    """The files whose part in the trial's numbers is another than when it was planned, by their content."""
    planned: Mapping[str, str] = trial.parts.get("code", {})
    code = kind.code_of(kind.params_of(trial.params), project) if kind.chooses_code else None
    now = (code or kind.code(project)).files
    return sorted(name for name in {*planned, *now} if planned.get(name) != now.get(name))
