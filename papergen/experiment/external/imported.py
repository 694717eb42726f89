"""`kind: import`: results that exist already. Which files, which of their lines belong to a trial, and their origin."""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from papergen.core.cache import known_digest
from papergen.core.errors import InvalidParametersError, PapergenError, ParameterFault, did_you_mean
from papergen.core.files import digest_json, read_text
from papergen.experiment.api import Context
from papergen.experiment.external.metrics import (
    ExternalSettings,
    MetricSource,
    MissingRule,
    TableLine,
    is_missing,
    read,
    record,
    require,
)
from papergen.experiment.external.placeholders import fill, names_in
from papergen.experiment.external.readers.lines import Cell, Line, place_of, typed
from papergen.experiment.external.readers.mlflow import mlflow_lines
from papergen.experiment.external.readers.tables import READERS, lines_at, read_lines
from papergen.experiment.external.readers.tensorboard import tensorboard_lines
from papergen.experiment.external.readers.wandb import wandb_lines
from papergen.experiment.external.series import StepRule
from papergen.experiment.fingerprint import Code
from papergen.experiment.inputs import input_files

READING = {"kind: import": "2"}
"""How files are read; the number changes when the same files would give other numbers."""

APART = "name what tells them apart (seed:, row:, where:)."

Scalar = bool | int | float | str


class ImportSettings(ExternalSettings):
    """Where results come from and which of their lines belong to a row and a seed."""

    source: str | list[str] = Field(
        description="Files or folders from the project's folder; * and **, {row} and {seed} may stand in it."
    )
    format: Literal["csv", "json", "jsonl", "tensorboard", "mlflow", "wandb"] | None = Field(
        default=None, description="What wrote them; seen from the files when absent."
    )
    at: str | None = Field(default=None, description="Dotted path of the list of results inside a JSON file.")
    row: str | None = Field(default=None, description="Column that names the row.")
    seed: str | None = Field(default=None, description="Column that holds the seed.")
    where: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict, description="Column -> value (or list of them) that a line must have; * in texts."
    )

    steps: StepRule = Field(
        default="error",
        description="Which value holds where a resumed run logged a step again, if the metric does not say.",
    )
    missing: MissingRule = Field(
        default="error",
        description="What is done about lines whose value is empty or NaN, if the metric does not say.",
    )

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> Self:
        faults: list[ParameterFault] = []
        for field, texts in (
            ("source", self.sources),
            ("where", [v for v in self.where.values() if isinstance(v, str)]),
        ):
            for text in texts:
                try:
                    unknown = [name for name in names_in(text) if name not in {"row", "seed"}]
                except ValueError as error:
                    unknown = []
                    faults.append(ParameterFault(f"{field}: {error}", field))
                faults += [
                    ParameterFault(f"{field}: {{{name}}} is not known here. Known: {{row}}, {{seed}}.", field)
                    for name in unknown
                ]
        if faults:
            raise InvalidParametersError(*faults)
        return self

    def read_by(self) -> dict[str, MetricSource]:
        """How each metric is found, with the rules of the whole import where it has none of its own."""
        rules = {"steps": self.steps, "missing": self.missing}
        return {
            name: metric.model_copy(
                update={field: rule for field, rule in rules.items() if getattr(metric, field) is None}
            )
            for name, metric in self.metrics.items()
        }

    @property
    def sources(self) -> list[str]:
        """The source as a list."""
        return [self.source] if isinstance(self.source, str) else list(self.source)

    @property
    def takes_seed(self) -> bool:
        """Whether the seed chooses lines."""
        return self.seed is not None or self._mentions("seed")

    @property
    def takes_row(self) -> bool:
        """Whether the row's name chooses lines."""
        return self.row is not None or self._mentions("row")

    def _mentions(self, name: str) -> bool:
        texts = [*self.sources, *(value for value in self.where.values() if isinstance(value, str))]
        return any(name in names_in(text) for text in texts)

    def files(self, project: Path, values: Mapping[str, Any]) -> dict[str, Path]:
        """File as shown -> path, with {row} and {seed} filled."""
        patterns = [os.path.expanduser(fill(text, values)) for text in self.sources]  # noqa: PTH111
        return input_files(patterns, project, parameter="source")

    def data(self, project: Path) -> Mapping[str, str]:
        """Digest of every file that any row or seed may read."""
        files = self.files(project, {"row": "*", "seed": "*"})
        return {name: known_digest(path) for name, path in files.items() if not _is_passing(path)}

    def code(self) -> Code:
        """Only how files are read."""
        return Code(READING, {})


