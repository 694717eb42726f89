"""Faulty documents: what TeX's log, BibTeX's, the linter and Jinja tell the author, at which file and line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from texlab import compiled, document, make_tree

from papergen.core.errors import PapergenError
from papergen.latex.build.driver import compile_tree
from papergen.latex.build.engine import find_engine
from papergen.latex.lint.lint import lint_tree
from papergen.latex.log.reader import read_log
from papergen.latex.macros import results_tex
from papergen.latex.problems import Code, TexError
from papergen.latex.render import render_tree
from papergen.latex.text import Engine
from papergen.latex.tree import SourceTree

GOOD_BIB = "@misc{vaswani2017, title={Attention}, author={A Vaswani}, year=2017}\n"
CITING = "\\usepackage{natbib}\n"
BIB = "\\bibliographystyle{plainnat}\\bibliography{references}"
RESULTS = results_tex({"decoding/nucleus/rep_4": {"": "0.42"}})


@dataclass(frozen=True)
class Fault:
    """A document and what must be said of it: `where` is file:line (or file), `words` stand in the message."""

    name: str
    files: dict[str, str | bytes]
    where: str
    words: str
    lint: str = ""
    """Words of the linter's message at the same place; empty when only TeX can know."""
    more: tuple[str, ...] = ()
    engine: Engine = "pdflatex"
    context: dict[str, object] = field(default_factory=dict)


def main(body: str, more: str = "") -> dict[str, str | bytes]:
    """A one-file paper; the body begins in line 5 (6 with one line of `more`)."""
    return {"main.tex": document(body, more)}


