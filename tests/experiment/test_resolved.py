"""`papergen config`: every value with its origin; a schema that agrees with what papergen itself accepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import papergen

from papergen.core.strict_yaml import parse_yaml
from papergen.experiment.registry import load_kinds
from papergen.experiment.schema import schema_of
from papergen.paper.scaffold import scaffold

jsonschema = pytest.importorskip("jsonschema")

TEXT = """kind: fake
size: 3
presets: {p: {rate: 0.25}}
preset: p
rows:
  a: {}
  b:
    size: ${env:PG_SIZE:-8}
grid: {exact: [true, false]}
"""


def test_each_value_has_its_origin(project: Path) -> None:
    (project / "experiments" / "first.yaml").write_text(TEXT)
    done = papergen("config", "first", "--row", "b@exact-True", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    assert {item["name"]: (item["value"], item["origin"]) for item in row["settings"]} == {
        "size": (8, "environment PG_SIZE, experiments/first.yaml:8"),
        "rate": (0.25, "preset p, experiments/first.yaml:3"),
        "exact": (True, "grid, experiments/first.yaml:9"),
    }
    both = papergen("config", "first", "--row", "b", "--json", cwd=project)
    assert [row["name"] for row in json.loads(both.stdout)["rows"]] == ["b@exact-True", "b@exact-False"]
    changed = papergen("config", "first", "-o", "first.rows.a.rate=7", cwd=project)
    assert "first/a@exact-False  (seed 0)" in changed.stdout
    assert "-o first.rows.a.rate=7" in changed.stdout
    (project / "experiments" / "first.yaml").write_text("kind: fake\n")
    plain = papergen("config", "first", cwd=project)
    assert "size   1      default, experiments/fake.py:9" in plain.stdout
    wrong = papergen("config", "first", "--row", "man", cwd=project)
    assert wrong.returncode == 2
    assert "--row man: first has no row of this name. Did you mean main?" in wrong.stderr


def test_secrets_are_shown_by_name_only(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "run.py").write_text("")
    (project / "experiments" / "c.yaml").write_text(
        "kind: command\ncommand: python run.py {out}\nmetrics: [x]\nenvironment: {KEY: '${secret:PG_KEY}'}\n"
    )
    monkeypatch.setenv("PG_KEY", "hunter2-hunter2")
    shown = papergen("config", "c", cwd=project).stdout
    assert "hunter2" not in shown
    assert "secret PG_KEY, experiments/c.yaml:4" in shown
    monkeypatch.delenv("PG_KEY")
    assert "secret PG_KEY (not set)" in papergen("config", "c", cwd=project).stdout


def test_nested_values_have_origins_of_their_own(project: Path) -> None:
    (project / "run.py").write_text("")
    (project / "experiments" / "c.yaml").write_text(
        "kind: command\ncommand: python run.py {out}\nmetrics:\n  x:\n    take: max\n  y: key\nmodel: {from: first}\n"
        "environment: {M: '{model}'}\n"
    )
    done = papergen("config", "c", "-o", "c.metrics.x.scale=100.0", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    found = {item["name"]: (item["value"], item["origin"]) for item in json.loads(done.stdout)["rows"][0]["settings"]}
    assert found["metrics.x.take"] == ("max", "experiments/c.yaml:5")
    assert found["metrics.x.scale"] == (100.0, "-o c.metrics.x.scale=100.0")
    assert found["metrics.x.over"] == ("seeds", "default")
    assert found["metrics.y.key"] == ("key", "experiments/c.yaml:6")
    assert found["model"][1] == "experiments/c.yaml:7"


def valid(schema: object, text: str) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(parse_yaml(text, "x")))


def test_the_schema_accepts_what_a_new_project_has_and_refuses_mistakes(tmp_path: Path) -> None:
    schema = schema_of(load_kinds(None))
    jsonschema.Draft202012Validator.check_schema(schema)
    new = scaffold(tmp_path / "paper")
    for path in sorted((new / "experiments").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        problems = list(jsonschema.Draft202012Validator(schema).iter_errors(parse_yaml(text, path.name)))
        assert not problems, (path.name, problems[0].message)
        assert not valid(schema, text + "\nno_such_parameter: 1\n")
    for text in (
        "kind: training\nseeds: range(3)\ngrid: {learning_rate: 'geomspace(1e-4, 1e-2, 3)', batch_size: [8, 16]}\n",
        "kind: training\nrows: {a: {preset: p, seeds: [1]}, b: null}\npresets: {p: {world_size: 1}}\n",
        "kind: training\nmax_steps: '${env:STEPS:-3}'\nzip: [{n_layer: [1], n_head: [2]}]\nexclude: [{row: a}]\n",
        "kind: command\ncommand: [python, run.py, '{lr}', '{out}']\nlr: 0.1\nmetrics: [a, b]\n",
        "kind: command\ncommand: x {out}\nmetrics: {a: key, b: {take: best, direction: higher}, c: null}\n",
        "kind: import\nsource: a.csv\nmetrics: {a: {scale: 100}}\nwhere: {model: [x, 1]}\n",
    ):
        assert valid(schema, text), text
    for text in (
        "kind: trianing\n",
        "kind: training\nseeds: [a]\n",
        "kind: training\nworld_size: two\n",
        "kind: training\nrows: {a: {n_layr: 1}}\n",
        "kind: training\ngrid: {n_layer: 3}\n",
        "kind: command\ncommand: x\nmetrics: {a: {take: bst}}\n",
        "kind: import\nsource: a.csv\nmetrics: [a]\nsorce: b\n",
    ):
        assert not valid(schema, text), text


def test_the_schema_of_an_own_kind(project: Path) -> None:
    done = papergen("config", "--schema", "fake", cwd=project)
    assert done.returncode == 0, done.stderr
    schema = json.loads(done.stdout)
    assert schema["properties"]["size"]["description"] == "Any whole number."
    assert valid(schema, (project / "experiments" / "first.yaml").read_text())
    assert "papergen config --schema" in schema["$comment"]
    nothing = papergen("config", "--schema", "fkae", cwd=project)
    assert "there is no experiment kind of this name. Did you mean fake?" in nothing.stderr
