r"""The generated `papergen-results.tex`: what `\result{key}` and `\result[format]{key}` print.

The skeleton inputs it in the preamble. `\result` is expandable, so it works in captions, titles, footnotes, tables
and PDF bookmarks, and the tree compiles without papergen. A key that the file does not define is a TeX error (an
undefined control sequence named `\PapergenUnknownResult`), never "??"; in draft mode it prints in a red box instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

RESULTS_FILE = "papergen-results.tex"
KEY = re.compile(r"""[\w/.\-@+*,()\[\]"= ]+""")
FORMAT = re.compile(r"[^\\{}%#\[\]~$&^\n]*")

HEAD = r"""% Written by papergen build-pdf from the results: edits here are lost at the next build.
\makeatletter
\ifdefined\pdftexversion\DeclareTextSymbol{\textasciigrave}{T1}{0}\fi  % TS1 of Times has none, and T1 has
\ifdefined\NewExpandableDocumentCommand\else\RequirePackage{xparse}\fi
\long\def\papergen@def#1#2#3{\expandafter\gdef\csname papergen@\detokenize{#1}@\detokenize{#2}\endcsname{#3}}
\NewExpandableDocumentCommand{\result}{O{}m}{%
  \ifcsname papergen@\detokenize{#2}@\detokenize{#1}\endcsname
    \expandafter\@firstoftwo\else\expandafter\@secondoftwo\fi
  {\csname papergen@\detokenize{#2}@\detokenize{#1}\endcsname}{\UNKNOWN}}
"""

SIGN_MACROS = r"""\DeclareRobustCommand{\papergenminus}{\ensuremath{-}}
\DeclareRobustCommand{\papergenpm}{\,\ensuremath{\pm}\,}
\DeclareRobustCommand{\papergenpower}[1]{\,\ensuremath{\times\,10^{#1}}}
\AtBeginDocument{\ifdefined\pdfstringdefDisableCommands\pdfstringdefDisableCommands{%
  \def\papergenminus{-}\def\papergenpm{ \textpm\space}\def\papergenpower#1{e#1}}\fi}
"""
"""What the preamble must define: signs that stand in text, in formulas and in PDF bookmarks."""

UNKNOWN = {False: r"\PapergenUnknownResult{\detokenize{#2}}", True: r"\papergenmissing{#2}"}

LINK_MACROS = r"""\DeclareRobustCommand{\papergenlink}[2]{\ifmmode#2\else\ifdefined\hyperlink
  \begingroup\hypersetup{pdfborder={0 0 0}}%
  \expandafter\def\csname Hy@colorlink\endcsname##1{\begingroup}%
  \expandafter\def\csname Hy@endcolorlink\endcsname{\endgroup}%
  \hyperlink{papergen-run-#1}{#2}\endgroup\else#2\fi\fi}
\AtBeginDocument{\ifdefined\pdfstringdefDisableCommands\pdfstringdefDisableCommands{\def\papergenlink#1#2{#2}}\fi}
"""
"""Numbers that link to the row of their run, when paper.yaml asks for it; they look like any other text."""

