"""Results handed to trackers are read back by the trackers' own means."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import papergen


@pytest.fixture
def finished(project: Path) -> Path:
    assert papergen("run-exp", "--only", "large", cwd=project).returncode == 0
    return project


def read_back(code: str, cwd: Path) -> str:
    """In a process of its own: trackers warn, start threads and set global state."""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=cwd, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def exported(project: Path, tracker: str) -> None:
    done = papergen("results", "export", tracker, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "2 results exported, 0 were there already" in done.stderr
    again = papergen("results", "export", tracker, cwd=project)
    assert "0 results exported, 2 were there already" in again.stderr


def test_tensorboard_reads_curves_metrics_and_parameters(finished: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    exported(finished, "tensorboard")
    code = """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator("build/tensorboard/first/large/seed1"); found.Reload()
print([(e.step, round(e.value, 3)) for e in found.Scalars("loss")], found.Scalars("final/score")[0].value)
print(sorted(found.SummaryMetadata("_hparams_/session_start_info").plugin_data.plugin_name))
"""
    assert read_back(code, finished).startswith("[(0, 1.0), (1, 0.5), (2, 0.333)] 11.0")


@pytest.mark.slow
def test_mlflow_reads_runs_from_its_database(finished: Path) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="sqlalchemy is not installed")
    exported(finished, "mlflow")
    code = """
from mlflow.tracking import MlflowClient
client = MlflowClient("sqlite:///build/mlflow/mlflow.db")
runs = client.search_runs([client.get_experiment_by_name("first").experiment_id], order_by=["metrics.score"])
print([(r.info.run_name, r.data.metrics["score"], r.data.params["size"], r.info.status) for r in runs])
print(len(client.get_metric_history(runs[0].info.run_id, "curve/loss")))
"""
    found = read_back(code, finished)
    assert "[('first/large/seed0', 10.0, '5', 'FINISHED'), ('first/large/seed1', 11.0, '5', 'FINISHED')]\n3" in found


@pytest.mark.slow
def test_wandb_gets_offline_runs(finished: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    exported(finished, "wandb")
    runs = list((finished / "build" / "wandb" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(runs) == 2
    assert all(b"first/large/seed" in run.read_bytes() for run in runs)


def test_a_tracker_that_is_not_installed_is_named(finished: Path) -> None:
    code = """
import sys
sys.modules["tensorboard"] = None
from papergen.cli.main import main
main(["results", "export", "tensorboard"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=finished, capture_output=True, text=True)
    assert done.returncode == 3
    assert "pip install 'papergen[tensorboard]'" in done.stderr
