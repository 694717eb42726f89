"""MLflow: runs in a folder (`mlruns`) or a database (`mlflow.db`)."""

from __future__ import annotations

import math
import sqlite3
import sys
from pathlib import Path
from typing import Any

from papergen.core.errors import PapergenError
from papergen.core.strict_yaml import parse_yaml
from papergen.experiment.external.readers.lines import Cell, RunSteps, run_lines


def mlflow_lines(path: Path) -> list[dict[str, Any]]:
    """Runs of an MLflow folder (`mlruns`) or database (`mlflow.db`); deleted runs are left out."""
    return _mlflow_database(path) if path.is_file() else _mlflow_folder(path)


def _mlflow_folder(root: Path) -> list[dict[str, Any]]:
    found = []
    for meta_file in sorted(root.rglob("meta.yaml")):
        folder = meta_file.parent
        meta = parse_yaml(meta_file.read_text(encoding="utf-8"), str(meta_file)) or {}
        if ("run_id" not in meta and "run_uuid" not in meta) or meta.get("lifecycle_stage") == "deleted":
            continue
        steps = RunSteps()
        for file in _files_below(folder / "metrics"):
            name = file.relative_to(folder / "metrics").as_posix()
            for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                words = text.split()
                if len(words) < 2:
                    raise PapergenError(f"{file}:{number}: not a line of an MLflow metric.")
                step = float(words[2]) if len(words) > 2 else 0.0
                steps.add(step, name, float(words[1]))
        facts: dict[str, Any] = {"run_id": folder.name}
        for kind in ("params", "tags"):
            for file in _files_below(folder / kind):
                name = f"{kind}.{file.relative_to(folder / kind).as_posix()}"
                facts[name] = Cell(file.read_text(encoding="utf-8").strip()) or None
        facts["experiment"] = str(meta.get("experiment_id", ""))
        found += run_lines(str(meta.get("run_name") or facts.get("tags.mlflow.runName") or folder.name), facts, steps)
    return found


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def _value(stored: float, *, is_nan: bool) -> float:
    """What was logged: a database of MLflow holds NaN as a flag, and infinity as the largest float there is."""
    if is_nan:
        return math.nan
    return math.copysign(math.inf, stored) if abs(stored) >= sys.float_info.max else stored


def _mlflow_database(path: Path) -> list[dict[str, Any]]:
    found = []
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            names = dict(connection.execute("SELECT experiment_id, name FROM experiments"))
            runs = connection.execute(
                "SELECT run_uuid, name, experiment_id FROM runs WHERE lifecycle_stage != 'deleted' ORDER BY start_time"
            ).fetchall()
            for run_id, name, experiment in runs:
                steps = RunSteps()
                query = "SELECT key, value, step, is_nan FROM metrics WHERE run_uuid = ? ORDER BY timestamp, step"
                for key, value, step, is_nan in connection.execute(query, (run_id,)):
                    steps.add(float(step), key, _value(value, is_nan=bool(is_nan)))
                facts: dict[str, Any] = {"run_id": run_id, "experiment": names.get(experiment, str(experiment))}
                for kind in ("params", "tags"):
                    for key, value in connection.execute(
                        f"SELECT key, value FROM {kind} WHERE run_uuid = ?", (run_id,)
                    ):
                        facts[f"{kind}.{key}"] = Cell((value or "").strip()) or None
                found += run_lines(name or run_id, facts, steps)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise PapergenError(f"{path}: not an MLflow database ({error}).") from error
    return found