TEX_FAULTS = [
    Fault(
        "undefined-command",
        main("Good.\n\\textbff{x}"),
        "main.tex:6",
        r"Undefined control sequence \textbff",
        more=("Did you mean \\textbf",),
    ),
    Fault(
        "undefined-command-in-section",
        {"main.tex": document("\\input{sections/deep model}"), "sections/deep model.tex": "Fine.\n\nNow \\foo bar.\n"},
        "sections/deep model.tex:3",
        r"Undefined control sequence \foo",
    ),
    Fault(
        "missing-brace",
        main("a\n\nText \\textbf{abc def.\n\nmore"),
        "main.tex:7",
        "Paragraph ended|File ended",
        lint="this { is never closed",
    ),
    Fault(
        "per-cent-hides-brace",
        main("a\n\\section{Gain of 5% over all}\nText"),
        "main.tex:6",
        "File ended",
        lint="this { is never closed",
    ),
    Fault(
        "footnote-not-closed",
        main("a\nb\\footnote{abc $x$ \\emph{a}\nmore\n"),
        "main.tex:6",
        "File ended|ended",
        lint="this { is never closed",
    ),
    Fault("stray-brace", main("one\ntwo} three"), "main.tex:6", "Too many }", lint="this } closes nothing"),
    Fault(
        "environment-not-closed",
        main("a\n\\begin{table}\nText"),
        "main.tex:6",
        "begin{table}",
        lint="\\begin{table} is never closed",
    ),
    Fault(
        "environment-closed-by-another",
        main("a\n\\begin{itemize}\n\\item x\n\\end{enumerate}"),
        "main.tex:6",
        "ended by",
        lint="",
    ),
    Fault("unknown-environment", main("a\n\\begin{foo}x\\end{foo}"), "main.tex:6", "Environment foo undefined"),
    Fault("missing-package", main("a", "\\usepackage{nosuchpackage}\n"), "main.tex:4", "`nosuchpackage.sty' not found"),
    Fault(
        "missing-class",
        {"main.tex": "\\documentclass{nosuchclass}\n\\begin{document}a\\end{document}\n"},
        "main.tex:1",
        "`nosuchclass.cls' not found",
    ),
    Fault(
        "missing-input",
        {"main.tex": document("a\n\\input{sections/metod}"), "sections/method.tex": "x\n"},
        "main.tex:6",
        "`sections/metod.tex' not found",
        lint="there is no file sections/metod",
    ),
    Fault(
        "missing-figure",
        {
            "main.tex": document("a\n\\includegraphics{figures/los}", "\\usepackage{graphicx}\n"),
            "figures/loss.pdf": b"%PDF",
        },
        "main.tex:7",
        "`figures/los' not found",
        lint="there is no figure figures/los",
    ),
    Fault(
        "chinese-in-pdflatex",
        main("good\nbad 你 here"),
        "main.tex:6",
        "Unicode character 你 (U+4F60)",
        lint="pdflatex cannot print 你 (U+4F60)",
    ),
    Fault(
        "emoji-in-pdflatex",
        main("good\n\nbad 😀 here"),
        "main.tex:7",
        "U+1F600",
        lint="pdflatex cannot print 😀 (U+1F600)",
    ),
    Fault("decomposed-accent", main("cafe\u0301"), "main.tex:5", "U+0301", lint="pdflatex cannot print"),
    Fault("underscore-in-text", main("good\nrep_4 is low"), "main.tex:6", "Missing $ inserted"),
    Fault(
        "formula-not-closed",
        main("good\n\nwith $x_1 more\n\nnext"),
        "main.tex:7",
        "Missing $ inserted",
        lint="odd number of $",
    ),
    Fault("ampersand-in-text", main("a\nA & B"), "main.tex:6", "Misplaced alignment tab character &"),
    Fault("hash-in-text", main("a\nissue #5"), "main.tex:6", "macro parameter character #"),
    Fault(
        "too-many-cells",
        main("\\begin{tabular}{l}\na \\\\\nb & c \\\\\n\\end{tabular}"),
        "main.tex:7",
        "Extra alignment tab",
    ),
    Fault("double-superscript", main("a\n$x^a^b$"), "main.tex:6", "Double superscript"),
    Fault("caption-outside-float", main("a\n\\caption{x}"), "main.tex:6", "\\caption outside float"),
    Fault("lonely-item", main("a\n\\item x"), "main.tex:6", "Lonely \\item"),
    Fault(
        "end-of-document-missing",
        {"main.tex": document("a").replace("\\end{document}\n", "")},
        "main.tex",
        "no legal \\end found",
        lint="",
    ),
    Fault("no-page", main("% nothing"), "main.tex", "the document has no page"),
    Fault("infinite-recursion", main("a\n\\def\\x{(\\x)}\\x"), "main.tex:6", "TeX capacity exceeded"),
    Fault(
        "undefined-reference",
        main("a\nsee \\ref{tab:quality}\n\\label{tab:qualty}"),
        "main.tex:6",
        "undefined reference tab:quality",
        lint="undefined reference tab:quality",
    ),
    Fault(
        "label-twice",
        {"main.tex": document("\\section{A}\\label{s}\n\\input{b}"), "b.tex": "\\section{B}\n\\label{s}\n\\ref{s}\n"},
        "",
        "label s is defined more than once",
        lint="label s is defined more than once; first at main.tex:5",
    ),
    Fault(
        "undefined-citation",
        {
            "main.tex": document(f"a \\citep{{vaswani2017}}\n\\citet{{vaswani2018}}\n{BIB}", CITING),
            "references.bib": GOOD_BIB,
        },
        "main.tex:7",
        "undefined citation vaswani2018",
        lint="undefined citation vaswani2018",
    ),
    Fault(
        "unknown-result",
        {
            "main.tex": document("a\n\\result{decoding/nucleus/rep_5}", "\\input{papergen-results}\n"),
            "papergen-results.tex": RESULTS,
        },
        "main.tex:7",
        "names a key that no result has",
        lint="there is no result decoding/nucleus/rep_5",
    ),
    Fault(
        "result-key-from-a-macro",
        {
            "main.tex": document("a\n\\result{\\rowname/rep_4}", "\\input{papergen-results}\n"),
            "papergen-results.tex": RESULTS,
        },
        "main.tex:7",
        "names a key that no result has",
        lint="needs a key written out",
    ),
]

