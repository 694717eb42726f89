"""A scaffolded project is whole or absent, is exactly what its template says, and never replaces what is there."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papergen.config import Author, read_experiments, read_paper
from papergen.core.errors import MachineError, PapergenError
from papergen.core.strict_yaml import parse_yaml
from papergen.latex.text import Tex
from papergen.paper import scaffold as room
from papergen.paper.scaffold import author_from, scaffold, shell_quoted, yaml_scalar

GOLDEN = Path(__file__).parents[1] / "golden" / "new"
NASTY = "A \"quoted\": 100% of $x_i$ & #1 \\ {50}\n- 你好 ~^ | <b> 'end'"
SUBSETS = [["training"], ["decoding"], ["training", "decoding"]]
CASES = list(itertools.product(["en", "zh"], SUBSETS))
OLD = "Look at the difference; when it is meant, type: UPDATE_GOLDEN=1 pytest tests/paper/test_scaffold.py"


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "schema.json"  # it follows the kinds' parameters, not the template
    }


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("en", {"title": NASTY, "authors": [Author(name="Ö. Author", email="a_b@x.org"), Author(name="B & C")]}),
        ("zh-training", {"language": "zh", "experiments": ["training"]}),
    ],
)
def test_the_tree_is_the_golden_one_file_by_file(case: str, options: dict[str, object], tmp_path: Path) -> None:
    made = tree(scaffold(tmp_path / "my-paper", **options))  # type: ignore[arg-type]
    if os.environ.get("UPDATE_GOLDEN"):
        for name in tree(GOLDEN / case):
            (GOLDEN / case / name).unlink()
        for name, text in made.items():
            path = GOLDEN / case / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    golden = tree(GOLDEN / case)
    assert sorted(made) == sorted(golden), OLD
    for name in golden:
        assert made[name] == golden[name], f"{name} differs. {OLD}"


@pytest.mark.parametrize(("language", "names"), CASES)
def test_every_choice_is_a_readable_project(language: str, names: list[str], tmp_path: Path) -> None:
    project = scaffold(tmp_path / "paper", language=language, experiments=names)
    assert read_paper(project).language == language
    assert sorted(read_experiments(project)) == sorted(names)


def test_title_and_authors_come_back_exactly(tmp_path: Path) -> None:
    authors = [Author(name="L'Été: a", affiliation='Say "no", 北京大学', email="x%y@z"), Author(name="- dash")]
    paper = read_paper(scaffold(tmp_path / "p", title=NASTY, authors=authors))
    assert paper.title == NASTY
    assert paper.authors == authors


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=200, deadline=None)
def test_any_text_survives_yaml(text: str) -> None:
    written = f"title: {yaml_scalar(text)}\n"
    assert written.count("\n") == 1
    assert parse_yaml(written, "paper.yaml") == {"title": text}


def test_yaml_values_keep_their_type() -> None:
    assert [yaml_scalar(value) for value in (3, True, 0.5, "3", Tex("raw: 1"))] == ["3", "true", "0.5", '"3"', "raw: 1"]


def test_odd_places_and_names_work(odd_path: Path) -> None:
    for name in ("my paper", "我的论文", "a'b\"c", "new\nline", "per%cent & more", "$HOME"):
        project = scaffold(odd_path / "below" / name)
        assert read_paper(project).title
    assert len(list((odd_path / "below").iterdir())) == 6


def test_an_empty_folder_is_taken_and_a_relative_path_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert scaffold(Path("empty")) == tmp_path / "empty"
    assert (tmp_path / "empty" / "paper.yaml").is_file()


def test_what_is_there_already_is_refused_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for target, words in [
        (tmp_path / "full", "not empty (it holds thesis.tex)"),
        (tmp_path / "file", "a file of this name"),
        (tmp_path / "link", "a file of this name"),
        (tmp_path / "file" / "below", "file is a file, not a folder"),
        (Path(), "the folder you are in"),
        (tmp_path, "the folder you are in"),
    ]:
        before = tree(tmp_path)
        with pytest.raises(PapergenError, match=re.escape(words)) as raised:
            scaffold(target)
        assert "papergen new " in str(raised.value)
        assert tree(tmp_path) == before


def test_unknown_names_are_met_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(PapergenError, match="Did you mean twocolumn"):
        scaffold(tmp_path / "p", template="two-column")
    with pytest.raises(PapergenError, match="Did you mean training"):
        scaffold(tmp_path / "p", experiments=["trainig"])
    with pytest.raises(PapergenError, match="no language 'fr'"):
        scaffold(tmp_path / "p", language="fr")
    with pytest.raises(PapergenError, match="at least one"):
        scaffold(tmp_path / "p", experiments=[])
    with pytest.raises(PapergenError, match="not UTF-8"):
        scaffold(tmp_path / "p", title="a\udc80b")
    assert not list(tmp_path.iterdir())


def test_an_interruption_anywhere_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    num_files = len(tree(scaffold(tmp_path / "whole")))
    write = room.write_atomic
    for stop in range(num_files):
        written = 0

        def interrupted(path: Path, content: bytes | str, stop: int = stop) -> None:
            nonlocal written
            if written == stop:
                raise KeyboardInterrupt
            written += 1
            write(path, content)

        monkeypatch.setattr(room, "write_atomic", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scaffold(tmp_path / "new" / "below" / "p")
        assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes | str) -> None:
        raise MachineError(f"{path}: the disk is full.")

    monkeypatch.setattr(room, "write_atomic", full)
    with pytest.raises(MachineError, match="disk is full"):
        scaffold(tmp_path / "p")
    assert not list(tmp_path.iterdir())


KILLED = """
import os, sys
from pathlib import Path
from papergen.paper import scaffold as room
write, count = room.write_atomic, 0
def dying(path, content):
    global count
    count += 1
    if count == 5:
        os.kill(os.getpid(), 9)
    write(path, content)
room.write_atomic = dying
room.scaffold(Path(sys.argv[1]))
"""


def test_kill_9_leaves_no_project_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "p")]
    assert subprocess.run(command, check=False).returncode == -9
    assert [path.name.startswith(".papergen-scratch-new-") for path in tmp_path.iterdir()] == [True]
    scaffold(tmp_path / "p")
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_folder_filled_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = room.write_atomic

    def meanwhile(path: Path, content: bytes | str) -> None:
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "p" / "mine").write_text("mine")
        write(path, content)

    monkeypatch.setattr(room, "write_atomic", meanwhile)
    with pytest.raises(PapergenError, match="not empty"):
        scaffold(tmp_path / "p")
    assert tree(tmp_path) == {"p/mine": "mine"}


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    assert tree(scaffold(tmp_path / "a" / "p")) == tree(scaffold(tmp_path / "b" / "p"))


def test_authors_are_read_from_one_option() -> None:
    assert author_from("A. B") == Author(name="A. B")
    assert author_from(" 张三 ; 北京大学; z@pku.edu.cn") == Author(
        name="张三", affiliation="北京大学", email="z@pku.edu.cn"
    )
    for wrong in ("", " ; X", "a;b;c;d"):
        with pytest.raises(PapergenError, match="Type for example"):
            author_from(wrong)


def test_names_are_quoted_for_the_shell() -> None:
    for name in ("plain-1.0", "论文", "two words", "it's", "$HOME"):
        shown = subprocess.run(["sh", "-c", f"printf %s {shell_quoted(name)}"], capture_output=True, check=True)
        assert shown.stdout.decode() == name
    assert shell_quoted("论文") == "论文"
