"""The same prose compiles in every template and every mode, as wide as the template says; what is missing is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from standins import STYLES, supply
from texlab import pdf_pages

from papergen.config import Author, read_paper
from papergen.core.errors import MachineError, PapergenError
from papergen.core.files import digest_bytes
from papergen.latex.build.driver import Compiled, compile_tree
from papergen.latex.build.engine import find_engine, require_files
from papergen.latex.macros import results_tex
from papergen.latex.problems import Code
from papergen.latex.render import render_tree
from papergen.latex.venues.template import MODES, list_templates, load_template
from papergen.latex.venues.typesetting import RECORD, typeset
from papergen.paper.scaffold import scaffold

AUTHORS = (Author(name="Ada Author", affiliation="Example University", email="a_b@example.org"), Author(name="B. Öz"))
PROSE = {
    "abstract": "\\begin{abstract}\nAn abstract of one sentence.\n\\end{abstract}\n",
    "introduction": r"""\section{Introduction}\label{sec:introduction}
\citet{dodge2019show} say so~\cite{pineau2021improving}, and \autoref{tab:wide} shows \result{a/b/c}.
\typeout{WIDTHS \the\columnwidth\space\the\textwidth}
\begin{itemize}\item one\end{itemize}
\begin{table*}[t]\centering\caption{Wide.}\label{tab:wide}
\fitted{\begin{tabular}{ll}\toprule left & right\\\bottomrule\end{tabular}}\end{table*}
\begin{equation}x = y\label{eq:x}\end{equation}
\paragraph{Here.} \claim[a/b/c > 0]{More than nothing.}
\begin{description}\item[a long label] text\end{description}
""",
    "conclusion": "\\section{Conclusion}\nDone.\\acknowledgements{We thank nobody.}\n",
    "appendix": r"""\section{More}\label{app:more}
\begin{table}[H]\centering\caption{Here.}\fitted{\begin{tabular}{l}\toprule cell\\\bottomrule\end{tabular}}\end{table}
""",
}
SLOTS = ("acl", "neurips", "icml", "iclr")
STANDARD = [name for name in list_templates() if not load_template(name).style_files]


def written(folder: Path, name: str, mode: str, extra: str = "", language: str = "en") -> Path:
    project = scaffold(folder / "p", template=name, title="A & B: 100%", authors=AUTHORS, language=language)
    for path in (project / "sections").iterdir():
        path.write_text(PROSE.get(path.stem, ""), encoding="utf-8")
    paper = (project / "paper.yaml").read_text(encoding="utf-8").replace("mode: preprint", f"mode: {mode}")
    (project / "paper.yaml").write_text(paper + "keywords: [one, two]\n" + extra, encoding="utf-8")
    supply(project, name)
    return project


def build(project: Path) -> tuple[Compiled, str]:
    """The compiled paper and TeX's log."""
    setting = typeset(read_paper(project), project)
    try:
        engine = find_engine(setting.engine)
        require_files(setting.needed, tree=project)
    except MachineError as error:
        pytest.skip(error.message)
    generated = {"papergen-results.tex": results_tex({"a/b/c": {"": "42.5"}}).encode()}
    tree = project / "build" / "tree"
    rendered = render_tree(project, tree, setting.context, generated, engine=engine.engine)
    done = compile_tree(tree, rendered.main, engine=engine, output=project / "p.pdf", line_map=rendered.line_map)
    return done, (tree.parent / f".tree-{engine.engine}" / "tex" / "main.log").read_text(errors="replace")


@pytest.mark.tex
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [*STANDARD, *SLOTS])
def test_the_same_prose_compiles_everywhere(name: str, mode: str, tmp_path: Path) -> None:
    if mode == "preprint" and name != "twocolumn":
        pytest.skip("differs from camera-ready by little; the default template stands for it")
    project = written(tmp_path, name, mode)
    done, log = build(project)
    text = " ".join(pdf_pages(done.pdf)).replace("-\n", "").replace("\n", " ")
    assert "42.5" in text
    assert "Dodge et al" in text
    assert "[?]" not in text
    template = load_template(name)
    widths = re.search(r"WIDTHS ([\d.]+)pt ([\d.]+)pt", log)
    assert widths
    assert float(widths[1]) / 72.27 == pytest.approx(template.column_width_in, abs=0.002)
    assert float(widths[2]) / 72.27 == pytest.approx(template.text_width_in, abs=0.002)
    is_anonymous = template.rules(mode).is_anonymous  # type: ignore[arg-type]
    assert ("Ada Author" in text) != is_anonymous
    assert ("We thank nobody" in text) != is_anonymous
    assert not [problem for problem in done.warnings if problem.code is Code.OVERFULL]


