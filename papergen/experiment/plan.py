"""From configuration to trials: parameters resolved, upstream results named, digests taken."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from papergen.config import ExperimentConfig, checked
from papergen.core.errors import PapergenError, did_you_mean, gathered
from papergen.experiment.api import From, Params
from papergen.experiment.fingerprint import Code
from papergen.experiment.kind import Kind, decisive, given
from papergen.experiment.registry import kind_named
from papergen.store.records import Trial, digest_of

T = TypeVar("T")


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
