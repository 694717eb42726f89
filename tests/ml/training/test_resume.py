"""A killed run that resumes ends with the same bits as one that was never stopped."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import ranks
import torch

from papergen.core.errors import PapergenError
from papergen.execution.worker.lease import Lease
from papergen.ml.distributed import Ranks
from papergen.ml.training.checkpoint import Checkpoints, random_state, set_random_state
from papergen.ml.training.loop import is_save_due
from papergen.ml.training.settings import TrainingSettings

LONG = {"max_steps": 14, "save_every": 4, "eval_every": 5}


@pytest.mark.parametrize(
    "overrides",
    [
        LONG,
        {**LONG, "gradient_accumulation_steps": 2, "packing": "documents"},
        {**LONG, "strategy": "fsdp2"},
        {**LONG, "comm_hook": "powersgd", "max_steps": 24, "save_every": 16},
    ],
    ids=["plain", "documents", "fsdp2", "powersgd"],
)
def test_a_killed_run_resumes_bitwise(text_project: Path, tmp_path: Path, overrides: dict[str, Any]) -> None:
    whole = ranks.start(ranks.train_rank, 2, text_project, tmp_path / "whole", overrides)
    folder = tmp_path / "killed"
    # PowerSGD compresses from the eleventh step on: what it carries from step to step is in the checkpoint.
    fatal = 20 if "comm_hook" in overrides else 9
    died = ranks.start(ranks.train_rank, 2, text_project, folder, overrides, False, fatal, may_die=True)
    assert died == [None, None]
    assert not (folder / "model").exists()
    assert (folder / "checkpoints" / "LATEST").read_text() in {"step-00000004\n", "step-00000008\n", "step-00000016\n"}
    resumed = ranks.start(ranks.train_rank, 2, text_project, folder, overrides, True)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (folder / "model" / name).read_bytes() == (tmp_path / "whole" / "model" / name).read_bytes()
    for before, after in zip(whole, resumed, strict=True):
        assert after["metrics"]["train_loss"] == before["metrics"]["train_loss"]
        assert after["metrics"]["validation_loss"] == before["metrics"]["validation_loss"]
        assert losses(after) == losses(before), "the curve before the kill is logged again"
    assert not (folder / "checkpoints").exists(), "a complete run leaves no checkpoint"


def test_a_run_that_is_asked_to_save_does_so_on_all_ranks_and_resumes_bitwise(
    text_project: Path, tmp_path: Path
) -> None:
    """As when a cluster preempts it; the ranks hear of it at different moments."""
    overrides = {**LONG, "save_every": 100, "log_every": 3}
    whole = ranks.start(ranks.train_rank, 2, text_project, tmp_path / "whole", overrides)
    folder = tmp_path / "asked"
    with pytest.raises(ranks.RankFailedError, match="asked to end; step 6 of 14 is saved, and the next attempt"):
        ranks.start(ranks.train_rank, 2, text_project, folder, overrides, False, None, 4)
    assert (folder / "checkpoints" / "LATEST").read_text() == "step-00000006\n"
    resumed = ranks.start(ranks.train_rank, 2, text_project, folder, overrides, True)
    assert resumed[0]["facts"]["resumed_from_step"] == 6
    name = "model/model.safetensors"
    assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert [losses(run) for run in resumed] == [losses(run) for run in whole]


def test_nothing_to_resume_from_is_a_run_from_the_start(text_project: Path, tmp_path: Path) -> None:
    fresh = ranks.start(ranks.train_rank, 2, text_project, tmp_path / "fresh", {})[0]
    resumed = ranks.start(ranks.train_rank, 2, text_project, tmp_path / "resumed", {}, True)[0]
    assert losses(fresh) == losses(resumed)


def test_a_checkpoint_of_another_run_is_refused_and_a_damaged_one_set_aside(text_project: Path, tmp_path: Path) -> None:
    ranks.start(ranks.train_rank, 1, text_project, tmp_path, LONG, False, 5, may_die=True)
    with pytest.raises(ranks.RankFailedError, match="other settings, data, seed"):
        ranks.start(ranks.train_rank, 1, text_project, tmp_path, {**LONG, "learning_rate": 0.1}, True)
    state = tmp_path / "checkpoints" / "step-00000004" / "rank-0.pt"
    state.write_bytes(state.read_bytes()[:1000])
    found = ranks.start(ranks.train_rank, 1, text_project, tmp_path, LONG, True)[0]
    assert "resumed_from_step" not in found["facts"]
    assert losses(found) == losses(ranks.start(ranks.train_rank, 1, text_project, tmp_path / "fresh", LONG)[0])
    (aside,) = (tmp_path / "checkpoints-damaged").iterdir()
    assert (aside / "rank-0.pt").stat().st_size == 1000


@pytest.mark.parametrize("has_older", [True, False])
def test_behind_a_damaged_checkpoint_the_one_before_is_taken(tmp_path: Path, has_older: bool) -> None:
    alone = Ranks(rank=0, world_size=1, local_rank=0, device=torch.device("cpu"), backend="none")
    told: list[str] = []
    store = Checkpoints(tmp_path / "kept", alone, owner="run", timeout_s=5, note=told.append)
    store.save(4, own={"at": 4}, shared={})
    store.wait()
    if has_older:  # a kill between LATEST and the removal of the one before
        shutil.copytree(tmp_path / "kept" / "step-00000004", tmp_path / "aside")
    store.save(8, own={"at": 8}, shared={})
    store.wait()
    if has_older:
        (tmp_path / "aside").rename(tmp_path / "kept" / "step-00000004")
    (tmp_path / "kept" / "step-00000008" / "rank-0.pt").unlink()
    found = store.load()
    assert (found and found[0]) == (4 if has_older else None)
    (line,) = told
    assert line.startswith("the checkpoint step-00000008 cannot be read (rank-0.pt is missing): set aside as ")
    assert line.endswith("going on from step-00000004" if has_older else "training from the start")
    assert store.load() is None or has_older


def test_random_states_go_through_a_checkpoint() -> None:
    import random

    import numpy as np

    alone = Ranks(rank=0, world_size=1, local_rank=0, device=torch.device("cpu"), backend="none")
    state = random_state(alone)
    drawn = (torch.rand(3).tolist(), random.random(), np.random.rand())
    set_random_state(state, alone)
    assert (torch.rand(3).tolist(), random.random(), np.random.rand()) == drawn


def test_no_checkpoint_is_made_of_two_attempts_files_and_the_earlier_attempt_gives_up(tmp_path: Path) -> None:
    """SLURM has started a job again whose old node it has lost sight of, but which lives."""
    alone = Ranks(rank=0, world_size=1, local_rank=0, device=torch.device("cpu"), backend="none")
    lease = tmp_path / "lease"

    def attempt(name: str) -> Checkpoints:
        held = Lease(name, lease)
        return Checkpoints(tmp_path / "kept", alone, owner="run", timeout_s=5, attempt=name, may_write=held.is_held)

    first, second = attempt("7.0"), attempt("7.1")
    Lease("7.0", lease).take()
    first.save(20, own={"by": torch.zeros(1)}, shared={})
    first.wait()
    Lease("7.1", lease).take()
    found = second.load()
    assert found is not None
    assert found[0] == 20, "what the earlier one had finished is gone on from"
    second.save(10, own={"by": torch.ones(1)}, shared={})
    second.wait()
    first.save(30, own={"by": torch.zeros(1)}, shared={})
    with pytest.raises(PapergenError, match="another attempt at this trial goes on from its checkpoints"):
        first.wait()
    with pytest.raises(PapergenError, match="another attempt"):
        first.remove()
    found = second.load()
    assert found is not None
    assert (found[0], found[1]["by"]) == (10, torch.ones(1))
    second.save(20, own={"by": torch.ones(1)}, shared={})
    second.wait()
    assert [path.name for path in sorted((tmp_path / "kept").glob("step-*"))] == ["step-00000020.7.1"]


def losses(run: dict[str, Any]) -> list[Any]:
    """The curve without its times."""
    return [
        (step, {name: value for name, value in metrics.items() if name != "tokens_per_s"})
        for step, metrics in run["points"]
    ]


ALONE = Ranks(rank=0, world_size=1, local_rank=0, device=torch.device("cpu"), backend="none")


@pytest.mark.parametrize(
    ("overrides", "done", "age_s", "is_due"),
    [
        ({}, 10, 61, True),
        ({}, 10, 59, False),
        ({}, 11, 61, False),  # ranks agree at the points of the curve only
        ({"save_every": 7}, 14, 0, True),
        ({"save_every": 0}, 10, 61, False),
        ({"strategy": "fsdp2"}, 10, 61, True),
        ({"comm_hook": "powersgd"}, 10, 61, True),
        ({"profile_steps": 3}, 10, 61, False),
    ],
)
def test_checkpoints_are_due_about_once_a_minute_where_a_resume_is_exact(
    overrides: dict[str, Any], done: int, age_s: float, is_due: bool
) -> None:
    settings = TrainingSettings(max_steps=100, **overrides)
    assert is_save_due(settings, ALONE, done, time.perf_counter() - age_s) is is_due
