"""The walk-through of docs/contributing/shipped-kind.md works as it is written."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from made import make_result

import papergen.ml
from papergen.experiment.project import open_project
from papergen.latex.venues.typesetting import typeset
from papergen.paper.generated import generate
from papergen.report.results import Results
from papergen.testing import run_once

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "contributing" / "shipped-kind.md"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which the two files of the guide lie, the recipe as an own kind."""
    blocks = re.findall(r"```python\n(.*?)\n *```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    recipe, module = (textwrap.dedent(block) + "\n" for block in blocks)
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml/compression.py").write_text(module, encoding="utf-8")
    monkeypatch.setattr(papergen.ml, "__path__", [*papergen.ml.__path__, str(tmp_path / "ml")])
    project = tmp_path / "paper"
    (project / "experiments").mkdir(parents=True)
    (project / "experiments/compression.py").write_text(recipe, encoding="utf-8")
    (project / "experiments/squeezed.yaml").write_text(
        "kind: compression\ntext: text.txt\nrows:\n  plain: {}\n  zlib: {compressor: zlib}\n", encoding="utf-8"
    )
    (project / "text.txt").write_text("ab" * 500, encoding="utf-8")
    (project / "paper.yaml").write_text("title: T\nlanguage: zh\nauthors: [{name: A}]\n", encoding="utf-8")
    return project


def test_the_kind_of_the_guide_runs_and_is_printed_in_chinese(shipped: Path) -> None:
    outcomes = {row: run_once(shipped, "squeezed", row=row) for row in ("plain", "zlib")}
    assert outcomes["plain"].metrics == {"bits_per_character": 8.0}
    assert outcomes["zlib"].metrics["bits_per_character"] < 1
    project = open_project(shipped)
    results = {
        trial.digest: make_result(trial, outcomes[trial.row].metrics, facts=outcomes[trial.row].facts)
        for trial in project.trials
    }
    states = dict.fromkeys(results, "finished")
    found = Results(project.trials, results, states, project.metrics, project.row_labels)  # type: ignore[arg-type]
    files = generate(project, found, typeset(project.paper, shipped)).files
    table = files["tables/squeezed-compared.tex"].decode()
    for word in ("压缩算法", "比特/字符", "未压缩", "zlib"):
        assert word in table
    assert files["text/squeezed-method.tex"].decode() == "每种算法一次压缩全文，共 1000 个字符。\n"
