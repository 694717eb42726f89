"""A switch of template touches the root file and one line of paper.yaml, and loses nothing."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from papergen.config import read_paper
from papergen.core.errors import PapergenError
from papergen.latex.venues.template import list_templates, load_template
from papergen.paper.scaffold import scaffold
from papergen.paper.switch_template import sections_of, switch


def contents(project: Path) -> dict[str, bytes]:
    return {str(path.relative_to(project)): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_only_the_root_file_and_one_line_change(tmp_path: Path) -> None:
    project = scaffold(tmp_path / "论文 a", title="T: 1")
    before = contents(project)
    done = switch(project, "ieee")
    after = contents(project)
    assert {name for name in after if before.get(name) != after[name]} == {
        "main.tex.j2",
        "paper.yaml",
        "skeletons/twocolumn.tex.j2",
    }
    assert after["skeletons/twocolumn.tex.j2"] == before["main.tex.j2"]
    assert not done.edits
    assert b"IEEEtran" in after["main.tex.j2"]
    assert read_paper(project).template == "ieee"
    changed = [line for line in after["paper.yaml"].splitlines() if line not in before["paper.yaml"].splitlines()]
    assert len(changed) == 1


def test_edits_and_sections_of_the_author_survive_the_way_there_and_back(tmp_path: Path) -> None:
    project = scaffold(tmp_path / "p")
    skeleton = project / "main.tex.j2"
    text = skeleton.read_text(encoding="utf-8")
    text = text.replace("\\input{sections/results}", "\\input{sections/related}\n\\input{sections/results}")
    text = text.replace("\\usepackage{amsmath}", "\\usepackage{amsmath}\n\\newcommand{\\mine}{1}")
    skeleton.write_text(text, encoding="utf-8")
    done = switch(project, "acm")
    assert done.edits == ("\\newcommand{\\mine}{1}",)
    order = sections_of(skeleton.read_text(encoding="utf-8"))["text"]
    assert order == ["introduction", "method", "experiments", "related", "results", "conclusion"]
    assert sections_of(skeleton.read_text(encoding="utf-8"))["appendix"] == ["appendix"]
    assert switch(project, "twocolumn").was_kept_before
    assert skeleton.read_text(encoding="utf-8") == text


def test_what_cannot_be_switched_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    project = scaffold(tmp_path / "p", language="zh")
    before = contents(project)
    with pytest.raises(PapergenError, match="no language 'zh'"):
        switch(project, "ieee")
    with pytest.raises(PapergenError, match="Did you mean ieee"):
        switch(project, "iee")
    with pytest.raises(PapergenError, match="already"):
        switch(project, "twocolumn")
    (project / "main.tex.j2").rename(project / "main.tex")
    with pytest.raises(PapergenError, match="not replaced"):
        switch(scaffold_plain(tmp_path), "ieee")
    (project / "main.tex").rename(project / "main.tex.j2")
    assert contents(project) == before


def scaffold_plain(folder: Path) -> Path:
    project = scaffold(folder / "plain")
    (project / "main.tex.j2").rename(project / "main.tex")
    return project


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    project = scaffold(tmp_path / "p")
    before = contents(project)
    assert switch(project, "lncs", is_dry_run=True).template == "lncs"
    assert contents(project) == before


OWN = """label: House style
extends: twocolumn
column_width_in: 3.0
text_width_in: 6.25
bibliography: {bibtex: [plainnat.bst]}
languages: {en: {engine: pdflatex, packages: [article.cls]}}
"""


def own_template(folder: Path) -> Path:
    (folder / "project").mkdir(parents=True)
    (folder / "template.yaml").write_text(OWN)
    (folder / "project" / "main.tex.j2.new").write_text(
        '<% extends "shared/skeleton.tex" %>\n<% block class %>\n\\documentclass{article} % house\n<% endblock %>\n'
    )
    return folder


def test_a_template_of_ones_own_is_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_template(tmp_path / "styles" / "house")
    monkeypatch.chdir(tmp_path)
    project = scaffold(tmp_path / "p", template="./styles/house")
    paper = read_paper(project)
    assert paper.template == "../styles/house"
    template = load_template(paper.template, project)
    assert template.label == "House style"
    assert template.experiments == load_template("twocolumn").experiments
    text = (project / "main.tex.j2").read_text()
    assert "% house" in text
    assert "\\newcommand{\\fitted}" in text
    other = scaffold(tmp_path / "q")
    monkeypatch.chdir(other)
    switch(other, "../styles/house")
    assert read_paper(other).template == "../styles/house"
    with pytest.raises(PapergenError, match=r"has no template\.yaml"):
        load_template("./none", other)


def test_a_template_of_the_paper_has_the_name_of_its_folder(tmp_path: Path) -> None:
    project = scaffold(tmp_path / "我的 paper")
    own_template(project / "templates" / "house")
    below = own_template(project / "templates" / "模板")
    (below / "template.yaml").write_text(OWN.replace("twocolumn", "house"))
    switch(project, "模板")
    assert read_paper(project).template == "模板"
    assert "% house" in (project / "main.tex.j2").read_text()
    assert load_template("模板", project).folders[-2:] == (project / "templates/house", below)
    assert {"house", "模板", "acl"} <= set(list_templates(project))
    assert "house" not in list_templates()
    with pytest.raises(
        PapergenError, match=r"there is no template 'hose'. Did you mean house.* Known: .*house, .*模板"
    ):
        load_template("hose", project)
    with pytest.raises(PapergenError, match="there is no template 'house'"):
        load_template("house")
    (project / "templates" / "empty").mkdir()
    with pytest.raises(PapergenError, match=r"templates/empty is no template: it has no template\.yaml"):
        load_template("empty", project)
    own_template(project / "templates" / "ieee")
    with pytest.raises(PapergenError, match=r"two templates are called ieee: [\s\S]*Rename templates/ieee"):
        load_template("ieee", project)
    assert load_template("./templates/ieee", project).label == "House style"


def test_a_template_without_the_language_names_those_that_have_it(tmp_path: Path) -> None:
    with pytest.raises(PapergenError, match=r"no language 'zh', only en[\s\S]*--template twocolumn --language zh"):
        scaffold(tmp_path / "p", template="acl", language="zh")
    project = scaffold(tmp_path / "q", language="zh")
    with pytest.raises(PapergenError, match="Type papergen template switch twocolumn"):
        switch(project, "acl")


def test_installed_packages_offer_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own_template(tmp_path / "house")

    class Point:
        name = "house"
        value = "house_package"

        def load(self) -> object:
            return str(folder)

    offered = [Point()]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: offered if "templates" in group else [])
    assert list_templates()["house"] == folder
    assert load_template("house").label == "House style"
    offered[0].name = "ieee"
    with pytest.raises(PapergenError, match="two templates are called ieee"):
        list_templates()


def test_a_template_that_extends_itself_is_refused(tmp_path: Path) -> None:
    folder = own_template(tmp_path / "house")
    (folder / "template.yaml").write_text(OWN.replace("twocolumn", "./"))
    with pytest.raises(PapergenError, match="extends itself"):
        load_template(str(folder))
