"""What TeX's messages mean: each pattern of the table has the message of TeX that it is for."""

from __future__ import annotations

import pytest

from papergen.latex.log.explain import BROUGHT_BY, TABLE, explain, explain_undefined

MESSAGES = (
    "Missing $ inserted.",
    "Misplaced alignment tab character &.",
    "Extra alignment tab has been changed to \\cr.",
    "Too many }'s.",
    "Illegal parameter number in definition of \\x.",
    "File ended while scanning use of \\footnote.",
    "Argument of \\@caption has an extra }.",
    "You can't use `\\eqno' in math mode.",
    "Output loop---100 consecutive dead cycles.",
    "\\begin{itemize} on input line 12 ended by \\end{document}.",
    "Environment qwzx undefined.",
    "File `nosuch.sty' not found.",
    "File `sections/nosuch.tex' not found.",
    "Unicode character ☃ (U+2603) not set up for use with LaTeX.",
    "Missing character: There is no 喆 in font FandolSong!",
    "Double superscript.",
    "\\caption outside float.",
    "Lonely \\item--perhaps a missing list environment.",
    "Something's wrong--perhaps a missing \\item.",
    "(job aborted, no legal \\end found)",
    "Font ecrm1000 at 600 not found",
    "Not writing to /tmp/x (openout_any = p).",
    "TeX capacity exceeded, sorry [input stack size=5000].",
    "There's no line here to end.",
    "Option clash for package xcolor.",
    "Unknown option `colour' for package `xcolor'.",
    "Command \\result already defined.",
    "Bad math environment delimiter.",
    "Missing number, treated as zero.",
    "Missing } inserted.",
    "Can be used only in preamble.",
    "Command \\nosuch undefined.",
    "Undefined color `blu'.",
    "Illegal pream-token (x): `c' used.",
    "Misplaced \\noalign.",
    "Misplaced \\omit.",
    "Not in outer par mode.",
    "Too many unprocessed floats.",
    "Unknown graphics extension: .tiff.",
    "Reading image file failed: libpng error",
    "TeX capacity exceeded, sorry [text input levels=15].",
    "Missing \\begin{document}.",
    "No counter 'nosuch' defined.",
    "No \\title given.",
    "Extra \\fi.",
    "Dimension too large.",
    "unknown option colour",
    "No pages of output.",
)


def test_every_pattern_of_the_table_explains_a_message_of_tex() -> None:
    explained = {explain(message) for message in MESSAGES}
    for pattern, cause, remedy in TABLE:
        assert any(one.cause == f"Usual cause: {cause}" and one.remedy == remedy for one in explained), pattern


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_has_a_cause_and_what_to_do(message: str) -> None:
    found = explain(message)
    assert found.cause.startswith("Usual cause: ")
    assert found.remedy.endswith((".", ")."))


def test_a_message_that_is_not_known_is_left_alone() -> None:
    assert explain("Something entirely new.").cause == ""


def test_an_environment_of_a_package_names_the_package() -> None:
    assert "amsmath" in explain("Environment align undefined.").cause
    assert explain("Environment figrue undefined.").remedy == "Did you mean figure?"


def test_a_command_is_that_of_a_package_or_a_misspelt_one() -> None:
    assert BROUGHT_BY["toprule"] == "booktabs"
    assert explain_undefined(r"\toprule", set()).remedy == r"Write \usepackage{booktabs}."
    assert r"\emph?" in explain_undefined(r"\emhp", set()).remedy
    assert r"\mymodel?" in explain_undefined(r"\mymodle", {"mymodel"}).remedy
