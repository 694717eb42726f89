r"""\result works wherever a number may stand, and what nobody defined cannot be printed as if it were true."""

from __future__ import annotations

from pathlib import Path

import pytest
from texlab import compiled, pdf_pages

from papergen.latex.macros import is_complete, package_lines, results_tex
from papergen.latex.problems import TexError
from papergen.latex.text import Engine

VALUES = {
    "decoding/nucleus/rep_4": {"": "0.42", "pm": r"0.42\,\ensuremath{\pm}\,0.01", "2": "0.42"},
    "解码/核.x-1": {"": r"7\%"},
    "métrique/é": {"": r"\#3"},
}
PAPER = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{mathptmx}\renewcommand{\ttdefault}{txtt}
\usepackage{xcolor}
\usepackage{hyperref}
\input{papergen-results}
\title{Title \result{decoding/nucleus/rep_4}}
\author{}
\begin{document}
\maketitle
\tableofcontents
\section{Section \result{decoding/nucleus/rep_4} of \result{解码/核.x-1}}
\begin{figure}[h]\caption{Caption \result[pm]{decoding/nucleus/rep_4}}\end{figure}
Text\footnote{Foot \result{métrique/é}} A\result{decoding/nucleus/rep_4}B
\MakeUppercase{up \result{decoding/nucleus/rep_4}}.
\begin{tabular}{ll}\result{decoding/nucleus/rep_4} & \result[2]{decoding/nucleus/rep_4}\\\end{tabular}
\claim[decoding/nucleus/rep_4 < 1 & x_1 > 2]{Claimed: \result{解码/核.x-1}.}
MORE
\end{document}
"""


@pytest.mark.tex
@pytest.mark.parametrize("engine", ["pdflatex", "xelatex"])
def test_results_print_everywhere(engine: Engine, tmp_path: Path) -> None:
    source = PAPER.replace("MORE", "")
    if engine == "xelatex":
        source = source.replace(
            "\\usepackage[T1]{fontenc}\n\\usepackage{mathptmx}\\renewcommand{\\ttdefault}{txtt}\n", ""
        )
    done = compiled(tmp_path, {"main.tex": source, "papergen-results.tex": results_tex(VALUES)}, engine=engine)
    text = " ".join(" ".join(pdf_pages(done.pdf)).split())
    for words in [
        "Title 0.42",
        "Section 0.42 of 7%",
        "Caption 0.42 ± 0.01",
        "Foot #3",
        "A0.42B UP 0.42",
        "Claimed: 7%.",
    ]:
        assert words in text
    from pypdf import PdfReader

    assert [item["/Title"] for item in PdfReader(done.pdf).outline] == ["Section 0.42 of 7%"]  # type: ignore[call-overload,index]


@pytest.mark.tex
@pytest.mark.parametrize(
    "use", [r"\result{no/such_key}", r"\section{\result{no/such_key}}", r"\result[ci]{métrique/é}"]
)
def test_an_unknown_key_never_prints(use: str, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "main.tex": PAPER.replace("MORE", use),
        "papergen-results.tex": results_tex(VALUES),
    }
    with pytest.raises(TexError) as caught:
        compiled(tmp_path, files)
    assert str(caught.value.problems[0]).startswith("main.tex:18: \\result names a key that no result has")


@pytest.mark.tex
def test_a_draft_marks_what_is_missing_and_what_is_stale(tmp_path: Path) -> None:
    values = VALUES | {"a/b": {"": r"\papergenstale{5.1}"}}
    more = r"\section{X \result{no/such_key}} So \result{no/other_key} and \result{a/b}."
    files: dict[str, str | bytes] = {
        "main.tex": PAPER.replace("MORE", more),
        "papergen-results.tex": results_tex(values, draft=True),
    }
    done = compiled(tmp_path, files)
    text = " ".join(" ".join(pdf_pages(done.pdf)).split())
    assert "X no/such_key" in text
    assert "So no/other_key and 5.1." in text


def test_the_file_is_the_same_whatever_the_order() -> None:
    assert results_tex(VALUES) == results_tex(dict(reversed(VALUES.items())))


@pytest.mark.parametrize("key", ["", "a{b}", "a%b", "a#", "a\\b", "a$b"])
def test_odd_keys_are_bugs(key: str) -> None:
    with pytest.raises(AssertionError):
        results_tex({key: {"": "1"}})


@pytest.mark.parametrize("tex", ["{", "}", "}{", "5%", "#1", "a\\"])
def test_incomplete_tex_is_a_bug(tex: str) -> None:
    assert not is_complete(tex)
    with pytest.raises(AssertionError):
        results_tex({"a": {"": tex}})


def test_packages_of_tables_and_figures_are_loaded_and_can_be_found_again() -> None:
    line = r"\@ifpackageloaded{multirow}{}{\usepackage{multirow}}"
    text = results_tex(VALUES, packages=[line])
    assert text.index(r"\makeatletter") < text.index(line) < text.index(r"\makeatother")
    assert package_lines(text) == [line]
    assert package_lines(results_tex(VALUES)) == []
