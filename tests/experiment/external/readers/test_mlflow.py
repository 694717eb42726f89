"""MLflow's folders and databases; that both say the same is a test of `kind: import`."""

from __future__ import annotations

from pathlib import Path

import pytest

from papergen.core.errors import PapergenError
from papergen.experiment.external.readers.mlflow import mlflow_lines


def run(folder: Path, *, metric: str = "1 0.5 0\n", stage: str = "active") -> None:
    (folder / "metrics").mkdir(parents=True)
    (folder / "meta.yaml").write_text(f"run_id: {folder.name}\nexperiment_id: '7'\nlifecycle_stage: {stage}\n")
    (folder / "metrics" / "loss").write_text(metric)


def test_deleted_runs_are_left_out_and_a_run_without_a_name_has_its_folders(tmp_path: Path) -> None:
    run(tmp_path / "7" / "kept")
    run(tmp_path / "7" / "gone", stage="deleted")
    assert mlflow_lines(tmp_path) == [{"run": "kept", "step": 0.0, "experiment": "7", "loss": 0.5}]


def test_a_broken_metric_is_told_at_its_line(tmp_path: Path) -> None:
    run(tmp_path / "r", metric="1 0.5 0\nhello\n")
    with pytest.raises(PapergenError, match=r"metrics/loss:2: not a line of an MLflow metric"):
        mlflow_lines(tmp_path)


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("hello, this is no database at all")
    with pytest.raises(PapergenError, match="not an MLflow database"):
        mlflow_lines(tmp_path / "x.db")
