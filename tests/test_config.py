"""The author's YAML: what is allowed, and the message that each fault gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from papergen.config import find_project, read_experiments, read_paper
from papergen.errors import PapergenError
from papergen.yaml_strict import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.5E+2", 150.0),
        (".5", 0.5),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("2026-11-23", "2026-11-23"),
        ("012", "012"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("10_000", 10_000),
        ("-7", -7),
        ("'1'", "1"),
        ("~", None),
        ("[1, 1e3]", [1, 1000.0]),
    ],
)
def test_scalars_mean_what_they_look_like(text: str, value: object) -> None:
    found = parse_yaml(text, "x.yaml")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: the key 'a' stands twice, first on line 1"),
        ("a: &x 1\nb: *x\n", "x.yaml:1: no anchors"),
        ("a: !!python/object:os.system {}\n", "x.yaml:1: tags"),
        ("a: [1, 2\nb: 3\n", "x.yaml:2: not valid YAML"),
        ("a: 1\n\tb: 2\n", "x.yaml:2: not valid YAML"),
    ],
)
def test_what_yaml_may_not_do(text: str, message: str) -> None:
    with pytest.raises(PapergenError) as caught:
        parse_yaml(text, "x.yaml")
    assert message in str(caught.value)


def test_a_row_keeps_the_value_that_it_sets_itself_from_the_grid(project: Path) -> None:
    path = project / "experiments" / "fake.yaml"
    path.write_text("kind: fake\nrows: {a: {size: 2}, b: {}}\ngrid: {size: [1, 3], rate: [0.1]}\n")
    rows = read_experiments(project)["fake"].rows
    assert {row: params["size"] for row, params in rows.items()} == {
        "a@rate-0.1": 2,
        "b@size-1@rate-0.1": 1,
        "b@size-3@rate-0.1": 3,
    }


def test_rows_grid_seeds_and_overrides(project: Path) -> None:
    path = project / "experiments" / "first.yaml"
    path.write_text("kind: fake\nseeds: [3]\nrate: 0.1\nrows: {a: {size: 2}, b: {}}\ngrid: {rate: [1e-3, 0.2]}\n")
    config = read_experiments(project, overrides=["first.rows.a.size=7"], seeds=[1, 2])["first"]
    assert config.seeds == (1, 2)
    assert config.rows == {
        "a@rate-0.001": {"rate": 0.001, "size": 7},
        "a@rate-0.2": {"rate": 0.2, "size": 7},
        "b@rate-0.001": {"rate": 0.001},
        "b@rate-0.2": {"rate": 0.2},
    }
    assert config.where("a@rate-0.2", ["size"]) == "-o first.rows.a.size=7"
    assert config.where("a@rate-0.2", ["rate"]) == "experiments/first.yaml:5"
    assert config.where("b@rate-0.2", ["nothing"]) == "experiments/first.yaml:4"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("seeds: [0]\n", ["experiments/first.yaml:1: no `kind:` line"]),
        ("kind: fake\nseeds: [0, 0]\n", ["experiments/first.yaml:2: seeds = [0, 0]: a seed stands twice"]),
        ("kind: fake\nseeds: 3\nrows: [a]\n", ["first.yaml:2: seeds = 3", "first.yaml:3: write rows as"]),
        ("kind: fake\nrows: {'a/b': {}}\n", ["first.yaml:2: row name 'a/b'"]),
        ("kind: fake\nrows:\n  a: 3\n", ["first.yaml:3: write the row as `a: {parameter: value}`"]),
        ("- 1\n", ["first.yaml:1: expected `name: value` lines, found a list"]),
    ],
)
def test_faults_name_file_and_line(project: Path, text: str, messages: list[str]) -> None:
    (project / "experiments" / "first.yaml").write_text(text)
    with pytest.raises(PapergenError) as caught:
        read_experiments(project)
    for message in messages:
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("first.size", "write experiment.parameter=value"),
        ("frist.size=3", "there is no experiment 'frist'. Did you mean first?"),
        ("first.rows.smal.size=3", "first has no row 'smal'. Did you mean small?"),
        ("first.rate.x=3", "rate holds one value"),
    ],
)
def test_override_faults(project: Path, override: str, message: str) -> None:
    with pytest.raises(PapergenError) as caught:
        read_experiments(project, overrides=[override])
    assert message in str(caught.value)


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
