"""The GPU benchmark of decoding: its lines run, and on a GPU it measures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "decoding_gpu.py"


def benchmark(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--rounds", "1", *arguments], capture_output=True, text=True, timeout=280
    )


@pytest.mark.slow
def test_every_line_runs_on_a_small_model_and_nothing_is_saved():
    results = SCRIPT.with_name("results")
    before = sorted(results.iterdir())
    ran = benchmark("--device", "cpu", "--size", "tiny", "--new-tokens", "4", "--without-compile")
    assert ran.returncode == 0, ran.stderr
    assert "papergen, growing cache" in ran.stdout
    assert sorted(results.iterdir()) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.slow
def test_without_a_gpu_nothing_is_measured():
    assert benchmark().returncode == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_graphs_are_faster_than_single_steps_and_nearer_to_the_roofline(tmp_path):
    ran = benchmark("--size", "1b", "--new-tokens", "48", "--without-compile", "--out", str(tmp_path / "found.json"))
    assert ran.returncode == 0, ran.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["gpu"]
    greedy = found["greedy, batch 1"]
    assert greedy["steps"]["papergen"] == "static, cuda_graph"
    assert greedy["times"]["papergen, single steps"]["ours_is_faster_by"] > 1
    shares = greedy["share_of_roofline"]
    assert max(shares, key=shares.get) == "papergen"
    assert 0 < shares["papergen"] <= 1.05
