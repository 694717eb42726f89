"""Collects what a rank's experiment reports: series, units, facts and samples, as plain finite JSON data."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from papergen.core.errors import PapergenError, did_you_mean, misspelt
from papergen.core.files import sync_folder
from papergen.store.records import Outcome
from papergen.store.runs import Run


class Recorder:
    """`emit` of a rank's Context. Only rank 0 records and tells; of the other ranks only the steps are told.

    `tell(kind, data)` forwards what a waiting person wants to see.
    """

    def __init__(self, run: Run, *, is_main: bool, tell: Callable[[str, dict[str, Any]], None]) -> None:
        self._run = run
        self._is_main = is_main
        self._tell = tell
        self._samples: TextIO | None = None
        self._series: dict[str, list[tuple[float, float]]] = {}
        self._dropped: dict[str, int] = {}
        self._units: dict[str, list[float | None]] = {}
        self._facts: dict[str, Any] = {}

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        """Take one report of the kinds that `Context` sends."""
        if kind == "step":
            self._tell("step", {"done": data["done"], "total": data["total"]})
            kind = "progress"
        if not self._is_main:
            return
        match kind:
            case "log":
                self._log(data["step"], data["metrics"])
            case "series":
                self._replace(data["name"], data["points"])
            case "progress":
                self._tell("progress", plain(data, "ctx.progress"))
            case "note":
                self._tell("note", {"text": str(data["text"])})
            case "units":
                where = f"ctx.units({data['name']!r})"
                self._units[data["name"]] = [number(value, where) for value in data["values"]]
            case "fact":
                self._facts[data["name"]] = plain(data["value"], f"ctx.fact({data['name']!r})")
            case "sample":
                self._sample(data)
            case _:
                raise AssertionError(f"a Context emits no {kind!r}")

    def outcome(self, metrics: Any, declared: Sequence[str], where: str) -> Outcome:
        """All that was recorded, with the numbers that `run` returned, declared metrics among them."""
        if not isinstance(metrics, Mapping):
            raise PapergenError(f"{where}: run() returned {type(metrics).__name__}, not a mapping of metric to number.")
        # A row may leave out a declared metric that has no meaning for it; none at all or another spelling is an error.
        missing = [name for name in declared if name not in metrics]
        others = [str(name) for name in metrics if name not in declared]
        for name in missing:
            if len(missing) == len(declared) or misspelt(name, others):
                told = f"{where}: METRICS declares {name!r}, which run() did not return."
                raise PapergenError(f"{told} {did_you_mean(name, others)}".rstrip())
        facts = dict(self._facts)
        if self._dropped:
            # Outcome.series holds finite numbers only; that there were others must not be forgotten.
            facts["nonfinite_points"] = dict(self._dropped)
        return Outcome(
            metrics={str(name): number(value, f"{where}: metric {name!r}") for name, value in metrics.items()},
            units=self._units,
            series=self._series,
            facts=facts,
        )

    def close(self) -> None:
        """Close samples.jsonl."""
        if self._samples is not None:
            self._samples.close()
            self._samples = None

    def _log(self, step: Any, metrics: Mapping[str, Any]) -> None:
        at = _place(step, "ctx.log")
        values = {name: number(value, f"ctx.log({name}=)") for name, value in metrics.items()}
        for name, value in values.items():
            self._add(name, at, value)
        self._tell("log", {"step": at, "metrics": values})

    def _replace(self, name: str, points: Sequence[tuple[Any, Any]]) -> None:
        self._series.pop(name, None)
        self._dropped.pop(name, None)
        where = f"ctx.series({name!r})"
        for step, value in points:
            self._add(name, _place(step, where), number(value, where))

    def _add(self, name: str, at: float, value: float | None) -> None:
        if value is None:
            self._dropped[name] = self._dropped.get(name, 0) + 1
        else:
            self._series.setdefault(name, []).append((at, value))

    def _sample(self, record: Mapping[str, Any]) -> None:
        if self._samples is None:
            self._samples = self._run.samples_file.open("a", encoding="utf-8")
        data = plain(record, "ctx.sample")
        line = json.dumps(data, ensure_ascii=False, allow_nan=False)
        try:
            line.encode()
        except UnicodeEncodeError:  # a lone surrogate is no UTF-8, but JSON can name it
            line = json.dumps(data, allow_nan=False)
        self._samples.write(line + "\n")
        self._samples.flush()


def _place(step: Any, where: str) -> float:
    at = number(step, where)
    if at is None:
        raise PapergenError(f"{where}: the step is {step}, which is no place on an axis.")
    return at


def number(value: Any, where: str) -> float | None:
    """A Python, NumPy or torch scalar as a float; None for NaN and infinity."""
    found = value.item() if hasattr(value, "item") else value
    if found is None:
        return None
    if not isinstance(found, int | float):
        raise PapergenError(f"{where}: {_shown(value)} is not a number.")
    return float(found) if math.isfinite(found) else None


def plain(value: Any, where: str) -> Any:
    """`value` as plain JSON data: arrays as lists, paths as text, NaN and infinity as None; others are refused."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(item, where) for name, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(item, where) for item in value), key=str)
    if isinstance(value, list | tuple | range):
        return [plain(item, where) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist(), where)
    raise PapergenError(f"{where}: {_shown(value)} cannot be recorded. Give numbers, text, lists or mappings of these.")


def sync_tree(folder: Path) -> None:
    """Make every file below `folder` survive a power cut, before anything says that they are there."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        elif path.is_file() and path.suffix != ".log":
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    sync_folder(folder)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} ({type(value).__name__})"
