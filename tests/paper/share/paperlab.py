"""A small paper whose experiments need no torch: finished results written straight into its store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fakes import make_project
from made import make_provenance

from papergen.core.files import write_json
from papergen.experiment.project import open_project
from papergen.store.records import Trial

MAIN = r"""% A comment of the author: reviewer 2 is wrong.
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{mathptmx}
\renewcommand{\ttdefault}{txtt}
\usepackage{graphicx}
\usepackage{booktabs}
\usepackage[colorlinks]{hyperref}
\input{papergen-results}
\title{\VAR{paper.title} with \result{first/large/score}}
\author{\VAR{paper.authors|join(", ", attribute="name")}}
\date{}
\begin{document}
\maketitle
\input{sections/body}
\input{sections/more}
\bibliographystyle{plain}
\bibliography{references}
\end{document}
What stands here is never read.
"""
BODY = r"""\section{Body}
The small row reaches \result{first/small/score}. % TODO: nobody may see this
The large row reaches \result[pm]{first/large/score}, which 100\% of us like, \url{https://example.org/a%20b}.
\claim[first/large/score > first/small/score]{Larger is \result{diff(first/large/score, first/small/score)}
better.}
Known \cite{knuth}.%
\iffalse A secret. \fi
\begin{verbatim}
100% of this % stays
\result{not/a/key}
\end{verbatim}
"""
MORE = r"""\section{More}
Nothing with \verb|%| here. The fixed row has a loss of \result{first/fixed/loss}.
"""
BIB = "@book{knuth, author={Donald Knuth}, title={The {\\TeX}book}, publisher={Addison}, year={1984}}\n"


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def make_paper(folder: Path, **more: str) -> Path:
    """The project with its prose and all its results."""
    make_project(folder)
    write(folder, {"main.tex.j2": MAIN, "sections/body.tex": BODY, "sections/more.tex": MORE, "references.bib": BIB})
    write(folder, {"sections/unused.tex": "Unused.\n", ".gitignore": "build/\nsecret.txt\n", **more})
    finish(folder)
    return folder


def finish(folder: Path, *, plus: float = 0.0) -> None:
    """Give every trial of the plan that has none a result: the score follows from its parameters and seed."""
    project = open_project(folder)
    for trial in project.trials:
        if not project.store.is_finished(trial):
            attempt = project.store.begin(trial)
            write_json(attempt.outcome_file, _outcome(trial, plus))
            project.store.publish(trial, make_provenance())


def _outcome(trial: Trial, plus: float) -> dict[str, object]:
    size = int(str(trial.params["size"]))
    losses = [1.5 + index / 8 + trial.seed for index in range(4)]
    return {
        "metrics": {"score": 2.0 * size + trial.seed / 4 + plus, "loss": sum(losses) / 4},
        "units": {"loss": losses},
        "series": {},
        "facts": {},
    }
