"""The shipped kinds that measure training: their parameters, and one tiny run of each through papergen itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import papergen
from pydantic import ValidationError

from papergen.core.shipped_files import shipped
from papergen.experiment.registry import load_kind

throughput = load_kind(shipped("experiments") / "throughput.py")

TINY = "n_layer: 1\nn_embd: 16\nn_head: 2\nvocab_size: 300\nblock_size: 32\ncorpus: text\n"


def params(**given: Any) -> Any:
    return throughput.params(**given)


def test_weak_scaling_keeps_the_work_of_a_rank() -> None:
    assert params(per_device_batch_size=8, world_size=4).batch_size == 32
    again = throughput.params.model_validate_json(params(per_device_batch_size=8).model_dump_json())
    assert again.batch_size == 16
    with pytest.raises(ValidationError, match="both say how large a step is"):
        params(per_device_batch_size=8, batch_size=8)


def test_data_parallel_without_gpus_is_not_available_and_says_why() -> None:
    dp = params(world_size=1, strategy="dp")
    assert (
        throughput.unavailable(dp, "cpu", 0) == "DataParallel splits a batch over two or more GPUs; this run has none."
    )
    assert throughput.unavailable(dp, "cuda", 2) is None


def test_throughput_and_biases_run_and_make_their_parts(text_project: Path, tmp_path: Path) -> None:
    project = tmp_path / "measured 速度"
    (project / "experiments").mkdir(parents=True)
    (project / "text").mkdir()
    paragraphs = (text_project / "text.txt").read_text().split("\n\n")
    for start in range(0, len(paragraphs), 12):  # documents of unequal length
        for first, last in ((start, start + 2), (start + 2, start + 7), (start + 7, start + 12)):
            (project / "text" / f"{first:03}.txt").write_text("\n\n".join(paragraphs[first:last]))
    (project / "paper.yaml").write_text("title: A title\nauthors:\n  - name: A. Author\n", encoding="utf-8")
    (project / "experiments" / "training.yaml").write_text(
        f"kind: training\n{TINY}world_size: 1\nmax_steps: 6\nwarmup_steps: 0\nseeds: [0]\n"
    )
    (project / "experiments" / "throughput.yaml").write_text(
        f"kind: throughput\n{TINY}num_threads: 1\nbatch_size: 8\nmax_steps: 12\nprofile_steps: 3\nseeds: [0, 1]\n"
        "rows:\n  ddp: {}\n  single: {world_size: 1}\n  dp: {world_size: 1, strategy: dp}\n"
    )
    (project / "experiments" / "biases.yaml").write_text(
        "kind: biases\nmodel: {from: training}\ncorpus: text\nblock_size: 32\nbatch_size: 8\nnum_batches: 2\n"
        "seeds: [0]\nrows: {ranks: {}}\ngrid: {world_size: [2, 8]}\n"
    )
    done = papergen("run-exp", "--device", "cpu", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "n/a     throughput/dp seed 0: DataParallel" in done.stderr
    found = [json.loads(path.read_text()) for path in (project / "results").glob("throughput/*/result.json")]
    assert len(found) == 4
    for result in found:
        assert result["outcome"]["metrics"]["step_time_ms"] > 0
        assert "validation_loss" not in result["outcome"]["metrics"]
        assert result["artifacts"] == {}, "no model is kept"
    (bias,) = [
        json.loads(path.read_text())["outcome"]
        for path in (project / "results").glob("biases/*world-size-8*/result.json")
    ]
    assert bias["metrics"]["gradient_bias"] > 0
    assert len(bias["units"]["gradient_bias"]) == 2
    (project / "main.tex.j2").write_text(
        "\\documentclass{article}\\usepackage{graphicx,booktabs}\\begin{document}\n"
        "\\input{tables/throughput-steps}\\input{tables/throughput-scaling}\\input{tables/biases-biases}\n"
        "\\includegraphics{figures/throughput-scaling}\\includegraphics{figures/throughput-breakdown}\n"
        "\\includegraphics{figures/biases-gradient}\n\\input{text/throughput-method}\\input{text/biases-method}\n"
        "\\end{document}\n"
    )
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex on this machine")
    built = papergen("build-pdf", cwd=project)
    assert built.returncode == 0, built.stderr
    table = next((project / "build").rglob("throughput-steps.tex")).read_text()
    assert table.count(r"n/a\textsuperscript{a}") == 6
    assert "this run has none." in table