def _is_passing(path: Path) -> bool:
    """Whether a file is a database's scratch, which changes when it is only read."""
    return path.name.endswith(("-wal", "-shm", "-journal"))


def run_import(params: ImportSettings, ctx: Context) -> dict[str, float]:
    """The metrics of the trial's row and seed, with their origin as a fact."""
    values = {"row": ctx.trial.row, "seed": ctx.trial.seed}
    files = params.files(ctx.project, values)
    lines = all_lines(params, files, ctx.project)
    chosen = selected(params, lines, values)
    used = {str(line["source.file"]) for line in chosen}
    where = ", ".join(sorted(used))
    for name, metric in params.metrics.items():
        require(metric, name, chosen, where)
    _must_be_one_run(params, chosen)
    ctx.fact("origin", [_origin(name, files, chosen) for name in sorted(used)])
    apart = f"If they are several runs: {APART}"
    readings = {
        name: read(metric, name, chosen, step=params.step, where=where, apart=apart)
        for name, metric in params.read_by().items()
    }
    record(ctx, readings)
    return {name: reading.value for name, reading in readings.items()}


def all_lines(params: ImportSettings, files: Mapping[str, Path], project: Path) -> list[TableLine]:
    """Every line of the files, with `source.file` and `source.line`."""
    found: list[TableLine] = []
    for form, group in _by_format(params, files).items():
        places = _mlflow_places(params, group, project) if form == "mlflow" else group
        for name, path in places.items():
            lines = _lines_of(params, form, path, name, project)
            found += [
                Line({**line, "source.file": name, "source.line": at}, place_of(line, name))
                for at, line in enumerate(lines, start=1)
            ]
    return found


def _lines_of(params: ImportSettings, form: str, path: Path, name: str, project: Path) -> Sequence[TableLine]:
    match form:
        case "tensorboard":
            return tensorboard_lines(path, _root_of(params, path, project))
        case "wandb":
            return wandb_lines(path)
        case "mlflow":
            return mlflow_lines(path)
        case _:
            return _table(params, form, path, name)


def _table(params: ImportSettings, form: str, path: Path, name: str) -> Sequence[TableLine]:
    if params.at is not None:
        return lines_at(params.at, read_text(path, name), name)
    if path.suffix.lower() in READERS:
        return read_lines(path, name)
    return READERS[f".{form}"](read_text(path, name), name)


