"""Numbers that link to the row of their run, where the author asks for it and never in review mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from paperlab import make_paper, write
from pypdf import PdfReader
from texlab import pdf_pages

from papergen.experiment.project import open_project
from papergen.latex.problems import TexError
from papergen.paper.build import build
from papergen.paper.share.export import export

pytestmark = pytest.mark.tex

APPENDIX = "\\section{At \\result{first/small/score}}\n$x^{\\result{first/small/score}}$\n\\begin{table}[h]\n"
APPENDIX += "\\caption{Up to \\result{first/small/score}.}\\input{tables/runs}\n\\end{table}\n"
PAPER = "title: A title\nauthors:\n  - name: A. Author\nprovenance: links\n"


def links(pdf: Path) -> list[str]:
    """The names of the destinations that the numbers of a PDF link to."""
    reader = PdfReader(pdf)
    found: list[str] = []
    for page in reader.pages:
        for item in page.get("/Annots") or ():
            action: Any = item.get_object().get("/A", {})
            found.append(str(action.get("/D", "")))
    known = set(reader.named_destinations)
    assert set(found) - {""} <= known, "a link leads nowhere"
    return [name for name in found if name.startswith("papergen-run-")]


def built(folder: Path) -> Path:
    return build(open_project(folder), progress=lambda _: None).compiled.pdf


def test_every_number_leads_to_the_row_of_its_run(tmp_path: Path) -> None:
    folder = make_paper(tmp_path / "paper", **{"sections/more.tex": APPENDIX})
    plain = built(folder)
    words = sorted(" ".join(pdf_pages(plain)).split())
    assert links(plain) == []
    write(folder, {"paper.yaml": PAPER})
    project = open_project(folder)
    linked = built(folder)
    digests = {trial.digest[:12] for trial in project.trials if trial.seed == 0 and trial.row != "fixed"}
    assert {name.removeprefix("papergen-run-") for name in links(linked)} == digests
    assert len(links(linked)) == 6
    assert sorted(" ".join(pdf_pages(linked)).split()) == words  # the page reads the same


def test_an_export_keeps_the_links(tmp_path: Path) -> None:
    folder = make_paper(tmp_path / "paper", **{"sections/more.tex": APPENDIX, "paper.yaml": PAPER})
    done = export(open_project(folder), "arxiv", progress=lambda _: None)
    assert "papergen-results.tex" not in done.files


def test_review_mode_has_no_links(tmp_path: Path) -> None:
    paper = PAPER + "mode: review\n"
    folder = make_paper(tmp_path / "paper", **{"sections/more.tex": APPENDIX, "paper.yaml": paper})
    assert links(built(folder)) == []


def test_links_need_the_table_that_they_lead_to(tmp_path: Path) -> None:
    folder = make_paper(tmp_path / "paper", **{"paper.yaml": PAPER})
    with pytest.raises(TexError, match=r"paper.yaml: provenance: links needs the table of runs"):
        built(folder)
