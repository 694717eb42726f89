"""`templates`, `template switch` and `doctor` as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from papergen.cli.main import cli
from papergen.latex.venues import installed
from papergen.paper.scaffold import scaffold


def test_every_template_is_listed_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "locate", lambda names: {name: None for name in names if name != "IEEEtran.cls"})
    monkeypatch.setattr(installed.shutil, "which", lambda name: f"/usr/bin/{name}")
    done = CliRunner().invoke(cli, ["templates"])
    assert done.exit_code == 0, done.output
    assert "lacks acmart.cls, libertine.sty, zi4.sty, newtxmath.sty and" in done.output
    assert "texlive-fonts-extra" in done.output
    lines = [json.loads(line) for line in CliRunner().invoke(cli, ["templates", "--json"]).output.splitlines()]
    acl = next(line for line in lines if line["template"] == "acl")
    assert acl["style_files"] == ["acl.sty", "acl_natbib.bst"]
    assert acl["page_limits"] == {"review": 8, "preprint": None, "camera-ready": 9}
    assert {line["language"] for line in lines if line["template"] == "twocolumn"} == {"en", "zh"}


def test_the_templates_of_the_paper_are_listed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = scaffold(tmp_path / "p")
    (project / "templates" / "mine").mkdir(parents=True)
    (project / "templates" / "mine" / "template.yaml").write_text(
        "label: Mine\nextends: twocolumn\ncolumn_width_in: 3\ntext_width_in: 6\n"
        "languages:\n  en: {engine: pdflatex, packages: [article.cls]}\n"
    )
    monkeypatch.chdir(project / "sections")
    assert "mine        en  Mine" in CliRunner().invoke(cli, ["templates"]).output
    monkeypatch.chdir(tmp_path)
    assert "mine" not in CliRunner().invoke(cli, ["templates"]).output


def test_switch_says_where_the_old_root_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = scaffold(tmp_path / "p")
    monkeypatch.chdir(project / "sections")
    done = CliRunner().invoke(cli, ["template", "switch", "ieee"])
    assert done.exit_code == 0, done.output
    assert "the old one is skeletons/twocolumn.tex.j2" in done.output
    assert json.loads(CliRunner().invoke(cli, ["template", "switch", "acm", "--json"]).stdout)["template"] == "acm"


def test_doctor_names_what_is_missing_and_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [json.loads(line) for line in CliRunner().invoke(cli, ["doctor", "--json"]).output.splitlines()]
    assert {"Python", "torch", "CPU", "Disk", "git"} <= {item["what"] for item in found}
    monkeypatch.setattr("papergen.paper.doctor.shutil.which", lambda name: None)
    done = CliRunner().invoke(cli, ["doctor"], standalone_mode=False)
    assert done.return_value == 3
    assert "NO TeX: not installed" in done.output
    assert "apt-get install --no-install-recommends texlive-latex-recommended" in done.output
