"""Which trials can run on the device at hand, and why the others cannot: those are recorded as n/a, not as failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from papergen.experiment.kind import Kind
from papergen.store.records import Trial


@dataclass(frozen=True, kw_only=True)
class Availability:
    """Trials by what this device can do with them, each group in plan order."""

    runnable: Sequence[Trial]
    unavailable: Sequence[tuple[Trial, str]]
    """Trials that cannot run here, and why."""
    orphaned: Sequence[tuple[Trial, Trial]]
    """Trials that need the result of one that cannot run here, and which."""


def availability_of(trials: Sequence[Trial], kinds: Mapping[str, Kind], *, device: str, num_gpus: int) -> Availability:
    """Ask each trial's kind whether it can run; `trials` in plan order, upstream ones first."""
    runnable: list[Trial] = []
    unavailable: list[tuple[Trial, str]] = []
    orphaned: list[tuple[Trial, Trial]] = []
    missing: dict[str, Trial] = {}
    for trial in trials:
        kind = kinds[trial.kind]
        reason = kind.unavailable(kind.params_of(trial.params), device, num_gpus)
        needed = next((missing[digest] for digest in trial.upstream.values() if digest in missing), None)
        if reason is not None:
            unavailable.append((trial, reason))
            missing[trial.digest] = trial
        elif needed is not None:
            orphaned.append((trial, needed))
            missing[trial.digest] = needed
        else:
            runnable.append(trial)
    return Availability(runnable=runnable, unavailable=unavailable, orphaned=orphaned)
