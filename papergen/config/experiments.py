"""experiments/*.yaml: which kind, its shared parameters, rows, grids and seeds; every fault at its file and line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from papergen.config.form import RESERVED, faults_of_exclusions, faults_of_form, filled, preset_names, read_seeds
from papergen.config.overrides import override
from papergen.config.sweeps import Point, exclusions, is_excluded, points
from papergen.core.errors import PapergenError, did_you_mean, gathered
from papergen.core.strict_yaml import Document, Keys, read_yaml


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """One experiments/*.yaml: a kind, its shared parameters, and rows that override them."""

    name: str
    kind: str
    description: str
    seeds: tuple[int, ...]
    rows: Mapping[str, Mapping[str, Any]]
    """Row name -> all parameters of that row, shared ones included, with the environment's values filled in."""
    row_seeds: Mapping[str, tuple[int, ...]]
    """Row name -> its own seeds, where it has any."""
    origins: Mapping[str, Mapping[str, Keys]]
    """Row name -> parameter -> where in the document its value stands."""
    document: Document

    def seeds_of(self, row: str) -> tuple[int, ...]:
        """The seeds of a row: its own, or those of the experiment."""
        return self.row_seeds.get(row, self.seeds)

    def where(self, row: str, path: Sequence[str | int]) -> str:
        """`file:line` of a parameter of a row: in its grid, the row, a preset or the shared part."""
        base: Keys = ("rows", row.split("@")[0])
        if not path:
            return self.document.where(*base)
        keys = self.origins.get(row, {}).get(str(path[0]), (*base, path[0]))
        return self.document.where(*keys, *path[1:])


def read_experiments(
    project: Path,
    *,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    presets: Sequence[str] = (),
) -> dict[str, ExperimentConfig]:
    """All experiments of the project by name, in alphabetical order, with `-o`, `--seeds` and `--preset` applied.

    A preset asked for on the command line applies to every experiment that has one of that name.
    """
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
        override(documents, text)
    _require_presets(documents, presets)
    configs: dict[str, ExperimentConfig] = {}
    for name, document in documents.items():
        try:
            config = _experiment(name, document, presets)
            configs[name] = config if seeds is None else replace(config, seeds=tuple(seeds), row_seeds={})
        except PapergenError as error:
            faults.append(error)
    if faults:
        raise gathered(faults, "faults in the experiments")
    return configs


def _require_presets(documents: Mapping[str, Document], presets: Sequence[str]) -> None:
    known = {
        str(name)
        for document in documents.values()
        if isinstance(found := document.data.get("presets"), dict)
        for name in found
    }
    for preset in presets:
        if preset not in known:
            hint = did_you_mean(preset, known) or "There is none: add `presets:` to an experiment."
            raise PapergenError(f"--preset {preset}: no experiment has a preset of this name. {hint}")


def _experiment(name: str, document: Document, asked: Sequence[str]) -> ExperimentConfig:
    """The experiment in a document; every fault of its outer form at once."""
    data = document.data
    faults = [PapergenError(fault) for fault in faults_of_form(document)]
    conditions: Sequence[Mapping[str, Any]] = ()
    try:
        grid, zips = (filled(data.get(section), document, (section,)) for section in ("grid", "zip"))
        points(grid, zips, document.where)
        conditions = exclusions(data.get("exclude"), document.where)
    except PapergenError as error:
        faults.append(error)
    if faults:
        raise gathered(faults, "faults")
    rows: dict[str, dict[str, Any]] = {}
    seeds: dict[str, tuple[int, ...]] = {}
    origins: dict[str, dict[str, Keys]] = {}
    met: dict[str, set[int]] = {}
    for row, own in (data.get("rows") or {"main": {}}).items():
        # A row that sets a swept parameter itself keeps its value: the sweep multiplies over the others.
        for point in points(grid, zips, document.where, fixed=own or ()):
            full = f"{row}{point.suffix}"
            if full in rows:
                faults.append(
                    PapergenError(
                        f"{document.where('grid')}: the row {full} comes about twice: a value stands there twice, or "
                        "two differ only in characters that a name cannot have."
                    )
                )
                continue
            try:
                values, keys = _row(document, row, own or {}, point, asked)
            except PapergenError as error:
                faults.append(error)
                continue
            hits = [index for index, item in enumerate(conditions) if is_excluded(item, row, values)]
            met.setdefault(row, set()).update(hits)
            if not hits:
                own_seeds = values.pop("seeds", None)
                keys.pop("seeds", None)
                if own_seeds is not None:
                    seeds[full] = tuple(own_seeds)
                rows[full], origins[full] = values, keys
    faults += faults_of_exclusions(document, conditions, met, rows) if not faults else []
    if faults:
        raise gathered(list({str(fault): fault for fault in faults}.values()), "faults")
    shared_seeds = read_seeds(data.get("seeds", [0]), document, ("seeds",))
    return ExperimentConfig(
        name=name,
        kind=str(data["kind"]),
        description=str(data.get("description", "")),
        seeds=tuple(shared_seeds),
        rows=rows,
        row_seeds=seeds,
        origins=origins,
        document=document,
    )


def _row(
    document: Document, row: str, own: Mapping[str, Any], point: Point, asked: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Keys]]:
    """The parameters of a row and where each stands: shared < presets < the row's own lines < grid and zip."""
    layers: list[tuple[Keys, Mapping[str, Any]]] = [((), document.data)]
    presets = document.data.get("presets") or {}
    of_command = [preset for preset in asked if preset in presets]
    for place, named in (((), document.data.get("preset")), ((), of_command), (("rows", row), own.get("preset"))):
        for preset in preset_names(named):
            if preset not in presets:
                where = document.where(*place, "preset")
                raise PapergenError(f"{where}: there is no preset {preset!r}. {did_you_mean(preset, presets)}")
            layers.append((("presets", preset), presets[preset] or {}))
    layers.append((("rows", row), own))
    values: dict[str, Any] = {}
    keys: dict[str, Keys] = {}
    for start, layer in layers:
        for key, value in layer.items():
            if key not in (RESERVED if not start else ("preset",)):
                values[key], keys[key] = value, (*start, key)
    values |= point.values
    keys |= point.keys
    complete = {key: filled(value, document, keys[key]) for key, value in values.items()}
    if "seeds" in complete:
        complete["seeds"] = read_seeds(complete["seeds"], document, keys["seeds"])
    return complete, keys
