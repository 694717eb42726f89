"""Pages of text, as venues count them: up to the last figure of the text, without references and appendix."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_venues import build, written
from texlab import compiled, document

from papergen.config import read_paper
from papergen.latex.build.driver import auxiliary_folder
from papergen.latex.pdf import pages_of_text
from papergen.latex.tree import SourceTree
from papergen.latex.venues.template import list_templates, load_template
from papergen.latex.venues.typesetting import typeset

pytestmark = pytest.mark.tex
CASES = [(name, language) for name in list_templates() for language in load_template(name).languages]


def counted(tmp_path: Path, files: dict[str, str | bytes]) -> tuple[int, int]:
    """Pages of text, and pages."""
    done = compiled(tmp_path, files)
    tree = SourceTree(tmp_path / "tree")
    auxiliary = auxiliary_folder(tmp_path / "tree", "pdflatex")
    return pages_of_text(done.pdf, tree, "main.tex", auxiliary), done.pages


@pytest.mark.parametrize(("name", "language"), CASES)
def test_every_template_says_where_its_text_ends(name: str, language: str, tmp_path: Path) -> None:
    project = written(tmp_path, name, "camera-ready", language=language)
    (project / "sections" / "introduction.tex").write_text("Text~\\citep{dodge2019show}.\n", encoding="utf-8")
    (project / "sections" / "conclusion.tex").write_text("\\clearpage\nThe second page.\n", encoding="utf-8")
    (project / "sections" / "appendix.tex").write_text("\\clearpage\nMore.\\clearpage And more.\n", encoding="utf-8")
    done, _ = build(project)
    engine = typeset(read_paper(project), project).engine
    tree = project / "build" / "tree"
    pages = pages_of_text(done.pdf, SourceTree(tree), "main.tex", auxiliary_folder(tree, engine))
    assert pages == 2
    assert done.pages >= 4


END = "\\label{papergen:end}\n\\section*{References}\nMany.\\newpage More.\n"
FIGURE = "\\begin{figure}[p]\\rule{1pt}{6in}\\caption{Late.}\\label{fig:late}\\end{figure}\n"


def test_a_figure_of_the_text_that_comes_late_counts(tmp_path: Path) -> None:
    text = {"main.tex": document(f"\\input{{a}}\n{END}"), "a.tex": f"Text.\n{FIGURE}"}
    assert counted(tmp_path / "text", dict(text)) == (2, 3)
    appendix = {"main.tex": document(f"Text.\n{END}\\input{{a}}"), "a.tex": FIGURE}
    assert counted(tmp_path / "appendix", dict(appendix)) == (1, 3)


def test_a_paper_that_does_not_say_it_ends_at_its_references(tmp_path: Path) -> None:
    listed = "\\section*{References}\nMany.\\newpage More.\n"
    assert counted(tmp_path / "middle", {"main.tex": document("Enough text to be more than a head.\n" + listed)}) == (
        1,
        2,
    )
    assert counted(tmp_path / "top", {"main.tex": document("Text.\\newpage\n" + listed)}) == (1, 3)
    assert counted(tmp_path / "none", {"main.tex": document("Text.\\newpage More.")}) == (2, 2)


def test_pages_with_roman_numbers_are_pages(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "main.tex": document(
            "\\pagenumbering{roman}x\\newpage\\pagenumbering{arabic}y\n" + END, "\\usepackage{hyperref}\n"
        )
    }
    assert counted(tmp_path, files) == (2, 3)