BIB_FAULTS = [
    ("missing-comma", "@misc{a, title={T},\n author={A B}\n year=2020}\n", "references.bib:3", "expecting"),
    ("repeated-entry", GOOD_BIB + "@misc{Vaswani2017, title={T}}\n", "references.bib:2", "Repeated entry"),
    ("text-lost", "@misc{vaswani2017, title={T_x}, author={A}, year=2017}\n", "references.bib:1", "Missing $"),
]

JINJA_FAULTS = [
    ("undefined-name", "a\n\\VAR{titel}\n", "sections/x.tex.j2:2", "'titel' is undefined", "Did you mean title?"),
    ("unclosed-block", "a\n\\BLOCK{if title}\nb\n", "sections/x.tex.j2:3", "endif", ""),
    ("unknown-tag", "\\BLOCK{fro x in y}\n", "sections/x.tex.j2:1", "unknown tag 'fro'", ""),
    ("unknown-filter", "a\n\n\\VAR{title|fixd}\n", "sections/x.tex.j2:3", "No filter named 'fixd'", ""),
    ("bare-float", "a\n\\VAR{loss}\n", "sections/x.tex.j2:2", "nobody has formatted", "|fixed(2)"),
    ("none", "\\VAR{nothing}\n", "sections/x.tex.j2:1", "the value is None", "default"),
    ("not-a-number", "\\VAR{title|percent}\n", "sections/x.tex.j2:1", "not a finite number", ""),
    ("no-such-attribute", "\\VAR{paper.titel}\n", "sections/x.tex.j2:1", "has no attribute 'titel'", ""),
    ("division", "a\n\\VAR{1 // 0}\n", "sections/x.tex.j2:2", "ZeroDivisionError", ""),
    (
        "missing-include",
        "\\BLOCK{include 'sections/y.tex.j2'}\n",
        "sections/x.tex.j2:1",
        "no file sections/y.tex.j2",
        "sections/x.tex.j2",
    ),
    (
        "in-a-loop",
        "\\BLOCK{for i in [1]}\n\n\\VAR{i + title}\n\\BLOCK{endfor}\n",
        "sections/x.tex.j2:3",
        "TypeError",
        "",
    ),
    ("silent-comment", "text \\#{} more\n", "sections/x.tex.j2:1", "would vanish", "{\\#}"),
]


def told(error: TexError, where: str, words: str) -> str:
    """The text of the problem at a place whose message has these words; the test fails when there is none."""
    for problem in error.problems:
        place = problem.place.file + (f":{problem.place.line}" if problem.place.line else "")
        if place.startswith(where) and re.search(words, problem.message):
            return str(problem)
    raise AssertionError(f"nobody said {words!r} at {where}:\n{error}")


@pytest.mark.tex
@pytest.mark.parametrize("fault", TEX_FAULTS, ids=lambda fault: fault.name)
def test_tex_errors_name_the_line(fault: Fault, tmp_path: Path) -> None:
    words = fault.words if "|" in fault.words or ".*" in fault.words else re.escape(fault.words)
    with pytest.raises(TexError) as caught:
        compiled(tmp_path, fault.files, engine=fault.engine)
    text = told(caught.value, fault.where, words)
    for more in fault.more:
        assert more in text
    assert not (tmp_path / "paper.pdf").exists()


@pytest.mark.parametrize("fault", [fault for fault in TEX_FAULTS if fault.lint], ids=lambda fault: fault.name)
def test_the_linter_knows_before_tex_runs(fault: Fault, tmp_path: Path) -> None:
    tree = SourceTree(make_tree(tmp_path, fault.files))
    problems = lint_tree(tree, "main.tex", engine="pdflatex", result_keys={"decoding/nucleus/rep_4"})
    told(TexError(problems), fault.where, re.escape(fault.lint))


