"""Braces, environments and formulas that do not pair, and what LaTeX does not allow where it stands, by their codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from papergen.latex.lint.lint import lint_tree
from papergen.latex.lint.structure import misplaced, unbalanced
from papergen.latex.problems import Code
from papergen.latex.tree import SourceTree


def tree_of(**texts: str) -> SourceTree:
    return SourceTree(Path("nowhere"), contents={f"{name}.tex": text.encode() for name, text in texts.items()})


@pytest.mark.parametrize(
    ("text", "code", "at", "about"),
    [
        ("a {b", Code.UNCLOSED_BRACE, (1, 3), ""),
        ("a\nb} c", Code.STRAY_BRACE, (2, 2), ""),
        ("{\\begin{quote}}", Code.UNCLOSED_ENVIRONMENT, (1, 2), "quote"),
        ("\\begin{quote}", Code.UNCLOSED_ENVIRONMENT, (1, 1), "quote"),
        ("x \\end{quote}", Code.STRAY_END, (1, 3), "quote"),
        ("\\begin{quote}\n\\end{qoute}", Code.STRAY_END, (2, 1), ""),
        ("costs $5\n\nnext", Code.ODD_DOLLARS, (1, 7), ""),
        ("$$x\n\nnext", Code.ODD_DOLLARS, (1, 1), ""),
    ],
)
def test_what_does_not_pair_is_told_where_it_opened(text: str, code: Code, at: tuple[int, int], about: str) -> None:
    [found] = unbalanced(tree_of(main=text), "main.tex")
    assert (found.code, (found.place.line, found.place.column), found.about) == (code, at, about)


@pytest.mark.parametrize(
    "text", ["\\newcommand{\\open}{\\begin{quote}}", "\\{ \\} \\$", "% {", "\\verb|{|", "$a$ $$b$$", "{\\bf a}"]
)
def test_what_pairs_for_tex_is_no_fault(text: str) -> None:
    assert unbalanced(tree_of(main=text), "main.tex") == []


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("\\section{a \\verb|b|}", 12),
        ("\\caption[s]{a \\caption{b}}", 15),
        ("\\begin{itemize}text", 16),
    ],
)
def test_what_is_not_allowed_there_is_told_at_its_column(text: str, column: int) -> None:
    [found] = misplaced(tree_of(main=text), "main.tex")
    assert (found.code, found.place.column) == (Code.MISPLACED, column)


def test_an_environment_may_begin_in_one_file_and_end_in_another() -> None:
    main = "\\documentclass{article}\\begin{document}\\begin{quote}\\input{a}\\end{document}"
    sound = tree_of(main=main, a="x\\end{quote}")
    assert lint_tree(sound, "main.tex", engine="pdflatex") == []
    twice = tree_of(main=main, a="x\\end{quote}\\end{quote}")
    codes = {problem.code for problem in lint_tree(twice, "main.tex", engine="pdflatex")}
    assert codes == {Code.UNCLOSED_ENVIRONMENT, Code.STRAY_END}
