"""experiments/*.yaml: which kind, its shared parameters, rows, grids and seeds; every fault at its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from papergen.config.interpolation import interpolated
from papergen.config.overrides import override
from papergen.config.sweeps import EXAMPLES, Point, exclusions, is_excluded, points, values_of
from papergen.core.errors import PapergenError, did_you_mean, gathered
from papergen.core.strict_yaml import Document, Keys, full_width_note, read_yaml

RESERVED = ("kind", "description", "seeds", "rows", "grid", "zip", "exclude", "presets", "preset")
"""Top-level keys of an experiment file that are not parameters."""

OF_ROWS = ("preset", "seeds")
"""Keys of a row, and of a preset, that are not parameters."""

_ROW_NAME = re.compile(r"^[\w][\w.+-]*$")


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
    faults = [PapergenError(fault) for fault in _faults_of_form(document)]
    conditions: Sequence[Mapping[str, Any]] = ()
    try:
        grid, zips = (_filled(data.get(section), document, (section,)) for section in ("grid", "zip"))
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
    faults += _faults_of_exclusions(document, conditions, met, rows) if not faults else []
    if faults:
        raise gathered(list({str(fault): fault for fault in faults}.values()), "faults")
    shared_seeds = _read_seeds(data.get("seeds", [0]), document, ("seeds",))
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
        for preset in _preset_names(named):
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
    complete = {key: _filled(value, document, keys[key]) for key, value in values.items()}
    if "seeds" in complete:
        complete["seeds"] = _read_seeds(complete["seeds"], document, keys["seeds"])
    return complete, keys


def _filled(value: Any, document: Document, keys: Keys) -> Any:
    """`value` with the environment filled in, each fault at its own line."""
    if isinstance(value, dict):
        return {name: _filled(item, document, (*keys, name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, document, (*keys, index)) for index, item in enumerate(value)]
    return interpolated(value, document.where(*keys))


def _preset_names(written: Any) -> Sequence[str]:
    """`preset: NAME` or a list of names, as a list."""
    return [] if written is None else [written] if isinstance(written, str) else written


def _read_seeds(written: Any, document: Document, keys: Keys) -> list[int]:
    """The seeds as a list, `range(0, 5)` written out."""
    where = document.where(*keys)
    written = _filled(written, document, keys)
    seeds = values_of(written, where) if isinstance(written, str) else written
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise PapergenError(
            f"{where}: seeds = {written!r}: write a list of whole numbers, e.g. [0, 1, 2] or {EXAMPLES['range']}."
            f"{full_width_note(str(written))}"
        )
    if len(set(seeds)) != len(seeds):
        raise PapergenError(f"{where}: seeds = {written!r}: a seed stands twice; it would be counted twice.")
    return seeds


def _faults_of_form(document: Document) -> Iterator[str]:
    """What is wrong with the keys that are not parameters."""
    data = document.data
    if not isinstance(data.get("kind"), str):
        yield f"{document.where()}: no `kind:` line. Add one, for example `kind: training`."
    try:
        _read_seeds(data.get("seeds", [0]), document, ("seeds",))
    except PapergenError as error:
        yield error.message
    for section, example in (("rows", "name"), ("presets", "name")):
        found = data.get(section)
        if found is None:
            continue
        if not isinstance(found, dict) or not found:
            yield f"{document.where(section)}: write {section} as `{example}: {{parameter: value}}` lines."
            continue
        noun = section.removesuffix("s")
        for name, own in found.items():
            where = document.where(section, name)
            if not _ROW_NAME.match(name):
                note = full_width_note(name)
                yield f"{where}: {noun} name {name!r}: use letters, digits, . + - and _.{note}"
            if own is not None and not isinstance(own, dict):
                yield f"{where}: write the {noun} as `{name}: {{parameter: value}}`."
            elif own and (wrong := [key for key in own if key in RESERVED and key not in OF_ROWS]):
                also = " A row that sets a parameter itself is not multiplied." if wrong[0] in ("grid", "zip") else ""
                line = document.where(section, name, wrong[0])
                yield f"{line}: {wrong[0]} belongs to the file, not to a {noun}.{also}"
            elif own and section == "presets" and "preset" in own:
                yield f"{document.where(section, name, 'preset')}: a preset holds values, not another preset."
    for place in ((), *(("rows", row) for row in _rows_of(data))):
        named = data.get("preset") if not place else data["rows"][place[1]].get("preset")
        names = named if isinstance(named, list) else [] if named is None else [named]
        if not all(isinstance(item, str) for item in names):
            yield f"{document.where(*place, 'preset')}: preset = {named!r}: write a name or a list of names."


def _rows_of(data: Mapping[str, Any]) -> list[str]:
    rows = data.get("rows")
    return [name for name, own in rows.items() if isinstance(own, dict)] if isinstance(rows, dict) else []


def _faults_of_exclusions(
    document: Document,
    conditions: Sequence[Mapping[str, Any]],
    hits: Mapping[str, Set[int]],
    rows: Mapping[str, Any],
) -> list[PapergenError]:
    """An exclusion that meets no row is a misspelling (unless `-o` changed the rows); one that meets all, a mistake.

    So is one that leaves nothing of a row: the paper would lack it, and nobody would be told. `hits`: row as it is
    written -> the conditions that its combinations met.
    """
    if not rows:
        return [PapergenError(f"{document.where('exclude')}: nothing is left: every row is excluded.")]
    if document.overridden:
        return []
    used = {index for found in hits.values() for index in found}
    kept = {row.split("@")[0] for row in rows}
    return [
        PapergenError(f"{document.where('exclude', index)}: no row is {item}; this excludes nothing.")
        for index, item in enumerate(conditions)
        if index not in used
    ] + [
        PapergenError(
            f"{document.where('exclude', min(found))}: nothing is left of the row {row}. Remove the row; or, to have "
            "it once, give it one value of each swept parameter; or name the combinations that are not wanted."
        )
        for row, found in hits.items()
        if found and row not in kept
    ]