def _by_format(params: ImportSettings, files: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    groups: dict[str, dict[str, Path]] = {}
    is_mlflow = params.format == "mlflow" or any(path.name == "meta.yaml" for path in files.values())
    for name, path in files.items():
        if _is_passing(path):
            continue
        form = "mlflow" if is_mlflow else _format(path)
        if params.format is not None and form != params.format:
            if form is not None or params.format in {"tensorboard", "wandb"}:
                continue  # a folder holds other files too
            form = params.format
        if form is not None:
            groups.setdefault(form, {})[name] = path
    if len(groups) > 1:
        raise PapergenError(f"source: holds files of several kinds ({', '.join(groups)}). Add a line `format: ...`.")
    if not groups:
        names = ", ".join(list(files)[:5])
        raise PapergenError(f"source: none of the files is known to hold results ({names}). Add a line `format: ...`.")
    return groups


def _format(path: Path) -> str | None:
    if "tfevents" in path.name:
        return "tensorboard"
    endings = {
        ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
        ".wandb": "wandb", ".db": "mlflow", ".sqlite": "mlflow",
    }  # fmt: skip
    return endings.get(path.suffix.lower())


def _root_of(params: ImportSettings, path: Path, project: Path) -> Path:
    """The folder that the names of runs are relative to: the source that holds the file, else the one above it."""
    roots = [Path(os.path.normpath(project / text)) for text in params.sources]
    inside = [root for root in roots if root.is_dir() and path.parent.is_relative_to(root) and path.parent != root]
    return inside[0] if inside else path.parent.parent


def _mlflow_places(params: ImportSettings, group: Mapping[str, Path], project: Path) -> dict[str, Path]:
    """Databases as they are; of a folder, the folder that the author named."""
    databases = {name: path for name, path in group.items() if path.suffix in {".db", ".sqlite"}}
    if databases:
        return databases
    return {os.path.normpath(text): project / text for text in params.sources if (project / text).is_dir()}


def selected(params: ImportSettings, lines: Sequence[TableLine], values: Mapping[str, Any]) -> list[TableLine]:
    """The lines of a row and a seed; an error says which condition no line meets, and what there is instead."""
    wanted: dict[str, Any] = {}
    if params.row is not None:
        wanted[params.row] = values["row"]
    if params.seed is not None:
        wanted[params.seed] = values["seed"]
    wanted |= {k: fill(v, values) if isinstance(v, str) else v for k, v in params.where.items()}
    chosen = list(lines)
    for column, value in wanted.items():
        columns = {name for line in chosen for name in line}
        if column not in columns:
            raise PapergenError(f"source: has no column {column!r}. {did_you_mean(column, columns)}")
        left = [line for line in chosen if _matches(line.get(column), value)]
        if not left:
            there = sorted({str(line.get(column)) for line in chosen})
            more = f" and {len(there) - 8} more" if len(there) > 8 else ""
            raise PapergenError(f"source: no line has {column} = {value}. There are {', '.join(there[:8])}{more}.")
        _must_mean_one_text(column, value, left)
        chosen = left
    if not chosen:
        raise PapergenError("source: has no lines.")
    return chosen


def _must_mean_one_text(column: str, wanted: Any, lines: Sequence[TableLine]) -> None:
    """The number 1.1 is met by the cells 1.1 and 1.10, which may be two versions: then the author says which."""
    if isinstance(wanted, float):
        texts = sorted({value for line in lines if isinstance(value := line[column], Cell)})
        if len(texts) > 1:
            shown = ", ".join(f'"{text}"' for text in texts)
            raise PapergenError(
                f"where: {column} = {wanted} is met by the texts {shown}. "
                f"Write the one you mean in quotation marks, or all of them: [{shown}]."
            )


def _matches(met: Any, wanted: Any) -> bool:
    if isinstance(wanted, list | tuple):
        return any(_matches(met, item) for item in wanted)
    if isinstance(wanted, str):
        return met is not None and (str(met) == wanted or ("*" in wanted and fnmatch.fnmatchcase(str(met), wanted)))
    value = typed(met)
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


def _must_be_one_run(params: ImportSettings, chosen: Sequence[TableLine]) -> None:
    """Several lines are a series or one value per example; two runs must never be joined into one curve."""
    keys = [metric.key or name for name, metric in params.metrics.items() if metric.over == "seeds"]
    of_key = [[line for line in chosen if not is_missing(line.get(key))] for key in keys]
    lines = [line for line in chosen if any(not is_missing(line.get(key)) for key in keys)]
    is_uncounted = any(len(own) > 1 and all(is_missing(line.get(params.step)) for line in own) for own in of_key)
    if is_uncounted or len({_run_of(line) for line in lines}) > 1:
        places = ", ".join(place_of(line, str(line["source.file"])) for line in lines[:3])
        raise PapergenError(
            f"source: {len(lines)} lines belong to this row and seed ({places}, ...). {APART[0].upper()}{APART[1:-1]}, "
            "or the column that counts the steps (step:)."
        )


def _run_of(line: TableLine) -> Any:
    """What tells runs apart: their id, or their name and folder, else the file. A run may have many files."""
    if "run_id" in line:
        return line["run_id"]
    file = str(line["source.file"])
    return (os.path.dirname(file), line["run"]) if "run" in line else file  # noqa: PTH120


def _origin(name: str, files: Mapping[str, Path], chosen: Sequence[TableLine]) -> dict[str, Any]:
    """Where lines came from: of a folder that is one record (mlruns), all of its files."""
    own = {name: files[name]} if name in files else {n: p for n, p in files.items() if n.startswith(f"{name}/")}
    digests = {shown: known_digest(path) for shown, path in own.items()}
    latest = max(path.stat().st_mtime for path in own.values())
    numbers = [int(line["source.line"]) for line in chosen if line["source.file"] == name]
    return {
        "path": name,
        "sha256": digests.get(name) or digest_json(digests),
        "mtime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(latest)),
        "lines": str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]} ({len(numbers)})",
    }
