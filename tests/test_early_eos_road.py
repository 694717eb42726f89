"""The early_eos experiment from an empty folder to a PDF."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from commands import papergen
from test_road import pdf_of, replace

pytestmark = [pytest.mark.tex, pytest.mark.slow]


def test_a_paper_about_early_ends_builds_from_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "早 end"
    made = papergen("new", folder.name, "--experiments", "early_eos", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    small = "max_steps: 60\nwarmup_steps: 5\neval_every: 30\nn_layer: 1\nn_embd: 32\nvocab_size: 512"
    replace(folder / "experiments" / "paragraphs.yaml", {"num_train_epochs: 6": small})
    replace(folder / "experiments" / "early_eos.yaml", {"num_prompts: 64": "num_prompts: 12", ": 96": ": 40"})
    run = papergen("run-exp", cwd=folder)
    assert run.returncode == 0, run.stderr
    built = papergen("build-pdf", cwd=folder)
    assert built.returncode == 0, built.stderr
    text = subprocess.run(["pdftotext", str(pdf_of(folder)), "-"], capture_output=True, text=True, check=True).stdout
    words = " ".join(text.split())
    assert "Early ends of text" in words
    assert words.count("It changed 0 of 12 texts.") == 3
    assert "??" not in words
