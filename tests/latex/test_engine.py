"""What is missing on a machine is named, with the line to type."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from texlab import make_tree

from papergen.core import stamps
from papergen.core.cache import Cache
from papergen.core.errors import MachineError, PapergenError
from papergen.latex.build import kpathsea as room
from papergen.latex.build.engine import debian_packages, find_engine, locate, require_files
from papergen.latex.build.kpathsea import clean_environment


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize(("wanted", "package"), [(None, "texlive-latex-recommended"), ("xelatex", "texlive-xetex")])
def test_no_tex_says_what_to_install(wanted: str | None, package: str) -> None:
    with pytest.raises(MachineError) as caught:
        find_engine(wanted)
    assert caught.value.exit_code == 3
    text = str(caught.value)
    assert package in text
    for program in ("apt-get install", "dnf install", "brew install", "tlmgr install"):
        assert program in text


@pytest.mark.parametrize(("wanted", "words"), [("lualatex", "read and write any file"), ("pdftex", "Did you mean")])
def test_engines_that_are_not_offered(wanted: str, words: str) -> None:
    with pytest.raises(PapergenError, match=words):
        find_engine(wanted)


@pytest.mark.tex
def test_the_default_engine_is_pdflatex() -> None:
    found = find_engine()
    assert found.engine == "pdflatex"
    assert "pdfTeX" in found.version


@pytest.mark.tex
def test_files_are_found_by_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = room.subprocess.run
    monkeypatch.setattr(room.subprocess, "run", lambda *args, **more: (calls.append(args), real(*args, **more))[1])
    found = locate(["article.cls", "nosuchfile.sty", "booktabs.sty", "article.cls"])
    assert [name for name, path in found.items() if path] == ["article.cls", "booktabs.sty"]
    assert found["nosuchfile.sty"] is None
    assert len(calls) == 1
    assert locate([]) == {}


@pytest.mark.tex
def test_missing_files_are_named_with_their_packages(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        require_files(["article.cls", "nosuchthing.sty"], why="the template x")
    assert "the template x needs TeX files that this machine does not have: nosuchthing.sty." in str(caught.value)
    assert "apt-get install" in str(caught.value)
    require_files(["mystyle.sty"], tree=make_tree(tmp_path, {"mystyle.sty": ""}))


def test_debian_packages() -> None:
    assert debian_packages(["IEEEtran", "ctexart", "acmart"]) == ["texlive-publishers", "texlive-lang-chinese"]
    assert debian_packages(["unheardof"]) == ["texlive-latex-extra"]


def test_tex_gets_few_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXINPUTS", "/etc:")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    environment = clean_environment({"SOURCE_DATE_EPOCH": "1"})
    assert "TEXINPUTS" not in environment
    assert "SECRET_TOKEN" not in environment
    assert environment["openin_any"] == environment["openout_any"] == "p"
    assert environment["SOURCE_DATE_EPOCH"] == "1"


@pytest.mark.tex
def test_kpathsea_is_asked_once_and_again_when_something_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PAPERGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TEXMFHOME", str(tmp_path / "texmf"))
    monkeypatch.setattr(room, "ANSWERS", Cache("kpathsea", most=64))
    monkeypatch.setattr(stamps, "RACY_NS", 0)  # a world where files rest at once
    calls = []
    real = room._kpsewhich
    monkeypatch.setattr(room, "_kpsewhich", lambda *args: (calls.append(args), real(*args))[1])

    def missing() -> list[str]:
        time.sleep(0.01)  # longer than the clock's tick
        calls.clear()
        return room.missing(["article.cls", "mine.sty"])

    assert missing() == ["mine.sty"]
    assert missing() == ["mine.sty"]
    assert calls, "what is not there may be installed at any time"
    make_tree(tmp_path / "texmf/tex/latex", {"mine.sty": ""})
    assert missing() == []
    assert (missing(), calls) == ([], [])
    (tmp_path / "texmf/tex/latex/mine.sty").unlink()
    assert missing() == ["mine.sty"]

    def folders() -> tuple[Path, ...]:
        calls.clear()
        room.tex_folders.cache_clear()
        return room.tex_folders(find_engine().path)

    before = folders()
    assert (folders(), calls) == (before, [])
    assert tmp_path / "texmf" in before
    make_tree(tmp_path, {"texmf.cnf": "TEXMFLOCAL = /opt/other\n"})
    monkeypatch.setenv("TEXMFCNF", f"{tmp_path}:")
    assert Path("/opt/other") in folders()
    (tmp_path / "texmf.cnf").write_text("TEXMFLOCAL = /opt/third\n")
    assert Path("/opt/third") in folders()
    room.tex_folders.cache_clear()
