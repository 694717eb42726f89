"""The configuration as it will be used: every parameter of every row, its value, and where that value came from."""

from __future__ import annotations

import ast
import functools
import inspect
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from papergen.config import ExperimentConfig, checked
from papergen.config.interpolation import environment_names
from papergen.config.sweeps import is_of_row
from papergen.core.errors import PapergenError, did_you_mean
from papergen.core.secrets import missing_secrets, secret_names
from papergen.core.shipped_files import shipped
from papergen.core.strict_yaml import Keys
from papergen.core.widths import ljust, width_of
from papergen.experiment.kind import Kind
from papergen.experiment.registry import kind_named


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One parameter of one row."""

    name: str
    value: Any
    """As JSON has it; a secret is its reference."""
    origin: str
    """`experiments/x.yaml:7`, `grid, experiments/x.yaml:9`, `-o x.lr=1`, `default, experiments/x.py:12` ..."""


@dataclass(frozen=True, kw_only=True)
class ResolvedRow:
    """A row of an experiment, fully worked out."""

    name: str
    seeds: Sequence[int]
    settings: Sequence[Setting]


def resolved_rows(config: ExperimentConfig, kinds: Mapping[str, Kind], project: Path) -> list[ResolvedRow]:
    """Every row of an experiment, each parameter in the order of the kind's `Params`, then the free-form ones."""
    kind = kind_named(config.kind, kinds, config.document.where("kind"))
    found = []
    for row, written in config.rows.items():
        params = checked(kind.params, written, lambda *path, row=row: config.where(row, path))
        values = params.model_dump(mode="json", by_alias=True)
        settings: list[Setting] = []
        for name, value in values.items():
            if name in written:
                settings += _settings(config, name, value, written[name], config.origins[row][name])
            else:
                settings.append(Setting(name=name, value=value, origin=_default(kind.params, name, project)))
        seeds = config.seeds_of(row) if kind.is_seeded(params) else config.seeds_of(row)[:1]
        found.append(ResolvedRow(name=row, seeds=seeds, settings=settings))
    return found


def rows_named(rows: Sequence[ResolvedRow], name: str, experiment: str) -> list[ResolvedRow]:
    """The row of that name, or all that a grid made of it; an error with the nearest name."""
    if found := [row for row in rows if is_of_row(row.name, name)]:
        return found
    known = [row.name for row in rows]
    raise PapergenError(f"--row {name}: {experiment} has no row of this name. {did_you_mean(name, known)}")


def _settings(config: ExperimentConfig, name: str, value: Any, written: Any, keys: Keys) -> Iterator[Setting]:
    """A value; a nested one as one setting per part, `metrics.loss.take`, each with its own origin."""
    if not isinstance(value, Mapping) or not value or "from" in value:
        yield Setting(name=name, value=value, origin=_origin(config, keys))
        return
    for part, inner in value.items():
        full = f"{name}.{part}"
        if not isinstance(written, Mapping):  # a short form: metrics: [loss]
            yield from _settings(config, full, inner, None, keys)
        elif part in written:
            yield from _settings(config, full, inner, written[part], (*keys, part))
        elif inner is not None:
            yield Setting(name=full, value=inner, origin="default")


def _origin(config: ExperimentConfig, keys: Keys) -> str:
    where = config.document.where(*keys)
    sections = {"grid": "grid", "zip": "zip", "presets": f"preset {keys[1]}"} if len(keys) > 1 else {}
    section = sections.get(str(keys[0]))
    raw: Any = config.document.data
    for key in keys:
        raw = raw[key]
    variables = environment_names(raw)
    secrets = [f"{item} (not set)" if missing_secrets(f"${{secret:{item}}}") else item for item in secret_names(raw)]
    parts = [
        *([section] if section else []),
        *([f"environment {', '.join(variables)}"] if variables else []),
        *([f"secret {', '.join(sorted(secrets))}"] if secrets else []),
        where,
    ]
    return ", ".join(parts)


def _default(model: type[BaseModel], name: str, project: Path) -> str:
    field = next((key for key, info in model.model_fields.items() if name in {key, info.alias}), name)
    for owner in model.__mro__:
        if field in inspect.get_annotations(owner):
            place = _line_of(owner, field)
            return f"default, {_shown(*place, project)}" if place else "default"
    return "default"


@functools.cache
def _line_of(owner: type, field: str) -> tuple[Path, int] | None:
    """File and line of a field in the source of its class."""
    try:
        lines, first = inspect.getsourcelines(owner)
        path = Path(inspect.getsourcefile(owner) or "")
    except (OSError, TypeError):
        return None
    body = ast.parse(inspect.cleandoc("\n" + "".join(lines)))
    for node in ast.walk(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == field:
            return path, first + node.lineno - 1
    return None


def _shown(path: Path, line: int, project: Path) -> str:
    roots = ((project, ""), (shipped("experiments"), "papergen kind "), (Path(__file__).parents[1], "papergen/"))
    for root, prefix in roots:
        if path.is_relative_to(root):
            return f"{prefix}{path.relative_to(root)}:{line}"
    return f"{os.path.relpath(path, project)}:{line}"


def as_text(experiment: str, kind: str, rows: Sequence[ResolvedRow]) -> str:
    """For a person: what all rows share first, then what each has of its own."""
    by_row = {row.name: {item.name: item for item in row.settings} for row in rows}
    first = next(iter(by_row.values()))
    agreed = {name: item for name, item in first.items() if all(of.get(name) == item for of in by_row.values())}
    common = agreed if len(rows) > 1 else {}
    own = [[item for item in of.values() if item.name not in common] for of in by_row.values()]
    shown = [*common.values(), *(item for items in own for item in items)]
    widths = (
        min(32, max((width_of(item.name) for item in shown), default=0)),
        min(40, max((width_of(_value(item.value)) for item in shown), default=0)),
    )
    lines = [f"{experiment}: kind {kind}, {len(rows)} row{'s' if len(rows) > 1 else ''}"]
    if common:
        lines += ["", "all rows", *(_line(item, widths) for item in common.values())]
    for row, items in zip(rows, own, strict=True):
        seeds = ", ".join(str(seed) for seed in row.seeds)
        lines += ["", f"{experiment}/{row.name}  (seed{'s' if len(row.seeds) > 1 else ''} {seeds})"]
        lines += [_line(item, widths) for item in items]
    return "\n".join(lines)


def as_json(experiment: str, kind: str, rows: Sequence[ResolvedRow]) -> dict[str, Any]:
    """For a script."""
    return {"experiment": experiment, "kind": kind, "rows": [asdict(row) for row in rows]}


def _line(item: Setting, widths: tuple[int, int]) -> str:
    return f"  {ljust(item.name, widths[0])}  {ljust(_value(item.value), widths[1])}  {item.origin}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
