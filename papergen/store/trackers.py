"""Finished results handed to experiment trackers, after the run: no fault of a tracker can touch a trial.

Each is an extra (`pip install 'papergen[tensorboard]'`) and works offline. Exporting twice adds nothing twice.
"""

from __future__ import annotations

import calendar
import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from papergen.core.errors import MachineError
from papergen.core.files import slug
from papergen.store.records import Result, Trial

TRACKERS = ("tensorboard", "mlflow", "wandb")


def export(tracker: str, results: Iterable[Result], target: Path) -> int:
    """Write the results for the tracker below the folder `target`; how many were new there."""
    writers = {"tensorboard": _to_tensorboard, "mlflow": _to_mlflow, "wandb": _to_wandb}
    target.mkdir(parents=True, exist_ok=True)
    try:
        return sum(writers[tracker](list(results), target))
    except ImportError as error:
        raise MachineError(
            f"{tracker} is not installed ({error}).", hint=f"pip install 'papergen[{tracker}]'"
        ) from error


def started_s(result: Result) -> float:
    """When the trial began, in seconds since the epoch."""
    return float(calendar.timegm(time.strptime(result.provenance.started, "%Y-%m-%dT%H:%M:%SZ")))


def run_name(trial: Trial) -> str:
    """`decoding/nucleus/seed1`."""
    return f"{trial.experiment}/{trial.row}" + (f"/seed{trial.seed}" if trial.is_seeded else "")


def numbers(result: Result) -> dict[str, float]:
    """The metrics that are numbers."""
    return {name: value for name, value in result.outcome.metrics.items() if value is not None}


def flat(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as trackers take them: numbers, truths and text."""
    plain = (bool, int, float, str)
    return {name: value if isinstance(value, plain) else json.dumps(value) for name, value in params.items()}


def _to_tensorboard(results: list[Result], target: Path) -> Iterator[bool]:
    """One folder per trial, curves at their steps, final metrics under `final/`, parameters for the HParams page."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import summary_v2 as hparams
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for result in results:
        trial, began = result.trial, started_s(result)
        folder = target / "/".join(slug(part) for part in run_name(trial).split("/"))
        mark = folder / f"{trial.digest[:12]}.papergen"
        if mark.exists():
            yield False
            continue
        shutil.rmtree(folder, ignore_errors=True)  # of another digest, or broken off
        writer = EventFileWriter(str(folder))
        points = [(f"final/{name}", 0.0, value) for name, value in numbers(result).items()]
        points += [(name, step, value) for name, curve in result.outcome.series.items() for step, value in curve]
        longest = max((step for _, step, _ in points), default=0.0) or 1.0
        for name, step, value in points:
            at = began + result.provenance.duration_s * step / longest
            summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
            writer.add_event(Event(wall_time=at, step=round(step), summary=summary))
        chosen = hparams.hparams_pb(flat(trial.params), trial_id=trial.digest[:12], start_time_secs=began)
        writer.add_event(Event(wall_time=began, summary=chosen))
        writer.close()
        mark.touch()
        yield True


def _to_mlflow(results: list[Result], target: Path) -> Iterator[bool]:
    """An SQLite database, `mlflow.db`: open it by `mlflow ui --backend-store-uri sqlite:///.../mlflow.db`."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import logging

    logging.getLogger("alembic").setLevel(logging.ERROR)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{target.resolve()}/mlflow.db")
    for result in results:
        trial = result.trial
        found = client.get_experiment_by_name(trial.experiment)
        experiment = client.create_experiment(trial.experiment) if found is None else found.experiment_id
        if client.search_runs([experiment], f"tags.`papergen.digest` = '{trial.digest}'", max_results=1):
            yield False
            continue
        began_ms = int(started_s(result) * 1000)
        tags = {
            "papergen.digest": trial.digest,
            "papergen.row": trial.row,
            "papergen.seed": str(trial.seed),
            "mlflow.source.git.commit": result.provenance.git_commit,
        }
        run = client.create_run(experiment, start_time=began_ms, run_name=run_name(trial), tags=tags)
        metrics = [Metric(name, value, began_ms, 0) for name, value in numbers(result).items()]
        metrics += [
            Metric(f"curve/{name}", value, began_ms, round(step))
            for name, curve in result.outcome.series.items()
            for step, value in curve
        ]
        params = [Param(name, str(value)[:6000]) for name, value in flat(trial.params).items()]
        client.log_batch(run.info.run_id, params=params[:100])
        for start in range(0, len(metrics), 1000):
            client.log_batch(run.info.run_id, metrics=metrics[start : start + 1000])
        client.set_terminated(run.info.run_id, end_time=began_ms + int(result.provenance.duration_s * 1000))
        yield True


def _to_wandb(results: list[Result], target: Path) -> Iterator[bool]:
    """Offline runs, which `wandb sync` uploads when and if the author wants."""
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    for result in results:
        trial = result.trial
        name = trial.digest[:12]
        if any((target / "wandb").glob(f"offline-run-*-{name}")):
            yield False
            continue
        settings = wandb.Settings(
            console="off",
            x_disable_stats=True,
            x_disable_meta=True,
            disable_git=True,
            save_code=False,
            silent=True,
        )
        with contextlib.redirect_stdout(None):
            run = wandb.init(
                mode="offline",
                dir=str(target),
                project="papergen",
                id=name,
                name=run_name(trial),
                group=f"{trial.experiment}/{trial.row}",
                config={**flat(trial.params), "seed": trial.seed, "digest": trial.digest},
                settings=settings,
            )
            steps: dict[float, dict[str, float]] = {}
            for curve, points in result.outcome.series.items():
                for step, value in points:
                    steps.setdefault(step, {})[curve] = value
            for step in sorted(steps):
                run.log({**steps[step], "step": step})
            run.summary.update(numbers(result))
            run.finish()
        yield True