@pytest.mark.tex
@pytest.mark.parametrize(
    ("name", "bib", "where", "words"), BIB_FAULTS, ids=lambda value: value if " " not in value else ""
)
def test_bibtex_errors_name_the_entry(name: str, bib: str, where: str, words: str, tmp_path: Path) -> None:
    files = {"main.tex": document(f"\\citep{{a}}\\citep{{vaswani2017}}\n{BIB}", CITING), "references.bib": bib}
    with pytest.raises(TexError) as caught:
        compiled(tmp_path, files)
    told(caught.value, where, re.escape(words))


@pytest.mark.parametrize(("name", "source", "where", "words", "hint"), JINJA_FAULTS, ids=lambda value: value[:20])
def test_jinja_errors_name_the_line(name: str, source: str, where: str, words: str, hint: str, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"main.tex": document("\\input{sections/x}"), "sections/x.tex.j2": source}
    context = {"title": "T", "loss": 0.1, "nothing": None, "paper": {"title": "T"}}
    with pytest.raises(PapergenError) as caught:
        render_tree(make_tree(tmp_path / "p", files), tmp_path / "p/build/tex", context, {})
    assert str(caught.value).startswith(where + ":")
    assert words in str(caught.value)
    assert hint in str(caught.value)


@pytest.mark.tex
def test_errors_in_rendered_lines_name_the_template(tmp_path: Path) -> None:
    template = "\\BLOCK{for name in names}\nName \\VAR{name}.\n\\BLOCK{endfor}\n\nBad \\foo here.\n"
    files: dict[str, str | bytes] = {"main.tex": document("\\input{sections/x}"), "sections/x.tex.j2": template}
    project = make_tree(tmp_path / "p", files)
    rendered = render_tree(project, project / "build/tex", {"names": ["a", "b", "c"]}, {})
    with pytest.raises(TexError) as caught:
        compile_tree(
            rendered.tree,
            rendered.main,
            engine=find_engine("pdflatex"),
            output=tmp_path / "x.pdf",
            line_map=rendered.line_map,
        )
    assert "Bad \\foo here." in told(caught.value, "sections/x.tex.j2:5", r"\\foo")


@pytest.mark.tex
def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(TexError) as caught:
        compiled(tmp_path, main("\\foo\n\nA & B\n\n\\caption{x}\n\n\\baz"))
    assert [problem.place.line for problem in caught.value.problems] == [5, 7, 9, 11]


@pytest.mark.tex
def test_lost_characters_are_errors_in_xelatex(tmp_path: Path) -> None:
    with pytest.raises(TexError) as caught:
        compiled(tmp_path, {"main.tex": document("good\n\nbad 你 here", engine="xelatex")}, engine="xelatex")
    told(caught.value, "main.tex:6", "Missing character.*你")


@pytest.mark.tex
def test_overfull_boxes_are_findings_not_errors(tmp_path: Path) -> None:
    files = {
        "main.tex": document("\\input{sections/wide}"),
        "sections/wide.tex": "(a)\n\n\\noindent\\rule{500pt}{1pt}\n",
    }
    done = compiled(tmp_path, files)
    boxes = [problem for problem in done.warnings if problem.code is Code.OVERFULL]
    assert [(box.place.file, box.place.line) for box in boxes] == [("sections/wide.tex", 3)]
    assert boxes[0].size_pt == pytest.approx(155, abs=1)


def test_a_bitmap_font_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    log = (
        "!pdfTeX error: pdflatex (file ecrm0900): Font ecrm0900 at 600 not found\n ==> Fatal error occurred, no output"
    )
    problems = read_log(log, SourceTree(make_tree(tmp_path, main("x"))))
    assert "Font ecrm0900 at 600 not found" in problems[0].message
    assert "cm-super" in problems[0].remedy


def test_a_reference_that_no_source_names_is_told_without_a_place(tmp_path: Path) -> None:
    log = "LaTeX Warning: Reference `LastBibItem' on page 1 undefined on input line 9.\n"
    problems = read_log(log, SourceTree(make_tree(tmp_path, main("x"))))
    assert str(problems[0]).startswith("undefined reference LastBibItem\n")
    assert "the class, a package or a macro" in problems[0].cause
