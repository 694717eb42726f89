"""From configuration to trials: parameters resolved, upstream results named, digests taken, states known."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from papergen.config import ExperimentConfig, checked
from papergen.core.errors import PapergenError, did_you_mean, gathered
from papergen.experiment.api import From, Params
from papergen.experiment.fingerprint import Code
from papergen.experiment.kind import Kind, decisive, given
from papergen.experiment.registry import kind_named
from papergen.store.index import Index
from papergen.store.records import State, Trial, digest_of
from papergen.store.runs import Store

T = TypeVar("T")
ABSENT = object()
"""In the place of the value of a parameter that there is not."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A trial and how things stand with it."""

    trial: Trial
    state: State
    reason: str = ""
    """Why it is stale ("num_beams 4 -> 5"), why it failed, or why it cannot run on the device that was tried."""


@dataclass(frozen=True, kw_only=True)
class _Row:
    name: str
    params: Params
    is_seeded: bool
    reads_name: bool
    num_ranks: int
    code: Code
    data: Mapping[str, str]
    froms: Mapping[str, From]


def plan_trials(project: Path, configs: Mapping[str, ExperimentConfig], kinds: Mapping[str, Kind]) -> tuple[Trial, ...]:
    """Every trial of every experiment, upstream ones first. All faults of all experiments are reported at once."""
    rows: dict[str, list[_Row]] = {}
    faults: list[PapergenError] = []
    for name, config in configs.items():
        try:
            rows[name] = _rows(project, config, kinds)
        except PapergenError as error:
            faults.append(error)
    if faults:
        raise gathered(faults, "faults in the experiments")
    trials: dict[str, list[Trial]] = {}
    for name in _in_order(configs, rows):
        config = configs[name]
        upstream_of = functools.partial(_upstream, config=config, configs=configs, trials=trials)
        of_rows = (trial for row in rows[name] for trial in _trials(config, row, upstream_of))
        # Round by round, all rows under one seed: what disturbs the machine for a while falls on all rows alike.
        trials[name] = sorted(of_rows, key=lambda trial: config.seeds_of(trial.row).index(trial.seed))
    return tuple(trial for group in trials.values() for trial in group)


def assess(store: Store, trials: Sequence[Trial]) -> tuple[Planned, ...]:
    """How things stand with each trial: finished, failed, unavailable, stale (and why) or pending."""
    index = Index(store)
    try:
        look = _Look(index, index.finished, index.faults, store.failures(), index.newest())
        return tuple(_assess(store, look, trial) for trial in trials)
    finally:
        index.close()


