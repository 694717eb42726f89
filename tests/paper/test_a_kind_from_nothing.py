"""The walk-through of docs/experiments.md, "A kind from nothing", step by step: what it says is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import papergen

from papergen.experiment.project import open_project
from papergen.latex.venues.typesetting import typeset
from papergen.paper.assemble import read_results
from papergen.paper.generated import generate

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "experiments.md"


@pytest.fixture
def guide(tmp_path: Path) -> tuple[Path, str]:
    """A project with the files that the section shows, and the section."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "paper.yaml").write_text("title: T\nauthors: [{name: A}]\n", encoding="utf-8")
    text = GUIDE.read_text(encoding="utf-8")
    section = text[text.index("### A kind from nothing") : text.index("### Files and models that it reads")]
    for name, content in re.findall(r"`([\w./]+)`:\n\n```\w+\n(.*?)```", section, re.DOTALL):
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path, section


def test_the_walk_through(guide: tuple[Path, str]) -> None:
    project, section = guide
    plan = papergen("run-exp", "coins", "--dry-run", cwd=project)
    assert "the ten trials" in section
    assert "10 of 10 trials would be run." in plan.stdout
    assert papergen("run-exp", "coins", cwd=project).returncode == 0
    assert "0 of 10 trials would be run." in papergen("run-exp", "coins", "--dry-run", cwd=project).stdout
    assert "95 % interval" in papergen("trace", "coins/loaded/heads", cwd=project).stdout

    opened = open_project(project)
    found = generate(opened, read_results(opened), typeset(opened.paper, opened.root))
    for name in re.findall(r"`\\input\{(.*?)\}`", section):
        assert f"{name}.tex" in found.files
    for name in re.findall(r"`(figures/.*?)`", section):
        assert f"{name}.pdf" in found.figures

    yaml = project / "experiments" / "coins.yaml"
    yaml.write_text(yaml.read_text().replace("bias: 0.7", "bias: 0.8"))
    told = papergen("status", "coins", cwd=project).stdout
    assert told.count("bias 0.7 -> 0.8") == 5, told
