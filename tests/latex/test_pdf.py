"""The facts of a finished PDF."""

from __future__ import annotations

from pathlib import Path

import pytest
from texlab import compiled, document, pdf_pages

from papergen.core.errors import PapergenError
from papergen.latex.pdf import Font, inspect_pdf, page_texts
from papergen.latex.text import Engine
from papergen.paper.assemble import _blank_pdf


@pytest.mark.tex
def test_pages_fonts_and_metadata(tmp_path: Path) -> None:
    inner = compiled(tmp_path / "inner", {"main.tex": document("figure", ["\\usepackage{courier}\n", "family\n"][0])})
    more = "\\usepackage{graphicx}\n\\usepackage[pdftitle={On Tests},pdfauthor={Ada}]{hyperref}\n"
    body = "Text $x$\\newpage\\includegraphics{figure.pdf}"
    files: dict[str, str | bytes] = {"main.tex": document(body, more), "figure.pdf": inner.pdf.read_bytes()}
    done = compiled(tmp_path, files)
    facts = inspect_pdf(done.pdf)
    assert facts.num_pages == done.pages == 2
    assert facts.metadata["Title"] == "On Tests"
    assert facts.metadata["Author"] == "Ada"
    assert Font("NimbusRomNo9L-Regu", "Type1", True) in facts.fonts
    assert facts.are_fonts_embedded
    assert not facts.has_type3
    assert "Text" in page_texts(done.pdf)[0]
    assert "figure" in page_texts(done.pdf)[1]


@pytest.mark.tex
def test_a_bitmap_font_is_told(tmp_path: Path) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"pdf.fonttype": 3}):
        figure = Figure()
        figure.subplots().set_title("Type 3")
        figure.savefig(tmp_path / "figure.pdf")
    files: dict[str, str | bytes] = {
        "main.tex": document("x\\includegraphics[width=3cm]{figure.pdf}", "\\usepackage{graphicx}\n"),
        "figure.pdf": (tmp_path / "figure.pdf").read_bytes(),
    }
    assert inspect_pdf(compiled(tmp_path, files).pdf).has_type3


@pytest.mark.parametrize("content", [None, b"", b"not a pdf", b"%PDF-1.5\n%%EOF"])
def test_a_missing_or_damaged_pdf(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PapergenError):
        inspect_pdf(path)


@pytest.mark.tex
@pytest.mark.parametrize("engine", ["pdflatex", "xelatex"])
def test_the_frame_of_a_missing_figure_is_a_whole_pdf(engine: Engine, tmp_path: Path) -> None:
    done = compiled(
        tmp_path,
        {
            "main.tex": document("Before\\includegraphics{blank}after.", "\\usepackage{graphicx}\n", engine),
            "blank.pdf": _blank_pdf(),
        },
        engine=engine,
    )
    facts = inspect_pdf(tmp_path / "tree" / "blank.pdf")
    assert (facts.num_pages, facts.fonts) == (1, ())
    assert pdf_pages(done.pdf)[0].split()[:2] == ["Before", "after."]
