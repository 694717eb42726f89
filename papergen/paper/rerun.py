"""A finished trial run once more in a store of its own, and whether the same came out."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from papergen.core.errors import PapergenError, ResultError, did_you_mean
from papergen.core.widths import ljust, width_of
from papergen.execution.devices import num_cores
from papergen.execution.launchers.choose import choose_launcher
from papergen.execution.progress import view_for
from papergen.execution.run_trials import run_trials
from papergen.execution.settings import RunSettings, read_settings
from papergen.experiment.project import Project
from papergen.experiment.states import TrialState
from papergen.report.comparison import is_speed
from papergen.store.records import Result, Trial
from papergen.store.runs import Store

Verdict = Literal["exact", "within tolerance", "different", "not compared"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that the trial reported, then and now."""

    name: str
    then: Any
    now: Any
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """A trial that was run again."""

    trial: str
    digest: str
    verdict: Verdict
    """The worst of the checks; those of times and memory are not compared."""
    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


def trials_named(project: Project, states: Sequence[TrialState], key: str) -> list[Trial]:
    """The finished trials of the plan behind `experiment/row[/metric]`, a label, or the beginning of a digest."""
    name = "/".join(key.split("/")[:2])
    found = [item for item in states if item.trial.digest.startswith(key) or name in {item.trial.key, item.trial.label}]
    if not found:
        known = [trial.key for trial in project.trials]
        raise PapergenError(f"{key}: there is no such row or digest. {did_you_mean(name, known)}")
    for item in found:
        if item.state != "finished":
            reason = f" ({item.reason})" if item.reason else ""
            raise ResultError(
                f"{item.trial.label}: is {item.state}{reason}; only a result of today's code and parameters can rerun.",
                hint=f"Run `papergen run-exp {item.trial.experiment}` first.",
            )
    return [item.trial for item in found]


def rerun(project: Project, key: str, *, device: str, tolerance: float) -> list[Rerun]:
    """Run the trials behind `key` again beside their results, which stay as they are; ResultError when one fails now.

    One at a time, by the project's launcher, on `device` ("auto": where there is a GPU there).
    """
    trials = trials_named(project, project.states(), key)
    launch = read_settings(project.root)
    launcher_class, _ = choose_launcher(launch.launcher)
    device, _ = launcher_class.device(device, launch)
    settings = RunSettings.over(launch, launcher=launcher_class.name, jobs=1, device=device, num_cores=num_cores())
    place = project.store.root / ".rerun"
    with (
        project.store.held(),
        view_for(len(trials)) as view,
        launcher_class.from_settings(project.root, settings) as launcher,
    ):
        shutil.rmtree(place, ignore_errors=True)
        store = Store(project.root, root=place)
        try:
            summary = run_trials(
                store,
                trials,
                all_trials=project.trials,
                kinds=project.kinds,
                launcher=launcher,
                settings=settings,
                view=view,
                upstream=project.store,
            )
            if summary.failed:
                trial, failure = summary.failed[0]
                hint = failure.traceback[-1500:] or None
                raise ResultError(f"{trial.label}: failed this time: {failure.cause}", hint=hint)
            return [_compared(project.store, store, trial, tolerance, project) for trial in trials]
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _compared(old: Store, new: Store, trial: Trial, tolerance: float, project: Project) -> Rerun:
    then, now = old.load(trial), new.load(trial)
    assert then is not None, f"{trial.label} is finished"
    assert now is not None, f"{trial.label} was just published"
    speeds = {metric.name for metric in project.kinds[trial.kind].metrics(trial.params) if is_speed(metric.unit)}
    checks = [*_numbers(then, now, speeds, tolerance), *_content(old, new, trial, then, now)]
    order: tuple[Verdict, ...] = ("different", "within tolerance", "exact")
    worst: Verdict = next((verdict for verdict in order if any(check.verdict == verdict for check in checks)), "exact")
    return Rerun(trial=trial.label, digest=trial.digest, verdict=worst, checks=tuple(checks))


def _numbers(then: Result, now: Result, speeds: set[str], tolerance: float) -> Iterator[Check]:
    before, after = then.outcome.metrics, now.outcome.metrics
    for name in dict.fromkeys([*before, *after]):
        x, y = before.get(name), after.get(name)
        verdict: Verdict = "not compared" if name in speeds else _verdict([x], [y], tolerance)
        yield Check(name=name, then=x, now=y, verdict=verdict)
    for name in dict.fromkeys([*then.outcome.units, *now.outcome.units]):
        if name not in speeds:
            x_s, y_s = then.outcome.units.get(name, ()), now.outcome.units.get(name, ())
            yield Check(
                name=f"{name}, unit by unit", then=len(x_s), now=len(y_s), verdict=_verdict(x_s, y_s, tolerance)
            )
    for name in dict.fromkeys([*then.outcome.series, *now.outcome.series]):
        if name not in speeds:
            x_c, y_c = then.outcome.series.get(name, ()), now.outcome.series.get(name, ())
            verdict = _verdict(_flat(x_c), _flat(y_c), tolerance)
            yield Check(name=f"curve {name}", then=len(x_c), now=len(y_c), verdict=verdict)


def _content(old: Store, new: Store, trial: Trial, then: Result, now: Result) -> Iterator[Check]:
    runs = old.run(trial), new.run(trial)
    if any(run.stored_samples is not None for run in runs):
        texts = [list(run.samples()) for run in runs]
        same = sum(x == y for x, y in zip(*texts, strict=False))
        verdict: Verdict = "exact" if texts[0] == texts[1] else "different"
        yield Check(name="samples", then=len(texts[0]), now=f"{len(texts[1])}, {same} the same", verdict=verdict)
    for name in dict.fromkeys([*then.artifacts, *now.artifacts]):
        if not name.startswith(("samples.jsonl", "git.diff")):
            hashes = [_short(result.artifacts, name) for result in (then, now)]
            yield Check(
                name=name,
                then=hashes[0],
                now=hashes[1],
                verdict="exact" if then.artifacts.get(name) == now.artifacts.get(name) else "different",
            )


def _short(artifacts: Mapping[str, str], name: str) -> str:
    return artifacts[name][:12] if name in artifacts else "absent"


def _flat(points: Sequence[tuple[float, float]]) -> list[float]:
    return [number for point in points for number in point]


def _verdict(then: Sequence[float | None], now: Sequence[float | None], tolerance: float) -> Verdict:
    if list(then) == list(now):
        return "exact"
    if len(then) != len(now):
        return "different"
    for x, y in zip(then, now, strict=True):
        if x == y:
            continue
        if x is None or y is None or not math.isclose(x, y, rel_tol=tolerance, abs_tol=tolerance * 1e-3):
            return "different"
    return "within tolerance"


def describe(found: Rerun, tolerance: float) -> str:
    """What a person reads."""
    words = {
        "exact": "the same, bit for bit",
        "within tolerance": f"the same within {tolerance:g}",
        "different": "NOT the same",
        "not compared": "not compared",
    }
    lines = [f"{found.trial}  {found.digest[:12]}: {words[found.verdict]}"]
    width = max((width_of(check.name) for check in found.checks), default=0)
    for check in found.checks:
        note = " (depends on the machine)" if check.verdict == "not compared" else ""
        lines.append(f"  {ljust(check.name, width)}  {check.verdict:<16}  {check.then} -> {check.now}{note}")
    return "\n".join(lines)
