"""The linter tells what is wrong before TeX runs, and is silent about papers that are right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from texlab import document, make_tree

from papergen.latex.lint.lint import lint_tree
from papergen.latex.macros import results_tex
from papergen.latex.problems import Place, Problem, TexError
from papergen.latex.text import Engine
from papergen.latex.tree import SourceTree


def told(folder: Path, files: dict[str, str | bytes], engine: Engine = "pdflatex") -> list[str]:
    problems = lint_tree(SourceTree(make_tree(folder, files)), "main.tex", engine=engine, result_keys={"a/b"})
    return [
        f"{problem.place.file}:{problem.place.line}:{problem.place.column}: {problem.message}" for problem in problems
    ]


RIGHT = [
    r"\newenvironment{x}{\begin{center}}{\end{center}} \begin{x}a\end{x}",
    r"\newcommand\open{\begin{center}}\newcommand{\close}{\end{center}}",
    r"\def\open#1{\begin{#1}} \let\x\{ \verb|}| \{ \} \$ \%",
    "\\begin{verbatim}\n} $ \\end{x} \\cite{no}\n\\end{verbatim}",
    r"$$x$$ and $a$ \(b\) and cost \$5 % } $ \begin{x}",
    r"\section{A}\label{a}\ref{a} \autoref{b} \begin{lstlisting}[label={b},caption=C]" + "\n$}\n\\end{lstlisting}",
    "naïve café “quotes” – — … € Łódź µ ©",
    r"\iffalse \begin{x} \result{no} } \fi",
    r"\newcommand{\r}[1]{\result{#1}} \result{a/b}",
    r"\begin{tabular}{>{$}l<{$}}x\end{tabular}",
    r"\input{glyphtounicode}\pdfgentounicode=1",
    r"\nocite{*}",
]


@pytest.mark.tex
@pytest.mark.parametrize("body", RIGHT)
def test_right_papers_pass(body: str, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "main.tex": document(body, "\\input{papergen-results}\n"),
        "papergen-results.tex": results_tex({}),
    }
    assert told(tmp_path, files) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("a {b", "main.tex:5:3: this { is never closed"),
        ("\\begin{a}\n{\n\\end{a}", "main.tex:6:1: this { is never closed"),
        ("\\begin{a}\n\\begin{b}\n\\end{a}", "main.tex:6:1: \\begin{b} is never closed"),
        ("\\begin{itemize}\n\\end{itemise}", "main.tex:6:1: \\end{itemise} closes \\begin{itemize} of line 5"),
        ("\\end{a}", "main.tex:5:1: \\end{a} has no \\begin{a}"),
        ("\\textbf{50% more}\nx", "main.tex:5:8: this { is never closed"),
        ("a\u200bb", "main.tex:5:2: pdflatex cannot print U+200B"),
        ("a\x1b", "main.tex:5:2: pdflatex cannot print U+001B"),
        ("\\verb|你|", "main.tex:5:7: pdflatex cannot print 你 (U+4F60)"),
        ("≤", "main.tex:5:1: pdflatex cannot print ≤ (U+2264)"),
        ("\\bibliography{refs}", "main.tex:5:15: there is no bibliography refs.bib"),
        ("\\result{a/c}", "main.tex:5:9: there is no result a/c"),
    ],
)
def test_faults(body: str, message: str, tmp_path: Path) -> None:
    assert message in told(tmp_path, {"main.tex": document(body)})


def test_problems_come_in_reading_order(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "main.tex": document("\\input{z}\n\\input{a}\n\\ref{no}"),
        "z.tex": "\\ref{z2}\n\\input{m}",
        "m.tex": "\\ref{m1}",
        "a.tex": "\\ref{a1}",
        "unused.tex": "\\ref{u} {",
    }
    assert [line.split(":")[0] for line in told(tmp_path, files)] == ["main.tex", "z.tex", "m.tex", "a.tex"]


@pytest.mark.parametrize(
    "more",
    [
        "\\usepackage[T2A,T1]{fontenc}\n",
        "\\usepackage{CJKutf8}\n",
        "\\newunicodechar{你}{N}\n",
        "\\DeclareUnicodeCharacter{4F60}{N}\n",
    ],
)
def test_declared_characters_are_left_to_tex(more: str, tmp_path: Path) -> None:
    assert told(tmp_path, {"main.tex": document("你", more)}) == []


def test_xelatex_prints_what_its_font_has(tmp_path: Path) -> None:
    assert told(tmp_path / "a", {"main.tex": document("你 ≤ 😀", engine="xelatex")}, "xelatex") == []
    assert told(tmp_path / "b", {"main.tex": document("a\x07", engine="xelatex")}, "xelatex") != []


def test_the_nearest_names_are_offered(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "main.tex": document("\\label{tab:quality}\\ref{tab:qualty}\\includegraphics{figures/los}\\result{a/d}"),
        "figures/loss.pdf": b"x",
    }
    problems = lint_tree(SourceTree(make_tree(tmp_path, files)), "main.tex", engine="pdflatex", result_keys={"a/b"})
    remedies = " ".join(problem.remedy for problem in problems)
    for name in ("tab:quality", "figures/loss", "a/b"):
        assert f"Did you mean {name}?" in remedies


def test_graphicspath_is_honoured(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "main.tex": document("\\includegraphics{loss}", "\\graphicspath{{figures/}{./more/}}\n"),
        "more/loss.png": b"\x89PNG",
    }
    assert told(tmp_path, files) == []


def test_what_is_wrong_in_several_places_is_said_once() -> None:
    place = Place("sections/a.tex", 3)
    stale = [
        Problem("error", "x is stale.", place=replace(place, line=line), remedy="Run it.") for line in (3, 3, 4, 9)
    ]
    other = Problem("error", "y is unknown.", place=replace(place, line=5))
    assert str(TexError([*stale[:2], other, *stale[2:]])).splitlines() == [
        "5 problems in the paper:",
        "sections/a.tex:3: x is stale.",
        "  Run it.",
        "  The same at sections/a.tex:3, sections/a.tex:4, sections/a.tex:9.",
        "sections/a.tex:5: y is unknown.",
    ]


def test_the_mark_stands_under_the_sign_behind_chinese_text() -> None:
    problem = Problem("error", "x", place=Place("a.tex", 1, 4), excerpt="中文字\\foo")
    assert str(problem).splitlines()[1:] == ["    中文字\\foo", "    " + " " * 6 + "^"]