def with_upstream(selected: Sequence[Trial], trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The selected trials and all that they need, in plan order."""
    by_digest = {trial.digest: trial for trial in trials}
    wanted: set[str] = set()
    queue = [trial.digest for trial in selected]
    while queue:
        digest = queue.pop()
        if digest not in wanted:
            wanted.add(digest)
            queue.extend(by_digest[digest].upstream.values())
    return tuple(trial for trial in trials if trial.digest in wanted)


def _rows(project: Path, config: ExperimentConfig, kinds: Mapping[str, Kind]) -> list[_Row]:
    kind = kind_named(config.kind, kinds, config.document.where("kind"))
    code = None if kind.chooses_code else kind.code(project)
    found: list[_Row] = []
    faults: dict[str, PapergenError] = {}
    for name, written in config.rows.items():
        try:
            params = checked(kind.params, written, lambda *path, row=name: config.where(row, path))
            found.append(
                _Row(
                    name=name,
                    params=params,
                    is_seeded=kind.is_seeded(params),
                    reads_name=kind.reads_name(params),
                    num_ranks=kind.num_ranks(params),
                    code=code or _at_parameter(config, name, kind.code_of, params, project),
                    data=_at_parameter(config, name, kind.data, params, project),
                    froms={key: value for key, value in given(params).items() if isinstance(value, From)},
                )
            )
        except PapergenError as error:
            faults.setdefault(str(error), error)  # a fault in the shared part shows in every row: say it once
    if faults:
        raise gathered(list(faults.values()), f"faults in experiments/{config.name}.yaml")
    return found


def _at_parameter(
    config: ExperimentConfig, row: str, asked: Callable[[Params, Path], T], params: Params, project: Path
) -> T:
    """What the kind says of a row; a fault of a parameter is told at the line that sets it."""
    try:
        return asked(params, project)
    except PapergenError as error:
        if error.parameter is not None:
            error.at(config.where(row, (error.parameter,)))
        raise


def _in_order(configs: Mapping[str, ExperimentConfig], rows: Mapping[str, list[_Row]]) -> list[str]:
    """Experiment names, upstream first."""
    done: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in done:
            return
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise PapergenError(f"experiments/{name}.yaml: the experiments need each other in a circle: {circle}.")
        for row in rows[name]:
            for parameter, source in row.froms.items():
                if source.source not in configs:
                    raise PapergenError(
                        f"{configs[name].where(row.name, (parameter,))}: {parameter} comes from {source.source!r}, "
                        f"which is no experiment of this project. {did_you_mean(source.source, configs)}"
                    )
                visit(source.source, (*path, name))
        done.append(name)

    for name in configs:
        visit(name, ())
    return done


def _upstream(
    row: _Row,
    parameter: str,
    source: From,
    *,
    config: ExperimentConfig,
    configs: Mapping[str, ExperimentConfig],
    trials: Mapping[str, list[Trial]],
) -> Trial:
    group = trials[source.source]
    where = config.where(row.name, (parameter,))
    wanted_row = source.row or group[0].row
    of_row = [trial for trial in group if trial.row == wanted_row]
    if not of_row:
        known = configs[source.source].rows
        raise PapergenError(f"{where}: {source.source} has no row {wanted_row!r}. {did_you_mean(wanted_row, known)}")
    for trial in of_row:
        if source.seed in {None, trial.seed}:
            return trial
    seeds = ", ".join(str(trial.seed) for trial in of_row)
    raise PapergenError(f"{where}: {source.source}/{wanted_row} has no seed {source.seed}. It has {seeds}.")


def _trials(config: ExperimentConfig, row: _Row, upstream_of: Callable[[_Row, str, From], Trial]) -> Iterator[Trial]:
    params = row.params.model_dump(mode="json", by_alias=True)
    deciding = decisive(row.params, params)
    upstream: dict[str, str] = {}
    for parameter, source in row.froms.items():
        trial = upstream_of(row, parameter, source)
        upstream[parameter] = trial.digest
        params[parameter] = deciding[parameter] = {"from": trial.experiment, "row": trial.row, "seed": trial.seed}
    for seed in config.seeds_of(row.name) if row.is_seeded else config.seeds_of(row.name)[:1]:
        parts = {
            "kind": config.kind,
            "params": deciding,
            "seed": seed if row.is_seeded else None,
            "code": dict(row.code.files),
            "libraries": dict(row.code.libraries),
            "data": dict(row.data),
            "upstream": upstream,
            **({"row": row.name} if row.reads_name else {}),
        }
        yield Trial(
            experiment=config.name,
            row=row.name,
            seed=seed,
            kind=config.kind,
            params=params,
            num_ranks=row.num_ranks,
            is_seeded=row.is_seeded,
            upstream=upstream,
            parts=parts,
            digest=digest_of(parts),
        )


@dataclass(frozen=True)
class _Look:
    """The store at one moment."""

    index: Index
    finished: Set[str]
    faults: Mapping[str, str]
    failed: Set[str]
    newest: Mapping[tuple[str, str, int], str]


def _assess(store: Store, look: _Look, trial: Trial) -> Planned:
    path = store.path_of(trial)
    if path in look.finished:
        return Planned(trial=trial, state="finished")
    failure = store.failure(trial) if path in look.failed else None
    if path in look.faults or failure is not None:
        reason = look.faults.get(path) or (failure.cause if failure is not None else "")
        return Planned(trial=trial, state="failed", reason=reason)
    unavailable = store.unavailable(trial)
    if unavailable is not None:
        return Planned(trial=trial, state="unavailable", reason=unavailable)
    old = look.newest.get((trial.experiment, trial.row, trial.seed))
    if old is None:
        return Planned(trial=trial, state="pending")
    return Planned(trial=trial, state="stale", reason="; ".join(differences(look.index.parts(old), trial.parts)))


NUM_FILES_TOLD = 4
"""Of the files of code that changed: another version of papergen changes a hundred, and one line is to be read."""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed between the parts of two trials, in words: `num_beams 4 -> 5`, `code: decoding/beam.py changed`."""
    single = ("kind", "seed")
    found = [f"{part} {old.get(part)} -> {new.get(part)}" for part in single if old.get(part) != new.get(part)]
    found += [_told(name, before, after) for name, before, after in _changed(old, new, "params", absent=ABSENT)]
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
    if before is ABSENT:
        return f"{name} = {_brief(after)} is a parameter that the result did not have yet"
    if after is ABSENT:
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
