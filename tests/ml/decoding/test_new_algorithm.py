"""The walk-through of docs/contributing/decoding-strategy.md: one new file, and a paper has the strategy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "tests" / "oracle" / "model_trained"

ALIKE = """
from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.engine import Engine
from papergen.ml.decoding.strategy import Strategy
from papergen.ml.models import load_model
import torch
model = load_model({model!r})


def texts(cache="auto", size=3, **own):
    strategy = Strategy(max_new_tokens=12, **own)
    prompts = [[5, 9], [7, 8, 30], [40]]
    return [one.ids for one in generate(model, None, prompts, strategy, seed=0, batch_size=size, engine=Engine(cache))]


found = texts(typical_greedy=True, no_repeat_ngram_size=2)
for cache in ("dynamic", "static"):
    assert found == texts(cache, 1, typical_greedy=True, no_repeat_ngram_size=2)
    assert found == texts(cache, 3, typical_greedy=True, no_repeat_ngram_size=2)
assert found != texts(no_repeat_ngram_size=2)
with torch.no_grad():
    logs = model(torch.tensor([[5, 9]])).logits[0, -1].log_softmax(dim=0)
assert found[0][0] == (-logs + (logs.exp() * logs).sum()).abs().argmin()
for faulty in ({{"do_sample": True}}, {{"num_beams": 4}}):
    try:
        Strategy(max_new_tokens=12, typical_greedy=True, **faulty)
    except ValueError as error:
        print(error)
    else:
        raise AssertionError(faulty)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where a package is installed that brings the file of the page."""
    page = (ROOT / "docs" / "contributing" / "decoding-strategy.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    folder = tmp_path_factory.mktemp("installed")
    (folder / "typical_greedy.py").write_text(source, encoding="utf-8")
    about = folder / "typical_greedy-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: typical-greedy\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[papergen.decoding_algorithms]\ntypical = typical_greedy\n")
    return {**os.environ, "PYTHONPATH": str(folder)}


def run(*arguments: str, cwd: Path, environment: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_one_file_is_enough_to_decode(environment: dict[str, str], tmp_path: Path) -> None:
    said = run("-c", ALIKE.format(model=str(MODEL)), cwd=tmp_path, environment=environment)
    assert "do_sample = true has no place" in said
    assert "num_beams > 1 and typical_greedy are different algorithms. Keep one of them." in said


@pytest.mark.tex
def test_one_file_is_enough_from_the_row_to_the_table_and_the_method(
    environment: dict[str, str], tmp_path: Path
) -> None:
    papergen = ("-m", "papergen")
    run(*papergen, "new", "paper", "--experiments", "decoding", cwd=tmp_path, environment=environment)
    paper = tmp_path / "paper"
    file = paper / "experiments" / "decoding.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings |= {"model": str(MODEL), "num_prompts": 4, "max_new_tokens": 12, "seeds": [0]}
    settings["rows"]["typical"] = {"typical_greedy": True}
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    assert "typical_greedy" in run(*papergen, "config", "decoding", cwd=paper, environment=environment)
    run(*papergen, "run-exp", cwd=paper, environment=environment)
    run(*papergen, "build-pdf", cwd=paper, environment=environment)
    written = {path.name: path.read_text(encoding="utf-8") for path in (paper / "build").rglob("*.tex")}
    assert re.search(r"typical .*&", written["decoding-strategies.tex"])
    assert r"typical greedy decoding~\cite{meister2023locally}" in written["decoding-method.tex"]
