"""Which templates a machine can typeset, and what its user types for the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from papergen.latex.venues import installed
from papergen.latex.venues.installed import survey


def have(monkeypatch: pytest.MonkeyPatch, *programs: str, lacks: tuple[str, ...] = ()) -> list[list[str]]:
    """A machine with these programs and every TeX file but some; the questions that kpathsea is asked."""
    asked: list[list[str]] = []

    def locate(names: object) -> dict[str, Path | None]:
        asked.append(list(names))  # type: ignore[call-overload]
        return {name: None if name in lacks else Path("/texmf") / name for name in asked[-1]}

    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/bin/{name}" if name in programs else None)
    monkeypatch.setattr(installed, "locate", locate)
    return asked


def test_every_language_of_a_template_is_looked_at_by_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = have(monkeypatch, "kpsewhich", "pdflatex", "xelatex", "bibtex")
    found = survey(["twocolumn", "acl"])
    assert [(one.template.name, one.language) for one in found] == [
        ("twocolumn", "en"),
        ("twocolumn", "zh"),
        ("acl", "en"),
    ]
    assert all(one.is_installed for one in found)
    assert len(asked) == 1


def test_what_is_missing_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, "kpsewhich", "pdflatex", "bibtex", lacks=("FandolSong-Regular.otf",))
    english, chinese = survey(["twocolumn"])
    assert english.is_installed
    assert chinese.missing[:1] == ("xelatex",)
    assert "FandolSong-Regular.otf" in chinese.missing
    assert "texlive-xetex" in chinese.install_lines()[0]
    assert "texlive-lang-chinese" in chinese.install_lines()[0]


def test_a_machine_without_tex_lacks_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not have(monkeypatch)
    [english, _] = survey(["twocolumn"])
    assert {"pdflatex", "bibtex", "article.cls"} <= set(english.missing)
    assert "texlive-latex-base" in english.install_lines()[0]
