"""The reader of TeX sources finds every use, at its line and column, and nothing in comments or verbatim text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papergen.latex.sources import group, masked, scan

SOURCE = r"""\documentclass[a4paper]{article}
% \cite{no} \result{no}
\usepackage[a, b]{natbib, graphicx}
\newcommand{\mycite}[1]{\cite{#1}}\newcommand{\cite}{x}
A \cite[p.~3][x]{a, b,
  c} 50\% \result[ci]{x/y_1} \verb|\cite{z}| \citep*{d} \nocite{*} \url{a%b}\ref{fig:a}
\begin{verbatim}
\cite{v}
\end{verbatim}
\iffalse \ifx a \fi \cite{w}\fi \lstinline[x=y]!\ref{q}!
\claim[a < b]{it \emph{is} \result{q}}\\% \cite{n2}
\includegraphics[width=\linewidth]{figures/a b.pdf} \input{sections/x} \bibliography{references}
\Citet{e}\autoref{tab:1}\label{tab:1}\citestyle{nature}\result{解码/核}
\end{document} \cite{zz}
"""


def test_every_use_is_found() -> None:
    found = [(use.kind, use.argument, use.line, use.column) for use in scan(SOURCE, "a.tex")]
    assert found == [
        ("class", "article", 1, 25),
        ("package", "natbib", 3, 19),
        ("package", "graphicx", 3, 27),
        ("cite", "a", 5, 18),
        ("cite", "b", 5, 21),
        ("cite", "c", 6, 3),
        ("result", "x/y_1", 6, 23),
        ("cite", "d", 6, 54),
        ("cite", "*", 6, 65),
        ("ref", "fig:a", 6, 82),
        ("claim", r"it \emph{is} \result{q}", 11, 15),
        ("result", "q", 11, 36),
        ("figure", "figures/a b.pdf", 12, 36),
        ("input", "sections/x", 12, 60),
        ("bibliography", "references", 12, 86),
        ("cite", "e", 13, 8),
        ("ref", "tab:1", 13, 19),
        ("label", "tab:1", 13, 32),
        ("result", "解码/核", 13, 64),
    ]


def test_options_are_kept() -> None:
    options = {use.argument: use.option for use in scan(SOURCE, "a.tex")}
    assert options["x/y_1"] == "ci"
    assert options["a"] == "p.~3"
    assert options[r"it \emph{is} \result{q}"] == "a < b"


@given(st.text(alphabet="\\%{}[]$ab \n|verbifalsecitend", max_size=60))
def test_masking_keeps_every_position(text: str) -> None:
    plain = masked(text)
    assert len(plain) == len(text)
    assert [i for i, char in enumerate(plain) if char == "\n"] == [i for i, char in enumerate(text) if char == "\n"]
    list(scan(text, "x"))


@pytest.mark.parametrize(
    ("text", "pair", "argument"),
    [
        ("{a{b}c}", "{}", "a{b}c"),
        (" \n {a}", "{}", "a"),
        (r"{a\}b}", "{}", r"a\}b"),
        ("[a{]}b]", "[]", "a{]}b"),
        ("[a[b]c]", "[]", "a[b]c"),
        ("x{a}", "{}", None),
        ("{a", "{}", None),
    ],
)
def test_arguments(text: str, pair: str, argument: str | None) -> None:
    found = group(text, 0, pair)
    assert (found[0] if found else None) == argument
