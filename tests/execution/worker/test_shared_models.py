"""The fork server holds a model between trials, and no number changes by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lab import Lab, run_job

from papergen.core.files import read_json
from papergen.execution.launchers.local import LocalLauncher, worker_environment
from papergen.experiment import shared_models
from papergen.store.runs import Run

LOADER = "papergen.ml.models:load_shared"

MAKE = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(int(sys.argv[2]))
config = GPT2Config(n_layer=2, n_embd=32, n_head=2, vocab_size=97, n_positions=32, bos_token_id=1, eos_token_id=2)
GPT2LMHeadModel(config).save_pretrained(sys.argv[1])
"""

BODY = """
import torch
from papergen.experiment import shared_models
from papergen.ml.models import load_model
ctx.fact("held", len(shared_models._held))
ctx.fact("threads_before", shared_models.num_threads())
model = load_model({path!r})
ctx.fact("unseeded", torch.rand(3).tolist())
with torch.no_grad():
    logits = model(torch.arange(20)[None]).logits
again = load_model({path!r})
assert again is not model
model.lm_head.weight.data.zero_()  # a trial may do with its model what it likes
return {{"score": float(logits.double().sum())}}
"""


def make_model(folder: Path, seed: int) -> str:
    subprocess.run([sys.executable, "-c", MAKE, str(folder), str(seed)], check=True, capture_output=True)
    return str(folder)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("model") / "a model", 0)


def outcome(launcher: LocalLauncher, lab: Lab, path: str, *, is_warm: bool) -> tuple[float, dict[str, object]]:
    models = [(LOADER, path, "float32")] if is_warm else []
    job = lab.job(BODY.format(path=path), models=models, preload=["torch"])
    _, ended = run_job(launcher, job)
    assert ended.failure is None, ended.failure
    record = read_json(Run(job.folder).outcome_file)
    return record["metrics"]["score"], record["facts"]


def test_held_models_give_the_same_numbers_and_follow_their_files(launcher: LocalLauncher, lab: Lab, path: str) -> None:
    cold, cold_facts = outcome(launcher, lab, path, is_warm=False)
    assert cold_facts["held"] == 0
    for _ in range(2):
        warm, facts = outcome(launcher, lab, path, is_warm=True)
        assert warm == cold
        assert facts == {**cold_facts, "held": 1}, "same random numbers, one thread, and a model in memory"
    make_model(Path(path), 1)
    changed, facts = outcome(launcher, lab, path, is_warm=True)
    assert changed != cold
    assert changed == outcome(launcher, lab, path, is_warm=False)[0]
    assert facts["held"] == 1


def test_what_cannot_be_held_is_left_to_the_trial(launcher: LocalLauncher, lab: Lab, tmp_path: Path, path: str) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{")
    job = lab.job(
        "return {'score': 1}",
        models=[(LOADER, str(broken), "float32"), (LOADER, "no/such", "float32"), ("no.such:loader", path, "float32")],
        preload=["torch"],
    )
    _, ended = run_job(launcher, job)
    assert ended.failure is None


def test_a_file_that_changed_is_another_model(tmp_path: Path) -> None:
    code = f"""
import os, pathlib
from papergen.experiment import shared_models
folder = pathlib.Path({str(tmp_path)!r})
(folder / "config.json").write_text("1")
first = shared_models.key_of("a:b", folder, "float32")
assert first == shared_models.key_of("a:b", str(folder) + "/", "float32")
assert first not in (shared_models.key_of("a:b", folder, "bfloat16"), shared_models.key_of("a:c", folder, "float32"))
os.utime(folder / "config.json", ns=(1, 1))
assert shared_models.key_of("a:b", folder, "float32") != first
assert shared_models.key_of("a:b", folder / "absent", "float32") is None
"""
    environment = {**worker_environment(), "HF_HUB_OFFLINE": "1", "HOME": os.environ["HOME"]}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_a_thread_that_is_just_ending_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([3, 2, 1])
    monkeypatch.setattr(shared_models, "num_threads", lambda: next(counts))
    assert shared_models._is_alone()
    monkeypatch.setattr(shared_models, "num_threads", lambda: 2)
    monkeypatch.setattr(shared_models, "SETTLE_LIMIT_S", 0.05)
    assert not shared_models._is_alone()
