r"""The environment `longrows`: a long table's rows cut into as many pieces as there are columns or pages.

No float and no `tabular` goes on in the next column. The rows are gathered in a box, and `\vsplit` takes off what the
column still holds; each further piece has the number, the head and the group of rows again. Built on what every class
keeps from plain TeX (`\pagegoal`, `\vsize`), so that it is the same in all of them.
"""

from __future__ import annotations

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
