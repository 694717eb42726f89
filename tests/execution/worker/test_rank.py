"""What a rank records, and what the fork server may be when it forks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from papergen.core.errors import PapergenError
from papergen.execution.launcher import PRELOADS
from papergen.execution.launchers.local import worker_environment
from papergen.experiment.recorder import Recorder, number, plain, sync_tree
from papergen.store.runs import Run


@pytest.fixture
def told() -> list[tuple[str, dict[str, Any]]]:
    return []


@pytest.fixture
def recorder(tmp_path: Path, told: list[tuple[str, dict[str, Any]]]) -> Recorder:
    return Recorder(Run(tmp_path), is_main=True, tell=lambda kind, data: told.append((kind, data)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
        (torch.tensor([2.0]), 2.0),
        (np.float32(0.25), 0.25),
        (np.int64(3), 3.0),
        (float("nan"), None),
        (float("-inf"), None),
        (torch.tensor(float("nan")), None),
        (None, None),
    ],
)
def test_numbers_of_every_kind(value: Any, expected: float | None) -> None:
    found = number(value, "here")
    assert found == expected
    assert found is None or type(found) is float


def test_what_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(PapergenError, match=r"metric 'f1': 'high' \(str\) is not a number"):
        number("high", "metric 'f1'")


def test_facts_become_plain_json() -> None:
    value = {"a": np.arange(2), 3: {"b", "a"}, "p": Path("x"), "t": torch.ones(1, 2), "n": float("inf"), "d": (1, True)}
    expected = {"a": [0, 1], "3": ["a", "b"], "p": "x", "t": [[1.0, 1.0]], "n": None, "d": [1, True]}
    assert json.loads(json.dumps(plain(value, "here"), allow_nan=False)) == expected


def test_points_that_no_axis_has_are_counted_not_kept(recorder: Recorder, told: list[Any]) -> None:
    for step, loss in enumerate([1.0, float("nan"), 0.5]):
        recorder.emit("log", {"step": step, "metrics": {"loss": loss}})
    outcome = recorder.outcome({"score": 1}, ["score"], "kind.py")
    assert outcome.series == {"loss": [(0.0, 1.0), (2.0, 0.5)]}
    assert outcome.facts == {"nonfinite_points": {"loss": 1}}
    assert told[1] == ("log", {"step": 1.0, "metrics": {"loss": None}})


def test_a_whole_series_takes_the_place_of_its_points(recorder: Recorder) -> None:
    recorder.emit("log", {"step": 0, "metrics": {"a": 9.0, "b": float("nan")}})
    recorder.emit("series", {"name": "a", "points": [(0, 1.0), (1, float("inf")), (2, 3.0)]})
    recorder.emit("series", {"name": "b", "points": [(0, 5.0)]})
    outcome = recorder.outcome({"x": 1}, [], "f")
    assert outcome.series == {"a": [(0, 1.0), (2, 3.0)], "b": [(0, 5.0)]}
    assert outcome.facts == {"nonfinite_points": {"a": 1}}
    with pytest.raises(PapergenError, match="the step is nan, which is no place on an axis"):
        recorder.emit("series", {"name": "a", "points": [(float("nan"), 1.0)]})


def test_samples_are_lines_of_json_whatever_they_hold(recorder: Recorder, tmp_path: Path) -> None:
    texts = ["two\nlines", "中文 \u2028 end", "lone \ud800 surrogate", ""]
    for text in texts:
        recorder.emit("sample", {"text": text, "score": np.float32(0.5)})
    recorder.close()
    lines = (tmp_path / "samples.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line)["text"] for line in lines[:-1]] == texts


def test_other_ranks_record_nothing(tmp_path: Path) -> None:
    recorder = Recorder(Run(tmp_path), is_main=False, tell=lambda *_: pytest.fail("told"))
    recorder.emit("sample", {"text": "x"})
    recorder.emit("log", {"step": 0, "metrics": {"loss": 1.0}})
    assert not list(tmp_path.iterdir())


def test_a_misspelt_metric_is_named_with_the_nearest(recorder: Recorder) -> None:
    with pytest.raises(PapergenError, match=r"declares 'perplexity'.*Did you mean perplexty\?"):
        recorder.outcome({"perplexty": 1.0}, ["perplexity"], "kind.py")


def test_an_undeclared_metric_is_kept(recorder: Recorder) -> None:
    assert recorder.outcome({"score": 1, "more": 2}, ["score"], "kind.py").metrics == {"score": 1.0, "more": 2.0}


def test_sync_skips_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"1")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    sync_tree(tmp_path)


def test_the_fork_server_has_one_thread_and_no_cuda_when_it_forks() -> None:
    modules = [module for group in PRELOADS.values() for module in group]
    code = f"""
from papergen.execution.worker import forkserver
forkserver.preload({modules!r})
import sys
from pathlib import Path
missing = [name for name in {modules!r} if name not in sys.modules]
assert not missing, missing
status = Path("/proc/self/status").read_text()
assert "Threads:\\t1\\n" in status, status
assert not sys.modules["torch"].cuda.is_initialized()
"""
    done = subprocess.run([sys.executable, "-c", code], env=worker_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
