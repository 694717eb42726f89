"""Runs as trackers left them on disk, read without the trackers: TensorBoard, MLflow and W&B.

Every reader gives lines: one per run and step, with the columns `run`, `step`, the metrics, `params.NAME` and
`tags.NAME`.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from papergen.core.errors import PapergenError
from papergen.core.strict_yaml import parse_yaml
from papergen.experiment.external.protobuf import Value, fields, signed, tf_records
from papergen.experiment.external.tables import flat, typed

Steps = dict[float, dict[str, Any]]


def as_lines(run: str, facts: Mapping[str, Any], steps: Steps) -> list[dict[str, Any]]:
    """One line per step, or a single one of a run that only has facts."""
    if not steps:
        return [{"run": run, **facts}] if facts else []
    return [{"run": run, "step": step, **facts, **steps[step]} for step in sorted(steps)]


# TensorBoard


def tensorboard_lines(files: list[Path], root: Path) -> list[dict[str, Any]]:
    """Scalars of event files; the files of one folder are one run."""
    runs: dict[str, Steps] = {}
    for path in sorted(files):
        run = path.parent.relative_to(root).as_posix() if path.parent.is_relative_to(root) else path.parent.name
        steps = runs.setdefault(run, {})
        for record in tf_records(path.read_bytes(), str(path)):
            try:
                for step, tag, value in _scalars(record):
                    steps.setdefault(float(step), {})[tag] = value
            except ValueError as error:
                raise PapergenError(f"{path}: not a TensorBoard event file ({error}).") from error
    return [line for run, steps in runs.items() for line in as_lines(run, {}, steps)]


def _scalars(event: bytes) -> Iterator[tuple[int, str, float]]:
    step, summaries = 0, []
    for number, value in fields(event):
        if number == 2:
            step = signed(value)
        elif number == 5:
            summaries.append(_bytes(value))
    for summary in summaries:
        for number, value in fields(summary):
            if number == 1:
                tag, scalar = _summary_value(_bytes(value))
                if scalar is not None:
                    yield step, tag, scalar


def _summary_value(data: bytes) -> tuple[str, float | None]:
    tag, scalar = "", None
    for number, value in fields(data):
        if number == 1:
            tag = _bytes(value).decode(errors="replace")
        elif number == 2:
            scalar = struct.unpack("<f", _bytes(value))[0]
        elif number == 8:
            scalar = _tensor_scalar(_bytes(value))
    return tag, scalar


def _tensor_scalar(data: bytes) -> float | None:
    """The number in a tensor of one float or double; None for any other tensor."""
    kind, content = 0, b""
    for number, value in fields(data):
        if number == 1:
            assert isinstance(value, int), "an enum is a varint"
            kind = value
        elif number in {4, 5, 6}:  # tensor_content, float_val, double_val
            content = _bytes(value)
    form = {1: "<f", 2: "<d"}.get(kind)
    return struct.unpack(form, content)[0] if form and len(content) == struct.calcsize(form) else None


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where a text should be")
    return value


# MLflow


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
        steps: Steps = {}
        for file in _files_below(folder / "metrics"):
            name = file.relative_to(folder / "metrics").as_posix()
            for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                words = text.split()
                if len(words) < 2:
                    raise PapergenError(f"{file}:{number}: not a line of an MLflow metric.")
                step = float(words[2]) if len(words) > 2 else 0.0
                steps.setdefault(step, {})[name] = float(words[1])
        facts: dict[str, Any] = {}
        for kind in ("params", "tags"):
            for file in _files_below(folder / kind):
                name = f"{kind}.{file.relative_to(folder / kind).as_posix()}"
                facts[name] = typed(file.read_text(encoding="utf-8"))
        facts["experiment"] = str(meta.get("experiment_id", ""))
        found += as_lines(str(meta.get("run_name") or facts.get("tags.mlflow.runName") or folder.name), facts, steps)
    return found


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


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
                steps: Steps = {}
                query = "SELECT key, value, step, is_nan FROM metrics WHERE run_uuid = ? ORDER BY timestamp"
                for key, value, step, is_nan in connection.execute(query, (run_id,)):
                    steps.setdefault(float(step), {})[key] = float("nan") if is_nan else value
                facts: dict[str, Any] = {"experiment": names.get(experiment, str(experiment))}
                for kind in ("params", "tags"):
                    for key, value in connection.execute(
                        f"SELECT key, value FROM {kind} WHERE run_uuid = ?", (run_id,)
                    ):
                        facts[f"{kind}.{key}"] = typed(value or "")
                found += as_lines(name or run_id, facts, steps)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise PapergenError(f"{path}: not an MLflow database ({error}).") from error
    return found


# W&B


def wandb_lines(files: list[Path]) -> list[dict[str, Any]]:
    """Runs that W&B recorded on this machine, offline ones too: the `run-ID.wandb` files of `wandb/*run-*`."""
    found = []
    for path in sorted(files):
        steps: Steps = {}
        facts: dict[str, Any] = {}
        run = path.stem.removeprefix("run-")
        try:
            for record in _wandb_records(path.read_bytes(), str(path)):
                for number, value in fields(record):
                    if number == 2:
                        row = _items(_bytes(value), 1)
                        step = row.pop("_step", len(steps))
                        kept = {key: item for key, item in row.items() if not key.startswith("_")}
                        steps.setdefault(float(step), {}).update(flat(kept))
                    elif number == 17:
                        run = _run_name(_bytes(value), facts) or run
        except (ValueError, struct.error) as error:
            raise PapergenError(f"{path}: not a W&B run file ({error}).") from error
        found += as_lines(run, facts, steps)
    return found


def _run_name(data: bytes, facts: dict[str, Any]) -> str:
    name = ""
    for number, value in fields(data):
        if number == 1:
            facts["run_id"] = _bytes(value).decode()
        elif number == 4:
            config = _items(_bytes(value), 1)
            facts |= {f"params.{key}": item for key, item in flat(config).items() if not key.startswith("_wandb")}
        elif number == 6:
            facts["tags.group"] = _bytes(value).decode()
        elif number == 8:
            name = _bytes(value).decode()
    return name


def _items(data: bytes, wanted: int) -> dict[str, Any]:
    """The key-value items of a history or config record: key or nested keys, and a value in JSON."""
    found: dict[str, Any] = {}
    for number, value in fields(data):
        if number != wanted:
            continue
        keys, item = [], None
        for inner, content in fields(_bytes(value)):
            if inner in {1, 2} and content:
                keys.append(_bytes(content).decode())
            elif inner == 16:
                item = json.loads(_bytes(content))
        found[".".join(keys)] = item
    return found


def _wandb_records(data: bytes, where: str) -> Iterator[bytes]:
    """The records of W&B's log (LevelDB's form: 32 KiB blocks, a record whole or as first, middle and last pieces)."""
    if data[:4] != b":W&B":
        raise PapergenError(f"{where}: not a W&B run file (it does not begin with :W&B).")
    at, pieces = 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        checksum, size, kind = struct.unpack("<IHB", data[at : at + 7])
        if kind == 0:
            at += left
            continue
        piece = data[at + 7 : at + 7 + size]
        if len(piece) < size:
            return  # cut off: its writer was killed
        if zlib.crc32(piece, zlib.crc32(bytes([kind]))) != checksum:
            raise PapergenError(f"{where}: damaged at byte {at}: a record's checksum is wrong.")
        at += 7 + size
        pieces = piece if kind in {1, 2} else pieces + piece
        if kind in {1, 4}:
            yield pieces
            pieces = b""
