"""More faulty documents, as authors write them: each is told at the author's line, once, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_faults import Fault, main, told
from texlab import compiled, document, make_tree

from papergen.latex.lint.lint import lint_tree
from papergen.latex.problems import TexError
from papergen.latex.tree import SourceTree

GRAPHICS = "\\usepackage{graphicx}\n"
FAULTS = [
    Fault(
        "package-not-loaded",
        main("a\n\\begin{align}\nx&=1\n\\end{align}"),
        "main.tex:6",
        "Environment align undefined",
        more=("Write \\usepackage{amsmath}.",),
    ),
    Fault(
        "rule-of-booktabs",
        main("a\n\\begin{tabular}{l}\n\\toprule\na\\\\\n\\end{tabular}"),
        "main.tex:7",
        "Undefined control sequence \\toprule",
        more=("Write \\usepackage{booktabs}.",),
    ),
    Fault(
        "package-in-the-body",
        main("a\n\\usepackage{xcolor}"),
        "main.tex:6",
        "Can be used only in preamble",
        more=("before \\begin{document}",),
    ),
    Fault(
        "option-clash",
        main("x", "\\usepackage[table]{xcolor}\n\\usepackage[dvipsnames]{xcolor}\n"),
        "main.tex:5",
        "Option clash for package xcolor",
        more=("Load it once",),
    ),
    Fault(
        "unknown-option-of-a-package",
        main("x", "\\usepackage[bogus]{geometry}\n"),
        "main.tex:4",
        "unknown option bogus",
    ),
    Fault(
        "unknown-key-of-a-figure",
        {**main("a\n\\includegraphics[widht=2in]{example}", GRAPHICS), "example.pdf": b""},
        "main.tex:7",
        "unknown option widht",
    ),
    Fault("renewed-nothing", main("x", "\\renewcommand{\\nothere}{1}\n"), "main.tex:4", "Command \\nothere undefined"),
    Fault(
        "damaged-figure",
        {**main("a\n\\includegraphics{figures/a}", GRAPHICS), "figures/a.pdf": b"no pdf"},
        "main.tex:7",
        "failed",
        lint="the figure figures/a.pdf is damaged",
    ),
    Fault(
        "svg-figure",
        {**main("a\n\\includegraphics{figures/a.svg}", GRAPHICS), "figures/a.svg": b"<svg/>"},
        "main.tex:7",
        "Unknown graphics extension",
        more=("Convert the figure to PDF.",),
    ),
    Fault(
        "not-utf-8",
        {"main.tex": document("\\input{sections/a}"), "sections/a.tex": "ok\ncafé\n".encode("latin-1")},
        "",
        "",
        lint="not UTF-8 text",
    ),
    Fault(
        "unknown-colour", main("a\n\\textcolor{reddish}{x}", "\\usepackage{xcolor}\n"), "main.tex:7", "Undefined color"
    ),
    Fault("column-type", main("a\n\\begin{tabular}{lq}a&b\\end{tabular}"), "main.tex:6", "in array arg"),
    Fault(
        "rule-in-a-row", main("a\n\\begin{tabular}{l}a \\hline b\\end{tabular}"), "main.tex:6", "Misplaced \\noalign"
    ),
    Fault(
        "float-in-a-float",
        main("a\n\\begin{figure}\n\\begin{table}x\\end{table}\n\\end{figure}"),
        "main.tex:7",
        "outer par",
    ),
    Fault(
        "display-with-an-empty-line",
        main("a\n$$x\n\ny$$\nb"),
        "main.tex:6",
        "Missing $ inserted",
        lint="an odd number of $$ in this paragraph",
    ),
    Fault(
        "verb-in-a-footnote",
        main("a\nx\\footnote{\\verb|a_b|}"),
        "main.tex:6",
        "Missing $ inserted",
        lint="\\verb does not work inside \\footnote",
    ),
    Fault("break-of-no-line", main("a\n\n\\\\\nb"), "main.tex:7", "no line here to end"),
    Fault(
        "input-of-itself", {"main.tex": document("\\input{a}"), "a.tex": "x\n\\input{a}\n"}, "a.tex:2", "input levels"
    ),
    Fault("greek-in-text", main("a\n\\alpha is it"), "main.tex:6", "Missing $ inserted", more=("command of formulas",)),
    Fault("empty-reference", main("a\nsee \\ref{} x"), "main.tex:6", "undefined reference without a name"),
    Fault(
        "text-before-the-document",
        {"main.tex": "\\documentclass{article}\nHi\n\\begin{document}x\\end{document}\n"},
        "main.tex:2",
        "Missing \\begin{document}",
    ),
]


@pytest.mark.tex
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.where], ids=lambda fault: fault.name)
def test_tex_errors_name_the_line_and_nothing_else(fault: Fault, tmp_path: Path) -> None:
    import re

    with pytest.raises(TexError) as caught:
        compiled(tmp_path, fault.files)
    text = told(caught.value, fault.where, re.escape(fault.words))
    assert [more for more in fault.more if more not in text] == []
    remedies = [
        problem.remedy
        for problem in caught.value.problems
        if f"{problem.place.file}:{problem.place.line}" == fault.where
    ]
    assert any(remedies), "what to do is told"


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.lint], ids=lambda fault: fault.name)
def test_the_linter_knows_before_tex_runs(fault: Fault, tmp_path: Path) -> None:
    import re

    tree = SourceTree(make_tree(tmp_path, fault.files))
    problems = lint_tree(tree, "main.tex", engine="pdflatex")
    told(TexError(problems), fault.where or "sections/a.tex:2", re.escape(fault.lint))


SOUND = {
    "an environment over two files": {
        "main.tex": document("\\begin{quote}\n\\input{a}"),
        "a.tex": "x\n\\end{quote}\n",
    },
    "displays": main("$$a$$ and\n$$\nb\n$$\n\nand $c$ $$d$$"),
    "verb": main("a \\verb|{_%| b"),
}


@pytest.mark.tex
@pytest.mark.parametrize("name", SOUND)
def test_what_tex_takes_the_linter_takes(name: str, tmp_path: Path) -> None:
    tree = SourceTree(make_tree(tmp_path / "lint", SOUND[name]))
    assert [str(problem) for problem in lint_tree(tree, "main.tex", engine="pdflatex")] == []
    assert compiled(tmp_path, SOUND[name]).pages == 1


@pytest.mark.tex
def test_one_fault_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(TexError) as caught:
        compiled(tmp_path, main("a\n\\begin{align}\nx&=1\\\\\ny&=2\n\\end{align}\n\\alpha\nb"))
    assert [problem.place.line for problem in caught.value.problems] == [6, 10]
