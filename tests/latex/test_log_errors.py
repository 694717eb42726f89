"""The errors in a log of TeX: each once, at its true place, without those that only follow from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from papergen.latex.log.errors import tex_errors
from papergen.latex.problems import Code, Problem
from papergen.latex.tree import SourceTree

MAIN = r"""\documentclass{article}\begin{document}
\begin{center}
\begin{teh}
a & b \\
\end{teh}
last
\end{document}
"""
UNDEFINED = "./main.tex:3: LaTeX Error: Environment teh undefined.\n\nl.3 \\begin{teh}\n"


def errors(log: str, main: str = MAIN) -> list[Problem]:
    return tex_errors(log, SourceTree(Path("nowhere"), contents={"main.tex": main.encode()}))


def test_an_error_has_its_place_and_line() -> None:
    [found] = errors("./main.tex:6: Undefined control sequence.\nl.6 \\nosuch\n               more\n")
    assert (found.code, found.place.file, found.place.line) == (Code.TEX, "main.tex", 6)
    assert found.message == "Undefined control sequence \\nosuch"
    assert found.is_error


def test_a_key_that_no_result_has_is_told_as_such() -> None:
    [found] = errors("./main.tex:6: Undefined control sequence.\n<argument> \\PapergenUnknownResult\nl.6 \\result{a}\n")
    assert found.code is Code.UNKNOWN_RESULT


@pytest.mark.parametrize(
    "second",
    [
        "./main.tex:4: Misplaced alignment tab character &.\nl.4 a &\n",
        "./main.tex:5: LaTeX Error: \\begin{center} on input line 2 ended by \\end{teh}.\n\nl.5 \\end{teh}\n",
        "./main.tex:5: LaTeX Error: \\begin{document} ended by \\end{teh}.\n\nl.5 \\end{teh}\n",
        "./main.tex:3: Something else on the same line.\nl.3 \\begin{teh}\n",
        "./main.tex:7: Missing $ inserted.\nl.7 \\end{document}\n",
        "./main.tex:7: Emergency stop.\nl.7 \\end{document}\n",
    ],
)
def test_what_follows_from_an_unknown_environment_is_not_told(second: str) -> None:
    assert [found.message for found in errors(UNDEFINED + second)] == ["Environment teh undefined."]


def test_another_fault_far_from_the_first_is_told() -> None:
    found = errors(UNDEFINED + "./main.tex:6: Undefined control sequence.\nl.6 last\\nosuch\n")
    assert [problem.place.line for problem in found] == [3, 6]


def test_floats_without_a_place_are_told_once() -> None:
    floats = "./main.tex:{}: LaTeX Error: Too many unprocessed floats.\n\nl.{} x\n"
    log = (
        floats.format(4, 4) + floats.format(6, 6) + "./main.tex:6: Output loop---100 consecutive dead cycles.\nl.6 x\n"
    )
    assert [problem.place.line for problem in errors(log)] == [4]


def test_the_last_words_of_tex_are_told_when_nothing_else_was() -> None:
    assert [problem.message for problem in errors("! Emergency stop.\n<*> main.tex\n")] == ["Emergency stop."]
