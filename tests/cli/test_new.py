"""`papergen new` on the command line: what it makes, what it prints, how it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from papergen.cli.main import main
from papergen.config import Author, read_experiments, read_paper


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_makes_a_project_and_says_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("new", "my paper", "--title", "T: 1", "--author", "A; B; c@d.e", "--author", "F") == 0
    paper = read_paper(tmp_path / "my paper")
    assert paper.title == "T: 1"
    assert paper.authors == [Author(name="A", affiliation="B", email="c@d.e"), Author(name="F")]
    out = capsys.readouterr().out
    assert out.splitlines()[1:] == ["  cd 'my paper'", "  papergen run-exp", "  papergen build-pdf"]


def test_editors_find_the_schema_of_the_experiments(tmp_path: Path) -> None:
    assert run("new", "p", "--experiments", "training,tasks") == 0
    folder = tmp_path / "p" / "experiments"
    for path in folder.glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n#")
    schema = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    assert "num_train_epochs" in schema["$defs"]["kind-training"]["properties"]


def test_experiments_and_language_are_chosen(tmp_path: Path) -> None:
    assert run("new", "论文", "--language", "zh", "--experiments", "training") == 0
    assert list(read_experiments(tmp_path / "论文")) == ["training"]
    assert read_paper(tmp_path / "论文").language == "zh"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["full"], "papergen new full-2"),
        (["p", "--template", "twocolum"], "Did you mean twocolumn?"),
        (["p", "--experiments", "decode"], "Did you mean decoding?"),
        (["p", "--experiments", ","], "at least one experiment"),
        (["p", "--author", ";x"], "Type for example"),
        (["p", "--language", "fr"], "'fr' is not one of"),
        ([], "Missing argument 'NAME'"),
    ],
)
def test_faults_are_the_users_and_write_nothing(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    assert run("new", *arguments) == 2
    assert words in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["full", "mine"]


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys, click\n"
        "from papergen.cli.new import new\n"
        "new.get_help(click.Context(new))\n"
        "assert not {'torch', 'pydantic', 'jinja2', 'yaml', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
