"""`papergen new-exp`: what it writes runs, passes its own tests, suits the schema, and overwrites nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import papergen

from papergen.core.errors import PapergenError
from papergen.core.strict_yaml import parse_yaml
from papergen.experiment.project import open_project
from papergen.experiment.scaffold import Start, new_experiment
from papergen.latex.text import escape
from papergen.paper.assemble import read_results
from papergen.report.appendix import machine_table, machine_text
from papergen.report.comparison import require_comparable
from papergen.report.parts import Part, View
from papergen.report.plain import part_of
from papergen.report.results import Results
from papergen.testing import run_once


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    folder = tmp_path / "my paper 论文"
    (folder / "experiments").mkdir(parents=True)
    (folder / "paper.yaml").write_text("title: T\nauthors: [{name: A}]\n")
    return folder


def parts(paper: Path, name: str) -> Part:
    """What the experiment adds to the paper."""
    project = open_project(paper)
    view = View(
        experiment=name,
        results=read_results(project),
        store=project.store,
        kind=project.kinds[project.configs[name].kind],
        escape=escape,
        language="en",
    )
    return part_of(view)


@pytest.mark.parametrize(
    ("kind", "table", "figures"),
    [("python", "success", ["success"]), ("command", "loss", ["loss"]), ("import", "accuracy", [])],
)
def test_a_new_experiment_runs_passes_its_tests_and_reports(
    paper: Path, kind: str, table: str, figures: list[str]
) -> None:
    done = papergen("new-exp", "my_study", "--kind", kind, cwd=paper)
    assert done.returncode == 0, done.stderr
    assert "experiments/my_study.yaml" in done.stdout.splitlines()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    tested = subprocess.run(command, cwd=paper, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout
    assert not (paper / "results").exists()
    ran = papergen("run-exp", cwd=paper)
    assert ran.returncode == 0, ran.stderr
    part = parts(paper, "my_study")
    assert [column.name for column in part.tables[0].columns] == [table]
    assert [figure.name for figure in part.figures] == figures
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((paper / "experiments" / "schema.json").read_text())
    text = (paper / "experiments" / "my_study.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=schema.json\nkind:")
    jsonschema.validate(parse_yaml(text, "x"), schema)


def test_a_table_becomes_an_experiment(paper: Path) -> None:
    (paper / "data").mkdir()
    (paper / "data" / "t.csv").write_text("id,model,seed,test acc\n1 y,a,0,0.5\n1 z,a,1,0.6\n1 w,b,0,0.7\n1 q,b,1,0.8")
    done = papergen("new-exp", "old", "--kind", "import", "--source", "data/t.csv", cwd=paper)
    assert done.returncode == 0, done.stderr
    assert (paper / "experiments" / "old.yaml").read_text().splitlines()[1:] == [
        "kind: import",
        "source: data/t.csv",
        "row: model",
        "seed: seed",
        "seeds: [0, 1]",
        "metrics:",
        '  test_acc: {key: "test acc", direction: none}',
        "rows:",
        "  a: {}",
        "  b: {}",
    ]
    assert run_once(paper, "old", row="b", seed=1).metrics == {"test_acc": 0.8}


def test_an_export_of_wandb_becomes_rows_by_the_runs_names(paper: Path) -> None:
    lines = ['"Name","State","Created","Runtime","val/acc"', '"base","finished","2026","12","0.5"']
    (paper / "wandb.csv").write_text("\n".join([*lines, '"ours, 100%","finished","2026","9","0.75"']))
    new_experiment(paper, "old", "import", source=paper / "wandb.csv")
    assert (paper / "experiments" / "old.yaml").read_text().splitlines()[2:] == [
        "source: wandb.csv",
        "metrics:",
        "  val_acc: {key: val/acc, direction: none}",
        "rows:",
        "  base: {where: {Name: base}}",
        '  ours_100: {where: {Name: "ours, 100%"}}',
    ]
    assert run_once(paper, "old", row="ours_100").metrics == {"val_acc": 0.75}


def test_a_trainers_state_becomes_an_experiment_of_what_it_logged(paper: Path) -> None:
    logged = [{"epoch": 1, "loss": 2.0, "step": 10}, {"epoch": 1, "eval_loss": 2.5, "step": 10}]
    (paper / "trainer_state.json").write_text(json.dumps({"global_step": 10, "log_history": logged}))
    new_experiment(paper, "old", "import", source=paper / "trainer_state.json")
    assert (paper / "experiments" / "old.yaml").read_text().splitlines()[2:] == [
        "source: trainer_state.json",
        "step: step",
        "metrics:",
        "  loss: {key: loss, direction: none}",
        "  eval_loss: {key: eval_loss, direction: none}",
    ]
    assert run_once(paper, "old").metrics == {"loss": 2, "eval_loss": 2.5}


def test_nothing_is_overwritten(paper: Path) -> None:
    (paper / "tests").mkdir()
    mine = paper / "tests" / "test_x.py"
    mine.write_text("mine")
    with pytest.raises(PapergenError, match=r"tests/test_x\.py: is there already, and nothing is overwritten"):
        new_experiment(paper, "x", "command")
    assert sorted(path.name for path in paper.rglob("*") if path.is_file()) == ["paper.yaml", "test_x.py"]
    (paper / "experiments" / "schema.json").write_text('"mine"')
    new_experiment(paper, "y", "python")
    assert (paper / "experiments" / "schema.json").read_text() == '"mine"'


@pytest.mark.parametrize("name", ["training", "a-b", "class", "1x", "ä", "../x"])
def test_names_that_cannot_be(paper: Path, name: str) -> None:
    with pytest.raises(PapergenError):
        new_experiment(paper, name, "python")


def test_run_once_names_what_is_unknown(project: Path) -> None:
    assert run_once(project, "first", row="large", seed=1).metrics == {"score": 11, "loss": 2.5}
    for arguments, message in [
        ({"experiment": "frist"}, "there is no experiment of this name. Did you mean first?"),
        ({"experiment": "first", "row": "larg"}, "has no row 'larg'. Did you mean large?"),
    ]:
        with pytest.raises(PapergenError, match=message.replace("?", r"\?")):
            run_once(project, **arguments)  # type: ignore[arg-type]


def test_imported_numbers_are_not_ascribed_to_this_machine(paper: Path) -> None:
    new_experiment(paper, "old", "import")
    text = (paper / "experiments" / "old.yaml").read_text().replace('unit: "%"', "unit: s")
    (paper / "experiments" / "old.yaml").write_text(text)
    new_experiment(paper, "mine", "python")
    kind = paper / "experiments" / "mine.py"
    kind.write_text(kind.read_text().replace('"success"', '"accuracy"').replace('unit="%"', 'unit="s"'))
    assert papergen("run-exp", cwd=paper).returncode == 0
    results = read_results(open_project(paper))
    both = {"old/ours": ["accuracy"], "mine/fair": ["accuracy"]}
    with pytest.raises(PapergenError, match=r"not comparable: the device is unknown \(imported from data/old\.csv\)"):
        require_comparable(results, "table", both)
    require_comparable(results, "table", both, varies={"hardware"})
    mine = [trial for trial in results.trials if trial.experiment == "mine"]
    alone = Results(
        trials=[trial for trial in results.trials if trial.experiment == "old"],
        results=results.results,
        states=results.states,
        metrics=results.metrics,
    )
    assert len(mine) == 6
    assert "all results are imported" in str(machine_table(alone).rows[0].cells[0])
    assert machine_text(alone, escape) == "\n"


@pytest.mark.parametrize("kind", ["command", "import"])
def test_the_defaults_that_a_new_experiment_names_are_those_that_hold(paper: Path, kind: Start) -> None:
    new_experiment(paper, "study", kind)
    before = open_project(paper).trials
    path = paper / "experiments" / "study.yaml"
    told = re.findall(r"^# (\w+:.*?)  ", path.read_text(), re.MULTILINE)
    assert "step: step" in told
    path.write_text(path.read_text() + "\n".join(told) + "\n")
    assert open_project(paper).trials == before
