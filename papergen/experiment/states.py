"""How things stand with the trials of a plan: finished, failed, unavailable, stale and why, or pending."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from papergen.store.index import Index
from papergen.store.records import State, Trial
from papergen.store.runs import Store

_ABSENT = object()
"""In the place of the value of a parameter that there is not."""


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """A trial and how things stand with it."""

    trial: Trial
    state: State
    reason: str = ""
    """Why it is stale ("num_beams 4 -> 5"), why it failed, or why it cannot run on the device that was tried."""


def assess(store: Store, trials: Sequence[Trial]) -> tuple[TrialState, ...]:
    """How things stand with each trial: finished, failed, unavailable, stale (and why) or pending."""
    index = Index(store)
    try:
        snapshot = _Snapshot(index, index.finished, index.faults, store.failures(), index.newest())
        return tuple(_assess(store, snapshot, trial) for trial in trials)
    finally:
        index.close()


@dataclass(frozen=True)
class _Snapshot:
    """The store at one moment."""

    index: Index
    finished: Set[str]
    faults: Mapping[str, str]
    failed: Set[str]
    newest: Mapping[tuple[str, str, int], str]


def _assess(store: Store, snapshot: _Snapshot, trial: Trial) -> TrialState:
    path = store.path_of(trial)
    if path in snapshot.finished:
        return TrialState(trial=trial, state="finished")
    failure = store.failure(trial) if path in snapshot.failed else None
    if path in snapshot.faults or failure is not None:
        reason = snapshot.faults.get(path) or (failure.cause if failure is not None else "")
        return TrialState(trial=trial, state="failed", reason=reason)
    unavailable = store.unavailable(trial)
    if unavailable is not None:
        return TrialState(trial=trial, state="unavailable", reason=unavailable)
    old = snapshot.newest.get((trial.experiment, trial.row, trial.seed))
    if old is None:
        return TrialState(trial=trial, state="pending")
    return TrialState(trial=trial, state="stale", reason="; ".join(differences(snapshot.index.parts(old), trial.parts)))


NUM_FILES_TOLD = 4
"""Of the files of code that changed: another version of papergen changes a hundred, and one line is to be read."""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed between the parts of two trials, in words: `num_beams 4 -> 5`, `code: decoding/beam.py changed`."""
    single = ("kind", "seed")
    found = [f"{part} {old.get(part)} -> {new.get(part)}" for part in single if old.get(part) != new.get(part)]
    found += [_told(name, before, after) for name, before, after in _changed(old, new, "params", absent=_ABSENT)]
    found += [f"{name} {b or 'none'} -> {a or 'none'}" for name, b, a in _changed(old, new, "libraries")]
    code = [f"code: {name} {_verb(b, a)}" for name, b, a in _changed(old, new, "code")]
    found += code[:NUM_FILES_TOLD]
    if len(code) > NUM_FILES_TOLD:
        found.append(f"code: {len(code) - NUM_FILES_TOLD} more files")
    found += [f"data: {name} {_verb(b, a)}" for name, b, a in _changed(old, new, "data")]
    found += [f"upstream: {_upstream_name(new, name)} {_verb(b, a)}" for name, b, a in _changed(old, new, "upstream")]
    return found


def _upstream_name(parts: Mapping[str, Any], parameter: str) -> str:
    """`model (training/ddp seed 0)`: the parameter and the trial that it is taken from."""
    source = parts.get("params", {}).get(parameter)
    if not isinstance(source, Mapping):
        return parameter
    return f"{parameter} ({source.get('from')}/{source.get('row')} seed {source.get('seed')})"


def _told(name: str, before: Any, after: Any) -> str:
    """A parameter of another value; or one that the kind did not have yet when the result was made, or has no more."""
    if before is _ABSENT:
        return f"{name} = {_brief(after)} is a parameter that the result did not have yet"
    if after is _ABSENT:
        return f"{name} = {_brief(before)} is no parameter any more"
    return f"{name} {_brief(before)} -> {_brief(after)}"


def _changed(
    old: Mapping[str, Any], new: Mapping[str, Any], part: str, *, absent: Any = None
) -> Iterator[tuple[str, Any, Any]]:
    sides = [(_flat(of.get(part, {})), of.get(part, {})) for of in (old, new)]
    for name in sorted({*sides[0][0], *sides[1][0]}):
        # A nested value that was not given has its parameter nevertheless.
        before, after = (flat.get(name, None if name.split(".")[0] in all_ else absent) for flat, all_ in sides)
        if before != after:
            yield name, before, after


def _flat(data: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping) and "from" not in value:
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value
    return found


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {item}" for name, item in value.items() if item is not None)
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _verb(before: Any, after: Any) -> str:
    return "added" if before is None else "removed" if after is None else "changed"
