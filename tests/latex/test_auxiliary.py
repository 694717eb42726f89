"""The auxiliary files of the last good build: believed only for the files and the setting that they were made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from papergen.core.stamps import stamp_of
from papergen.latex.build.auxiliary import LastBuild, auxiliary_digests
from papergen.latex.problems import Code, Problem

INPUTS = {"main.tex": "1", "sections/a.tex": "2"}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The work folder after a build that read `INPUTS` and one file of TeX."""
    for name in ("tex/sections/a.aux", "tex/main.aux", "tex/main.pdf", "tex/main.tex", "tex/main.log", "article.cls"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    last = LastBuild(tmp_path, "main", "setting")
    last.keep(tmp_path / "tex", INPUTS)
    system = str(tmp_path / "article.cls")
    warnings = [Problem(Code.OVERFULL, "too wide", size_pt=3.0).to_json()]
    record = {"names": [*INPUTS], "read": INPUTS, "system": {system: stamp_of(system)}, "warnings": warnings}
    last.write(record)
    return tmp_path


def test_it_is_of_the_same_files_under_the_same_setting(work: Path) -> None:
    last = LastBuild(work, "main", "setting")
    assert last.is_of(INPUTS)
    assert last.warnings == (Problem(Code.OVERFULL, "too wide", size_pt=3.0),)
    assert not LastBuild(work, "main", "another engine").is_of(INPUTS)


def test_it_is_not_of_other_files(work: Path) -> None:
    last = LastBuild(work, "main", "setting")
    assert not last.is_of({**INPUTS, "main.tex": "changed"})
    assert not last.is_of({**INPUTS, "article.cls": "found before TeX's own"})
    assert not last.is_of({"main.tex": "1"})
    (work / "article.cls").write_text("a new version", encoding="utf-8")
    assert not last.is_of(INPUTS)


def test_without_its_pdf_or_its_record_it_is_none(work: Path, tmp_path: Path) -> None:
    LastBuild(work, "main", "setting").pdf.unlink()
    assert not LastBuild(work, "main", "setting").is_of(INPUTS)
    assert not LastBuild(tmp_path / "nothing", "main", "setting").is_of(INPUTS)


def test_the_next_build_begins_with_its_auxiliary_files_alone(work: Path) -> None:
    LastBuild(work, "main", "setting").restore(work / "next")
    restored = sorted(path.relative_to(work / "next").as_posix() for path in (work / "next").rglob("*.*"))
    assert restored == ["main.aux", "sections/a.aux"]
    assert auxiliary_digests(work / "next", INPUTS) == auxiliary_digests(work / "tex", INPUTS)


def test_while_a_new_build_is_kept_there_is_no_record(work: Path) -> None:
    LastBuild(work, "main", "setting").keep(work / "tex", INPUTS)
    assert LastBuild(work, "main", "setting").record == {}
