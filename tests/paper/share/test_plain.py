"""What is taken out of sources and what is put in, without a change of what TeX sees."""

from __future__ import annotations

import pytest

from papergen.paper.share.plain import (
    one_file,
    opaque_environments,
    redefines_percent,
    standing_macros,
    uses_our_macros,
    with_numbers,
    without_comments,
)

COMMENTS = {
    "a line of its own goes": ("a\n  % secret\nb\n", "a\nb\n"),
    "behind text the bare sign stays, because it eats the line's end": ("a% secret\nb\n", "a%\nb\n"),
    "an escaped sign is no comment": (r"5\% of a" + "\n", r"5\% of a" + "\n"),
    "a line break before a comment": ("a \\\\% secret\nb", "a \\\\%\nb"),
    "in an address": (r"\url{a%20b} \href{c%d}{e}% secret", r"\url{a%20b} \href{c%d}{e}%"),
    "in an address between bars": (r"\url|a%20b|", r"\url|a%20b|"),
    "in verbatim text": (
        "\\verb|%| x\n\\begin{verbatim}\n% stays\n\\end{verbatim}\n% goes\n",
        "\\verb|%| x\n\\begin{verbatim}\n% stays\n\\end{verbatim}\n",
    ),
    "what is switched off": ("a\\iffalse secret \\fi b", "a\\iffalse\\fi b"),
    "a branch that is printed stays": ("\\iffalse a\\else b\\fi", "\\iffalse a\\else b\\fi"),
    "the comment environment": ("\\begin{comment}\nsecret\n\\end{comment}", "\\begin{comment}\n\\end{comment}"),
    "behind the end": ("\\end{document}\nsecret", "\\end{document}\n"),
    "two lines of comments": ("a\n% x\n% y\n\nb", "a\n\nb"),
    "the last line": ("a\n% x", "a\n"),
}


@pytest.mark.parametrize(("source", "clean"), COMMENTS.values(), ids=COMMENTS)
def test_comments_go_and_text_stays(source: str, clean: str) -> None:
    assert without_comments(source) == clean


def test_environments_that_the_author_defines_are_taken_as_they_stand() -> None:
    preamble = "\\lstnewenvironment{code}{}{}\n\\newminted{python}{}\n\\DefineVerbatimEnvironment{out}{Verbatim}{}"
    opaque = opaque_environments([preamble])
    assert {"code", "pythoncode", "out", "verbatim"} <= opaque
    source = "\\begin{code}\nx % y\n\\end{code}% z"
    assert without_comments(source, opaque=opaque) == "\\begin{code}\nx % y\n\\end{code}%"


@pytest.mark.parametrize("source", [r"\catcode`\%=12", r"\catcode`\%12 ", r"\MakeShortVerb{\|}", r"\@makeother\%"])
def test_a_new_meaning_of_the_sign_is_seen(source: str) -> None:
    assert redefines_percent(source)


@pytest.mark.parametrize("source", [r"\catcode`\%=14", r"5\% of \catcode`\@=11", r"% \catcode`\%=12"])
def test_the_usual_meaning_is_left_alone(source: str) -> None:
    assert not redefines_percent(source)


VALUES = {
    "a/b/c": {"": "12", "pm": r"12\papergenpm{}3"},
    "a/b/name": {"": "AMD"},
    "claim best": {"text": r"It is \result{a/b/c}."},
}
NUMBERS = {
    r"x \result{a/b/c}.": "x 12.",
    r"\result[pm]{a/b/c}": r"12\papergenpm{}3",
    r"\result{ a/b/c }": "12",
    r"\noindent\result{a/b/name}": r"\noindent AMD",
    r"\claim[a/b/c > 1]{It is \result{a/b/c}} so": "It is 12 so",
    r"\noindent\claim{Text}": r"\noindent Text",
    r"\result{unknown/key/x}": r"\result{unknown/key/x}",
    r"\newcommand{\r}[1]{\result{#1}}": r"\newcommand{\r}[1]{\result{#1}}",
    r"\verb|\result{a/b/c}|": r"\verb|\result{a/b/c}|",
    r"\claimed{best}": "It is 12.",
    r"\says[a, b]{twice as fast} \typed{5}": "twice as fast 5",
    r"\resultant{a/b/c}": r"\resultant{a/b/c}",
}


@pytest.mark.parametrize(("source", "plain"), NUMBERS.items())
def test_results_become_numbers(source: str, plain: str) -> None:
    assert with_numbers(source, VALUES) == plain


def test_what_a_macro_makes_is_noticed() -> None:
    assert uses_our_macros([r"\newcommand{\r}[1]{\result{#1}}"])
    assert not uses_our_macros([r"% \result{a}", r"\verb|\claim|"])


def test_one_file_holds_all() -> None:
    texts = {
        "main.tex": "\\input{a} end\n\\include{sub/b}\n\\input{unknown}\n% \\input{a}\n\\input a\n",
        "a.tex": "A% comment\n",
        "sub/b.tex": "B\\input{a}\n",
    }
    flat = one_file(texts, "main.tex")
    assert flat.startswith("A% comment\n end\n\\clearpage\nBA% comment\n\\clearpage\n\\input{unknown}")
    assert flat.endswith("% \\input{a}\nA% comment\n")


def test_a_file_that_takes_itself_in_ends() -> None:
    assert one_file({"main.tex": "a \\input{main}"}, "main.tex") == "a \\input{main}"


def test_packages_of_pylatex_objects_are_left_in_the_preamble() -> None:
    line = r"\@ifpackageloaded{multirow}{}{\usepackage{multirow}}"
    left = standing_macros("text", f"\\makeatletter\n{line}\n")
    assert left == f"\\makeatletter\n{line}\n\\makeatother\n"
    assert standing_macros("text", "") == ""
