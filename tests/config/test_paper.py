"""paper.yaml: every fault at its line; tables and figures that it declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from papergen.config import Paper, checked, find_project, read_paper
from papergen.core.errors import PapergenError
from papergen.core.strict_yaml import parse_yaml


def test_a_full_width_sign_in_a_parameter_is_shown(project: Path) -> None:
    (project / "paper.yaml").write_text("title: x\n\u00a0language: zh\n", encoding="utf-8")
    with pytest.raises(PapergenError, match=r"paper.yaml:2: .*Did you mean language\? The space in it is U\+00A0"):
        read_paper(project)


def test_paper_yaml_reports_all_faults_at_once(project: Path) -> None:
    (project / "paper.yaml").write_text("titel: x\nauthors:\n  - name: 3\n    mail: y\nlanguage: fr\n")
    with pytest.raises(PapergenError) as caught:
        read_paper(project)
    text = str(caught.value)
    assert "paper.yaml:1: there is no parameter 'titel'. Did you mean title?" in text
    assert "title is missing" in text
    assert "paper.yaml:3: authors.0.name = 3: input should be a valid string." in text
    assert "paper.yaml:4: there is no parameter 'authors.0.mail'. Did you mean email?" in text
    assert "paper.yaml:5: language = 'fr': input should be 'en' or 'zh'." in text


def test_project_is_found_from_inside_and_missed_outside(project: Path, tmp_path: Path) -> None:
    assert find_project(project / "experiments") == project
    with pytest.raises(PapergenError, match="not inside a paper project"):
        find_project(tmp_path)


def declared(written: str) -> Paper:
    data = parse_yaml(f"title: T\nauthors: [{{name: A}}]\n{written}", "paper.yaml")
    return checked(Paper, data, lambda *path: str(path))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("figures: {f: {from: x}}", "y: is missing: the metric or the logged series that is drawn"),
        ("figures: {f: {from: x, kind: scatter, y: a}}", "x: is missing: a scatter plot sets one metric"),
        ("figures: {f: {from: x, y: a, function: f.py:g}}", "write either from: EXPERIMENT or function: FILE.py:NAME"),
        ("figures: {f: {}}", "write either from: EXPERIMENT or function: FILE.py:NAME"),
        ("figures: {A b: {from: x, y: a}}", "figures = 'A b'"),
        ("tables: {t: {from: x, columns: []}}", "tables.t.columns"),
        ("tables: {t: {from: x, columns: [a], colour: 1}}", "there is no parameter 'tables.t.colour'"),
        ("page_limit: 0", "page_limit = 0"),
    ],
)
def test_a_declared_table_or_figure_is_whole(written: str, message: str) -> None:
    with pytest.raises(PapergenError) as caught:
        declared(written)
    assert message in caught.value.message


def test_a_claim_may_be_written_as_its_assertion_alone() -> None:
    paper = declared("claims: {a: x > y, b: {assert: x < y, text: less}}")
    assert [(claim.assertion, claim.text) for claim in paper.claims.values()] == [("x > y", ""), ("x < y", "less")]


@pytest.mark.parametrize(
    ("written", "has_links"),
    [("", False), ("provenance: links", True), ("provenance: links\nmode: review", False)],
)
def test_a_paper_under_review_has_no_links_to_its_runs(written: str, has_links: bool) -> None:
    assert declared(written).has_links is has_links
