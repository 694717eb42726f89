"""experiments/*.yaml: which kind, its shared parameters, rows, grids and seeds; every fault at its file and line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from papergen.errors import PapergenError, did_you_mean, gathered
from papergen.yaml_strict import Document, Keys, parse_yaml, read_yaml

RESERVED = ("kind", "description", "seeds", "rows", "grid")
"""Top-level keys of an experiment file that are not parameters."""

_ROW_NAME = re.compile(r"^[\w][\w.+-]*$")
_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """One experiments/*.yaml: a kind, its shared parameters, and rows that override them."""

    name: str
    kind: str
    description: str
    seeds: tuple[int, ...]
    rows: Mapping[str, Mapping[str, Any]]
    """Row name -> all parameters of that row, shared ones included, as written."""
    document: Document

    def where(self, row: str, path: Sequence[str | int]) -> str:
        """`file:line` of a parameter of a row: in the row, its grid or the shared part."""
        parameter = tuple(path)
        own: Keys = ("rows", row.split("@")[0], *parameter)
        for keys in (own, ("grid", *parameter[:1]), parameter):
            if any(keys[:length] in self.document.lines for length in range(len(keys), len(keys) - 1, -1)):
                return self.document.where(*keys)
            if keys in self.document.overridden:
                return self.document.overridden[keys]
        return self.document.where("rows", row.split("@")[0])


def read_experiments(
    project: Path, *, overrides: Sequence[str] = (), seeds: Sequence[int] | None = None
) -> dict[str, ExperimentConfig]:
    """All experiments of the project by name, in alphabetical order, with `-o` overrides and `--seeds` applied."""
    paths = sorted((project / "experiments").glob("*.yaml"))
    wrong = sorted((project / "experiments").glob("*.yml"))
    if wrong:
        raise PapergenError(f"experiments/{wrong[0].name}: name it {wrong[0].stem}.yaml, or it would be overlooked.")
    if not paths:
        raise PapergenError(
            "experiments/: there is no experiment (*.yaml) in this project.",
            hint="Add one, for example experiments/training.yaml with the line `kind: training`.",
        )
    documents: dict[str, Document] = {}
    faults: list[PapergenError] = []
    for path in paths:
        try:
            documents[path.stem] = read_yaml(path, f"experiments/{path.name}")
        except PapergenError as error:
            faults.append(error)
    if faults:
        raise gathered(faults, "faults in the experiments")
    for text in overrides:
        _override(documents, text)
    configs: dict[str, ExperimentConfig] = {}
    for name, document in documents.items():
        try:
            config = _experiment(name, document)
            configs[name] = config if seeds is None else replace(config, seeds=tuple(seeds))
        except PapergenError as error:
            faults.append(error)
    if faults:
        raise gathered(faults, "faults in the experiments")
    return configs


def _experiment(name: str, document: Document) -> ExperimentConfig:
    data = document.data
    faults: list[str] = []
    kind = data.get("kind")
    if not isinstance(kind, str):
        faults.append(f"{document.where()}: no `kind:` line. Add one, for example `kind: training`.")
    seeds = data.get("seeds", [0])
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds):
        faults.append(f"{document.where('seeds')}: seeds = {seeds!r}: write a list of whole numbers, e.g. [0, 1, 2].")
    elif len(set(seeds)) != len(seeds):
        faults.append(f"{document.where('seeds')}: seeds = {seeds!r}: a seed stands twice; it would be counted twice.")
    shared = {key: value for key, value in data.items() if key not in RESERVED}
    rows = data.get("rows")
    rows = {"main": {}} if rows is None else rows
    if not isinstance(rows, dict) or not rows:
        faults.append(f"{document.where('rows')}: write rows as `name: {{parameter: value}}` lines.")
        rows = {}
    for row, own in rows.items():
        if not _ROW_NAME.match(row):
            faults.append(f"{document.where('rows', row)}: row name {row!r}: use letters, digits, . + - and _.")
        if own is not None and not isinstance(own, dict):
            faults.append(f"{document.where('rows', row)}: write the row as `{row}: {{parameter: value}}`.")
    grid = data.get("grid") or {}
    if not isinstance(grid, dict) or not all(isinstance(values, list) and values for values in grid.values()):
        faults.append(f"{document.where('grid')}: write the grid as `parameter: [value, value]` lines.")
    if faults:
        raise gathered([PapergenError(fault) for fault in faults], "faults")
    expanded = {
        f"{row}{suffix}": {**shared, **(own or {}), **point}
        for row, own in rows.items()
        # A row that sets a parameter of the grid itself keeps its value: the grid multiplies over the others.
        for suffix, point in _points({key: values for key, values in grid.items() if key not in (own or {})})
    }
    return ExperimentConfig(
        name=name,
        kind=str(kind),
        description=str(data.get("description", "")),
        seeds=tuple(seeds),
        rows=expanded,
        document=document,
    )


def _points(grid: Mapping[str, Sequence[Any]]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Every point of the grid with the suffix that names it: `@num_beams-4`."""
    for values in itertools.product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        yield "".join(f"@{name}-{_NOT_IN_NAMES.sub('-', str(value))}" for name, value in point.items()), point


def _override(documents: dict[str, Document], text: str) -> None:
    """Apply one `-o experiment.key.key=value`."""
    where = f"-o {text}"
    target, equals, written = text.partition("=")
    name, *keys = target.split(".")
    if not equals or not keys:
        raise PapergenError(f"{where}: write experiment.parameter=value, for example -o training.steps=10.")
    if name not in documents:
        raise PapergenError(f"{where}: there is no experiment {name!r}. {did_you_mean(name, documents)}")
    document = documents[name]
    value = parse_yaml(written, where)
    level: Any = document.data
    for depth, key in enumerate(keys[:-1]):
        if level.get(key) is None:
            if depth == 1 and keys[0] == "rows" and key not in level:
                raise PapergenError(f"{where}: {name} has no row {key!r}. {did_you_mean(key, level)}")
            level[key] = {}
        level = level[key]
        if not isinstance(level, dict):
            raise PapergenError(f"{where}: {'.'.join(keys[: depth + 1])} holds one value, not further keys.")
    level[keys[-1]] = value
    documents[name] = replace(document, overridden={**document.overridden, tuple(keys): where})
