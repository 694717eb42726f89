"""MLflow's folders and databases; that both say the same is a test of `kind: import`."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tracker_files import mlflow_database

from papergen.core.errors import PapergenError
from papergen.experiment.external.readers.mlflow import mlflow_lines


def run(folder: Path, *, metric: str = "1 0.5 0\n", stage: str = "active") -> None:
    (folder / "metrics").mkdir(parents=True)
    (folder / "meta.yaml").write_text(f"run_id: {folder.name}\nexperiment_id: '7'\nlifecycle_stage: {stage}\n")
    (folder / "metrics" / "loss").write_text(metric)


def test_deleted_runs_are_left_out_and_a_run_without_a_name_has_its_folders(tmp_path: Path) -> None:
    run(tmp_path / "7" / "kept")
    run(tmp_path / "7" / "gone", stage="deleted")
    assert mlflow_lines(tmp_path) == [{"run": "kept", "step": 0.0, "run_id": "kept", "experiment": "7", "loss": 0.5}]


def test_a_broken_metric_is_told_at_its_line(tmp_path: Path) -> None:
    run(tmp_path / "r", metric="1 0.5 0\nhello\n")
    with pytest.raises(PapergenError, match=r"metrics/loss:2: not a line of an MLflow metric"):
        mlflow_lines(tmp_path)


@pytest.mark.parametrize(
    ("stored", "is_nan", "value"),
    [
        (1.7976931348623157e308, 0, math.inf),
        (-1.7976931348623157e308, 0, -math.inf),
        (0, 1, math.nan),
        (1e300, 0, 1e300),
    ],
)
def test_infinity_and_nan_are_what_was_logged(tmp_path: Path, stored: float, is_nan: int, value: float) -> None:
    mlflow_database(
        tmp_path / "mlflow.db",
        "INSERT INTO runs VALUES ('id', 'r', 7, 'active', 0); INSERT INTO params VALUES ('version', '1.10', 'id');"
        f"INSERT INTO metrics VALUES ('loss', {stored!r}, 1, 'id', 0, {is_nan});",
    )
    (line,) = mlflow_lines(tmp_path / "mlflow.db")
    assert line["loss"] == pytest.approx(value, nan_ok=True)
    assert (line["run_id"], line["params.version"]) == ("id", "1.10")


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("hello, this is no database at all")
    with pytest.raises(PapergenError, match="not an MLflow database"):
        mlflow_lines(tmp_path / "x.db")