LONGROWS = r"""% \begin{longrows}{\caption{...}\label{...}} \input{tables/...} \end{longrows}: a long table.
% It goes on in the next column or page, below the same head. \continuedname is what its number says there.
\ifdefined\longrows\else
\providecommand{\continuedname}{(continued)}
\newbox\papergen@caption \newbox\papergen@head \newbox\papergen@rows \newbox\papergen@piece \newbox\papergen@rest
\newdimen\papergen@room \newcount\papergen@before \newcount\papergen@part
\def\papergen@nogroup{\relax}
\newenvironment{longrows}[1]{\par\addvspace{\intextsep}\small\parindent0pt\papergen@before\value{table}%
  \ifdefined\captionsetup\captionsetup{hypcap=false}\fi
  \setbox\papergen@caption\vbox{\hsize\linewidth\def\@captype{table}#1}%
  \def\longrowscut{\penalty-\@M}\def\longrowsgroup##1{\mark{\unexpanded{##1}}}%
  \setbox\papergen@rows\vbox\bgroup}{\par\egroup
  \vbadness\@M\vfuzz\maxdimen\splittopskip\z@skip\splitmaxdepth\maxdimen
  \setbox\papergen@head\vsplit\papergen@rows to\maxdimen
  \setbox\papergen@head\vbox{\unvbox\papergen@head}\let\papergen@group\papergen@nogroup
  \ifinner\papergen@put\papergen@rows\else
    \if@nobreak\nobreak\else\penalty-100\fi\papergen@cut\fi
  \par\addvspace{\intextsep}}
% What of \papergen@rows this column or page holds is put there, and the same for the rest.
\def\papergen@cut{%
  \papergen@room\ifdim\pagegoal=\maxdimen\vsize\else\dimexpr\pagegoal-\pagetotal-\pagedepth\relax\fi
  \advance\papergen@room-\dimexpr\ht\papergen@caption+\dp\papergen@caption+\ht\papergen@head+\dp\papergen@head+3pt\relax
  \ifx\papergen@group\papergen@nogroup\else\advance\papergen@room-\baselineskip\fi
  \let\papergen@next\papergen@last
  \ifdim\dimexpr\ht\papergen@rows+\dp\papergen@rows>\papergen@room
    \advance\papergen@room-1ex
    \papergen@take\papergen@room
    \ifdim\ht\papergen@rest<3\baselineskip  % no lonely row in the next column
      \papergen@take{\dimexpr\papergen@room-3\baselineskip+\ht\papergen@rest}\fi
    \let\papergen@next\papergen@more
    \ifdim\pagegoal=\maxdimen\else  % few rows, or a short table: it begins in the next column
      \ifdim\ht\papergen@piece<5\baselineskip\let\papergen@next\papergen@later\fi
      \ifdim\ht\papergen@piece>\papergen@room\let\papergen@next\papergen@later\fi
      \ifdim\ht\papergen@rows<.25\vsize\let\papergen@next\papergen@later\fi
    \fi
  \fi
  \papergen@next}
\def\papergen@take#1{\setbox\papergen@rest\copy\papergen@rows
  \setbox\papergen@piece\vsplit\papergen@rest to#1\relax \setbox\papergen@piece\vbox{\unvbox\papergen@piece}}
\def\papergen@later{\newpage\papergen@cut}
\def\papergen@last{\papergen@put\papergen@rows}
\def\papergen@more{%
  \edef\papergen@mark{\unexpanded\expandafter{\splitbotmark}}%
  \setbox\papergen@rows\box\papergen@rest
  \papergen@put{\papergen@piece\nobreak\vskip.4ex\hrule height.05em}%
  \newpage
  \ifdefined\nobalance\global\let\balance\nobalance\fi  % acmart evens out the last columns, which cuts the pieces
  \ifx\papergen@mark\@empty\else\let\papergen@group\papergen@mark\fi
  \ifnum\papergen@before=\value{table}\else \global\advance\papergen@part\@ne
    \setbox\papergen@caption\vbox{\hsize\linewidth\def\@captype{table}\def\addcontentsline##1##2##3{}%
      \def\theHtable{longrows.\the\papergen@part}\addtocounter{table}{-1}\caption[]{\continuedname}}\fi
  \papergen@cut}
\def\papergen@put#1{\vbox{\offinterlineskip
  \ifvoid\papergen@caption\else\copy\papergen@caption\vskip2pt\fi \copy\papergen@head
  \ifx\papergen@group\papergen@nogroup\else\hbox{\papergen@group\ \continuedname}\fi
  \box#1}}
\fi
"""
r"""The environment `longrows`: a long table's rows cut into as many pieces as there are columns or pages.

No float and no `tabular` goes on in the next column. The rows are gathered in a box, and `\vsplit` takes off what the
column still holds; each further piece has the number, the head and the group of rows again. Built on what every class
keeps from plain TeX (`\pagegoal`, `\vsize`), so that it is the same in all of them.
"""

TAIL = r"""\DeclareExpandableDocumentCommand{\claim}{+O{}+m}{#2}
\NewExpandableDocumentCommand{\says}{O{}m}{#2}
\NewExpandableDocumentCommand{\claimed}{m}{\result[text]{claim #1}}
\providecommand{\typed}[1]{#1}
\DeclareRobustCommand{\papergenmissing}[1]{\begingroup\fboxsep=1pt
  \ifdefined\fcolorbox\fcolorbox{red}{white}{\textcolor{red}{\ttfamily\detokenize{#1}}}%
  \else\fbox{\ttfamily\detokenize{#1}}\fi\endgroup}
\DeclareRobustCommand{\papergenstale}[1]{\ifdefined\textcolor\textcolor{red}{#1}\else\fbox{#1}\fi}
\AtBeginDocument{\ifdefined\pdfstringdefDisableCommands\pdfstringdefDisableCommands{%
  \def\papergenmissing#1{\detokenize{#1}}\def\papergenstale#1{#1}}\fi}
\makeatother
\endinput
"""


def results_tex(values: Mapping[str, Mapping[str, str]], *, draft: bool = False, packages: Iterable[str] = ()) -> str:
    r"""The text of `papergen-results.tex` for key -> {format name -> TeX}; the format name "" is the default.

    Keys are letters, digits, spaces and `/ _ . - @ + * , ( ) [ ] = "`; the TeX must be complete (balanced,
    no comment), which is asserted. With `draft`, an unknown key prints visibly marked, and `\papergenstale{...}` marks
    a value that is out of date. `packages` are lines that load what the tables and figures need.
    """
    lines = [HEAD.replace(r"\UNKNOWN", UNKNOWN[draft]), *(f"{line}\n" for line in packages)]
    for key in sorted(values):
        assert KEY.fullmatch(key), f"{key!r} cannot be a key of \\result"
        for name, tex in sorted(values[key].items()):
            assert FORMAT.fullmatch(name), f"{name!r} cannot be a format of \\result"
            assert is_complete(tex), f"the TeX of {key} is not complete: {tex!r}"
            lines.append(f"\\papergen@def{{{key}}}{{{name}}}{{{tex}}}%\n")
    links = LINK_MACROS if r"\papergenlink" in "".join(lines) else ""
    return "".join([*lines, SIGN_MACROS, links, LONGROWS, TAIL])


def package_lines(results: str) -> list[str]:
    """The lines of a written `papergen-results.tex` that load packages."""
    return [line for line in results.splitlines() if line.startswith(r"\@ifpackageloaded")]


def is_complete(tex: str) -> bool:
    """Whether TeX can stand as a macro's body: braces balance, and no `%` or `#` outside an escape."""
    plain = re.sub(r"\\.", "", tex, flags=re.DOTALL)
    depth = 0
    for char in plain:
        depth += (char == "{") - (char == "}")
        if depth < 0 or char in "%#":
            return False
    return depth == 0 and not plain.endswith("\\")
