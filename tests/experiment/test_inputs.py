"""Files that a parameter of the type `Input` names count by content, and only by content."""

from __future__ import annotations

from pathlib import Path

import pytest
from plans import finish, plan

from papergen.core.errors import PapergenError
from papergen.core.files import digest_bytes
from papergen.experiment.states import assess
from papergen.store.runs import Store

KIND = """
import papergen
from papergen import From, Input, Metric

class Params(papergen.Params):
    prompts: Input
    model: From | Input | None = None
    extra: list[Input] = []

METRICS = (Metric(name="score", label="Score"),)

def run(params, ctx):
    return {"score": len(params.prompts.path.read_text())}
"""


@pytest.fixture
def reading(tmp_path: Path) -> Path:
    project = tmp_path / "reading"
    (project / "experiments").mkdir(parents=True)
    (project / "paper.yaml").write_text("title: T\nauthors: [{name: A}]\n")
    (project / "experiments" / "reader.py").write_text(KIND)
    (project / "experiments" / "read.yaml").write_text("kind: reader\nprompts: a.txt\n")
    (project / "a.txt").write_text("one")
    return project


def states(project: Path) -> list[tuple[str, str]]:
    return [(planned.state, planned.reason) for planned in assess(Store(project), plan(project))]


def test_a_changed_file_makes_the_result_stale_and_names_the_parameter(reading: Path) -> None:
    (trial,) = plan(reading)
    assert trial.parts["data"] == {"prompts": digest_bytes(b"one")}
    finish(Store(reading), trial)
    assert states(reading) == [("finished", "")]
    (reading / "a.txt").write_text("two")
    assert states(reading) == [("stale", "data: prompts changed")]


def test_a_file_that_is_moved_and_renamed_is_the_same_input(reading: Path) -> None:
    (trial,) = plan(reading)
    finish(Store(reading), trial)
    (reading / "elsewhere").mkdir()
    (reading / "a.txt").rename(reading / "elsewhere" / "b[1].txt")
    (reading / "experiments" / "read.yaml").write_text("kind: reader\nprompts: elsewhere/b[1].txt\n")
    assert states(reading) == [("finished", "")]
    (moved,) = plan(reading)
    assert moved.params["prompts"] == "elsewhere/b[1].txt", "what is recorded says which file it was"


def test_folders_and_several_inputs_count_file_by_file(reading: Path) -> None:
    (reading / "model").mkdir()
    (reading / "model" / "weights").write_text("w")
    (reading / "experiments" / "read.yaml").write_text(
        "kind: reader\nprompts: a.txt\nmodel: model\nextra: [a.txt, model]\n"
    )
    (trial,) = plan(reading)
    assert set(trial.parts["data"]) == {"prompts", "model/weights", "extra.0", "extra.1/weights"}


def test_a_file_that_is_not_there_is_an_error_at_its_line(reading: Path) -> None:
    (reading / "experiments" / "read.yaml").write_text(
        "kind: reader\nprompts: a.txt\nrows:\n  x: {}\n  y: {prompts: b.txt}\n  z: {extra: [a.txt, c.txt]}\n"
    )
    with pytest.raises(PapergenError) as caught:
        plan(reading)
    assert "experiments/read.yaml:5: prompts: b.txt: there is no such file or folder" in str(caught.value)
    assert "Beside it: a.txt" in str(caught.value)
    assert "experiments/read.yaml:6: extra.1: c.txt: there is no such file or folder" in str(caught.value)


def test_a_default_that_would_not_count_is_refused(reading: Path) -> None:
    text = KIND.replace("prompts: Input", 'prompts: Input = "a.txt"')
    (reading / "experiments" / "reader.py").write_text(text)
    with pytest.raises(PapergenError, match=r"reader.py:5: .* prompts: write its default as Input\('a.txt'\)"):
        plan(reading)
    (reading / "experiments" / "reader.py").write_text(text.replace('"a.txt"', 'Input("a.txt")'))
    (trial,) = plan(reading)
    assert set(trial.parts["data"]) == {"prompts"}
