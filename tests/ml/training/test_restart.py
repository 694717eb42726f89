"""`papergen run-exp` killed in the middle of a training run goes on from its last checkpoint, to the same bits."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

from commands import marked, papergen, start, wait_for
from fakes import training_yaml

TRAINING = training_yaml(max_steps=400)


def test_a_killed_run_exp_goes_on_from_its_last_checkpoint_to_the_same_bits(text_project: Path, tmp_path: Path) -> None:
    killed, whole = (make_project(tmp_path / name, text_project) for name in ("killed 训练", "whole"))
    process = start(killed, PAPERGEN_TEST_MARK=str(killed))
    latest = killed / "results" / ".scratch"
    wait_for(lambda: any(latest.rglob("LATEST")), limit_s=120)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    wait_for(lambda: not marked(str(killed)), limit_s=20)
    assert not result_of(killed), "the run was over before it could be killed"
    assert papergen("run-exp", cwd=killed).returncode == 0
    assert papergen("run-exp", cwd=whole).returncode == 0
    assert weights(killed) == weights(whole)
    ((resumed,), (one,)) = result_of(killed), result_of(whole)
    assert resumed["outcome"]["facts"]["resumed_from_step"] >= 50
    assert "resumed_from_step" not in one["outcome"]["facts"]
    for name in ("train_loss", "validation_loss"):
        assert resumed["outcome"]["metrics"][name] == one["outcome"]["metrics"][name]
        assert resumed["outcome"]["series"][name] == one["outcome"]["series"][name]
    assert not list(latest.rglob("*.pt")), "a finished trial leaves no checkpoint"


def make_project(folder: Path, text_project: Path) -> Path:
    (folder / "experiments").mkdir(parents=True)
    (folder / "paper.yaml").write_text("title: A title\nauthors:\n  - name: A. Author\n", encoding="utf-8")
    (folder / "experiments" / "training.yaml").write_text(TRAINING, encoding="utf-8")
    shutil.copy(text_project / "text.txt", folder)
    return folder


def result_of(project: Path) -> list[dict[str, dict[str, dict[str, object]]]]:
    return [json.loads(path.read_text()) for path in (project / "results").glob("training/*/result.json")]


def weights(project: Path) -> bytes:
    (path,) = (project / "results").glob("training/*/model/model.safetensors")
    return path.read_bytes()