@pytest.mark.tex
@pytest.mark.parametrize("name", ["twocolumn", "ieee"])
def test_biber_makes_the_bibliography_where_the_template_knows_it(name: str, tmp_path: Path) -> None:
    project = written(tmp_path, name, "camera-ready", "bibliography: biber\n")
    done, log = build(project)
    assert "biblatex" in log
    assert "2185" in " ".join(pdf_pages(done.pdf))


WITHOUT_CITATIONS = [(name, bib) for name in [*STANDARD, *SLOTS] for bib in load_template(name).bibliography]


@pytest.mark.tex
@pytest.mark.parametrize(("name", "bibliography"), WITHOUT_CITATIONS)
def test_a_paper_that_cites_nothing_compiles_everywhere(name: str, bibliography: str, tmp_path: Path) -> None:
    project = written(tmp_path, name, "camera-ready", f"bibliography: {bibliography}\n")
    for path in (project / "sections").iterdir():
        path.write_text("" if path.stem == "appendix" else "Words.\n", encoding="utf-8")
    done, _ = build(project)
    text = " ".join(pdf_pages(done.pdf))
    assert "Words." in text
    assert "References" not in text


def test_a_template_without_biber_says_what_to_write(tmp_path: Path) -> None:
    project = written(tmp_path, "acm", "review", "bibliography: biber\n")
    with pytest.raises(PapergenError, match="does not work with it") as error:
        typeset(read_paper(project), project)
    assert "bibliography: bibtex" in str(error.value)


def test_missing_style_files_are_named_with_where_to_get_them(tmp_path: Path) -> None:
    project = scaffold(tmp_path / "p", template="icml")
    with pytest.raises(PapergenError) as error:
        typeset(read_paper(project), project)
    assert "icml20[0-9][0-9].sty is not beside paper.yaml" in str(error.value)
    assert "icml20[0-9][0-9].bst" in str(error.value)
    assert "https://icml.cc" in str(error.value)


def test_a_style_file_is_recorded_at_first_and_refused_when_it_changes(tmp_path: Path) -> None:
    project = written(tmp_path, "neurips", "review")
    first = typeset(read_paper(project), project)
    assert first.context["styles"] == ["neurips_2031"]
    assert "not a version that papergen knows" in first.notes[0]
    digest = digest_bytes(STYLES["neurips_2031.sty"].encode())
    assert (project / RECORD).read_text() == f"{digest}  neurips_2031.sty\n"
    assert not typeset(read_paper(project), project).notes
    (project / "neurips_2031.sty").write_text("% changed\n")
    with pytest.raises(PapergenError, match="not the file of the builds before"):
        typeset(read_paper(project), project)
    (project / "neurips_2030.sty").write_text("% another year\n")
    with pytest.raises(PapergenError, match=r"neurips_2030\.sty and neurips_2031\.sty both match"):
        typeset(read_paper(project), project)


def test_chinese_in_an_english_text_chooses_xelatex_and_says_why(tmp_path: Path) -> None:
    project = written(tmp_path, "twocolumn", "preprint")
    assert typeset(read_paper(project), project).engine == "pdflatex"
    (project / "sections" / "method.tex").write_text("% 注释\nThe word 你好.\n", encoding="utf-8")
    setting = typeset(read_paper(project), project)
    assert setting.engine == "xelatex"
    assert setting.reason == "sections/method.tex:2 has 你, which pdflatex cannot print"
    assert "xeCJK.sty" in setting.needed
    fixed = (project / "paper.yaml").read_text() + "engine: pdflatex\n"
    (project / "paper.yaml").write_text(fixed)
    assert typeset(read_paper(project), project).engine == "pdflatex"


@pytest.mark.tex
@pytest.mark.parametrize("name", ["twocolumn", "ieee"])
def test_chinese_words_print_in_an_english_paper(name: str, tmp_path: Path) -> None:
    project = written(tmp_path, name, "preprint")
    (project / "sections" / "method.tex").write_text("The word 你好 means hello.\n", encoding="utf-8")
    done, _ = build(project)
    assert "你好" in " ".join(pdf_pages(done.pdf))
