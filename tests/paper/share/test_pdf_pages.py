"""The numbers of a PDF by page, found through SyncTeX in the tree that the build kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import papergen
from paperlab import make_paper, write
from texlab import compiled, document

from papergen.core.errors import PapergenError
from papergen.experiment.project import open_project
from papergen.paper.build import build
from papergen.paper.share.pdf_pages import numbers_in, read_synctex

pytestmark = pytest.mark.tex

BODY = r"""\section{Body}
The small row reaches \result{first/small/score}.
\begin{figure}[p]
  A float.
  \caption{The fixed row
    loses \result{first/fixed/loss}
    in the end.}
\end{figure}
\newpage
On the second page \claim[first/large/score > 1]{the large row
reaches \result[pm]{first/large/score}}.
"""


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    folder = make_paper(tmp_path / "my paper 论文")
    more = "\\begin{table}\n\\input{tables/runs}\n\\end{table}\nThe book \\cite{knuth}.\n"
    write(folder, {"sections/body.tex": BODY, "sections/more.tex": more})
    build(open_project(folder), progress=lambda _: None)
    return folder


def test_every_number_is_on_its_page(paper: Path) -> None:
    found = numbers_in(paper / "build" / f"{paper.name}.pdf", paper)
    places = {(number.key, number.page, number.file, number.line) for number in found.numbers}
    assert places == {
        ("first/large/score", 1, "main.tex.j2", 10),  # the title, which \maketitle prints
        ("first/small/score", 1, "sections/body.tex", 2),
        ("first/large/score", 2, "sections/body.tex", 11),
        ("first/fixed/loss", 3, "sections/body.tex", 6),  # a caption on a page of floats
    }
    [large] = [number for number in found.numbers if number.page == 2]
    assert large.printed == "10.1 ± 1.6"
    assert large.trials == ("first/large seed 0", "first/large seed 1")
    assert all(len(digest) == 64 for digest in large.digests)
    assert found.pieces == {"tables/runs.tex": (2,)}


def test_an_old_pdf_is_answered_from_its_own_build(paper: Path, tmp_path: Path) -> None:
    old = Path(shutil.copy(paper / "build" / f"{paper.name}.pdf", tmp_path / "submitted.pdf"))
    write(paper, {"sections/body.tex": "Nothing any more.\n"})
    build(open_project(paper), progress=lambda _: None)
    assert {number.key for number in numbers_in(old, paper).numbers} > {"first/fixed/loss"}


def test_foreign_pdfs_are_refused(paper: Path, tmp_path: Path) -> None:
    plain = compiled(tmp_path / "plain", {"main.tex": document("Text.")}).pdf
    with pytest.raises(PapergenError, match="no digest"):
        numbers_in(plain, paper)
    other = make_paper(tmp_path / "other", **{"sections/more.tex": "Other.\n"})
    pdf = build(open_project(other), progress=lambda _: None).compiled.pdf
    with pytest.raises(PapergenError, match="no build of this project"):
        numbers_in(pdf, paper)


def test_the_command(paper: Path) -> None:
    pdf = f"build/{paper.name}.pdf"
    shown = papergen("trace", pdf, "--page", "2", cwd=paper)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("page 2  10.1 ± 1.6  first/large/score  sections/body.tex:11\n")
    assert "first/large seed 0" in shown.stdout
    data = json.loads(papergen("trace", pdf, "--json", cwd=paper).stdout)
    assert len(data["numbers"]) == 4
    beyond = papergen("trace", pdf, "--page", "9", cwd=paper)
    assert (beyond.returncode, "has 3 pages" in beyond.stderr) == (2, True)
    assert papergen("trace", "first/large/score", "--page", "1", cwd=paper).returncode == 2


def test_a_record_is_read_by_file_line_and_page() -> None:
    text = "SyncTeX Version:1\nInput:1:/x y/./main.tex\nInput:2:/x y/./sub/a.tex\nInput:3:/usr/b.sty\n{1\n[1,9:0,0\n"
    text += "h2,4:1,2:3,4,5\n}1\n{2\n(2,4:1,1\nx3,1:0,0\n!99\nk2,7:1,2\n}2\n"
    assert read_synctex(text, "main.tex", ["main.tex", "sub/a.tex"]) == {
        "main.tex": {9: [1]},
        "sub/a.tex": {4: [1, 2], 7: [2]},
    }
