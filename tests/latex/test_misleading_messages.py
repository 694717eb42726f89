"""Faults whose messages by TeX send authors astray: told once, at their own line, with cause and remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_faults import Fault, main, told
from texlab import compiled, document, make_tree

from papergen.latex.lint.lint import lint_tree
from papergen.latex.problems import TexError
from papergen.latex.tree import SourceTree

TABLE = "\\begin{table}\n\\begin{tabular}{ll}\n\\input{tables/mine}\n\\end{tabular}\n\\end{table}"
FAULTS = [
    Fault(
        "underscore-in-the-caption-of-a-section",
        {
            "main.tex": document("\\input{sections/res}"),
            "sections/res.tex": "Fine.\n\\begin{table}\n\\caption{Effect of top_p\n on it}\nx\n\\end{table}\n",
        },
        "sections/res.tex:4",
        "Missing $ inserted",
        more=("Write \\_ for an underscore",),
    ),
    Fault(
        "a-cell-too-many-in-a-table-that-is-input",
        {"main.tex": document(TABLE), "tables/mine.tex": "a & b \\\\\nc & d & e \\\\\n"},
        "tables/mine.tex:2",
        "Extra alignment tab",
        more=("Count the & of the row",),
    ),
    Fault(
        "misspelt-environment",
        main("a\n\\begin{itemise}\n\\item x\n\\end{itemise}"),
        "main.tex:6",
        "Environment itemise undefined",
        more=("Did you mean itemize?",),
    ),
    Fault(
        "open-brace-at-the-end-of-a-section",
        {
            "main.tex": document("Intro.\n\\input{sections/a}\n\\input{sections/b}"),
            "sections/a.tex": "One \\footnote{word to the end.\n",
            "sections/b.tex": "Good.\n\nMore.\n",
        },
        "sections/a.tex:1",
        "File ended",
        lint="this { is never closed",
        more=("Close the brace here",),
    ),
    Fault(
        "text-before-the-first-item",
        main("a\n\\begin{itemize}\nText first\n\\item b\n\\end{itemize}"),
        "main.tex:8",
        "missing \\item",
        more=("Begin each entry with \\item",),
    ),
    Fault(
        "too-many-floats",
        main("a\n" + "\\begin{figure}[h!]\\rule{1in}{9in}\\caption{x}\\end{figure}\n" * 60),
        "main.tex:",
        "Too many unprocessed floats",
        more=("\\clearpage",),
    ),
    Fault(
        "verb-in-a-caption",
        main("a\n\\begin{figure}\nx\n\\caption{See \\emph{b} and \\verb|c|}\n\\end{figure}"),
        "main.tex:8",
        "has an extra }",
        lint="\\verb does not work inside \\caption",
        more=("for \\verb write \\texttt",),
    ),
    Fault(
        "caption-in-a-caption",
        main("a\n\\begin{figure}\nx\n\\caption{A \\caption{B}}\n\\end{figure}"),
        "main.tex:8",
        "Missing \\endcsname",
        lint="a \\caption stands inside another one",
        more=("does not survive",),
    ),
    Fault(
        "unprintable-spaces",
        main("a\nzero width\u200bjoin"),
        "main.tex:6",
        "U+200B",
        lint="pdflatex cannot print U+200B",
        more=("Take it out",),
    ),
    Fault(
        "package-twice",
        main("x", "\\usepackage{hyperref}\n\\usepackage[draft]{hyperref}\n"),
        "main.tex:5",
        "Option clash for package hyperref",
        more=("loaded twice",),
    ),
    Fault(
        "empty-line-in-a-display",
        main("a\n\\begin{equation}\nx = 1\n\n\\end{equation}"),
        "main.tex:6",
        "Missing $ inserted",
        more=("take empty lines out",),
    ),
    Fault(
        "dollar-in-a-display",
        main("a\n\\begin{equation}\n$x$\n\\end{equation}"),
        "main.tex:7",
        "Display math should end",
        more=("a display needs no $ of its own",),
    ),
    Fault(
        "misspelt-end",
        main("\\begin{tabular}{l}\na \\\\\n\n\\end{tabulr}"),
        "main.tex:5",
        "ended by",
        more=("closed in the wrong order",),
    ),
    Fault("pair-of-delimiters", main("a\n$\\left( x$\n\nb"), "main.tex:6", "Missing \\right", more=("Pair them",)),
    Fault("length-without-a-number", main("a\n\\hspace{x}"), "main.tex:6", "Missing number", more=("with its unit",)),
    Fault(
        "command-twice",
        main("x", "\\newcommand{\\ours}{a}\n\\newcommand{\\ours}{b}\n"),
        "main.tex:5",
        "Command \\ours already defined",
        more=("\\renewcommand",),
    ),
]


@pytest.mark.tex
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_fault_is_told_at_its_line_with_cause_and_remedy(fault: Fault, tmp_path: Path) -> None:
    with pytest.raises(TexError) as caught:
        compiled(tmp_path, fault.files)
    text = told(caught.value, fault.where, re.escape(fault.words))
    assert [more for more in fault.more if more not in text] == []
    assert "Usual cause: " in text


@pytest.mark.tex
@pytest.mark.parametrize(
    "name",
    ["misspelt-environment", "text-before-the-first-item", "too-many-floats", "misspelt-end"],
)
def test_nothing_that_only_follows_is_told(name: str, tmp_path: Path) -> None:
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    with pytest.raises(TexError) as caught:
        compiled(tmp_path, fault.files)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.lint], ids=lambda fault: fault.name)
def test_the_linter_knows_before_tex_runs(fault: Fault, tmp_path: Path) -> None:
    tree = SourceTree(make_tree(tmp_path, fault.files))
    told(TexError(lint_tree(tree, "main.tex", engine="pdflatex")), fault.where, re.escape(fault.lint))


def test_text_before_the_first_item_is_told_where_it_stands(tmp_path: Path) -> None:
    files = main(
        "\\begin{itemize}[label=x]\n  Text\n\\item a\n\\end{itemize}\n\\begin{enumerate}\\setlength{\\a}{1pt}\\item b"
    )
    problems = lint_tree(SourceTree(make_tree(tmp_path, files)), "main.tex", engine="pdflatex")
    said = [(problem.place.line, problem.message) for problem in problems if "first" in problem.message]
    assert said == [(6, "text stands in the itemize before its first \\item")]
