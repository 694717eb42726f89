"""A finished little paper for the checks to examine, and what they say of it."""

from __future__ import annotations

from pathlib import Path

from papergen.experiment.project import open_project
from papergen.paper.build import build
from papergen.paper.check.base import Finding
from papergen.paper.check.run import Examined, examine

KIND = '''
"""A kind that needs no torch: repetition per prompt, and a perplexity, given by the row."""
from papergen import Metric, Params as Base, Phrase
from pydantic import Field

class Params(Base):
    level: float = Field(default=10.0, description="Repetition of the first prompt.")

METRICS = (
    Metric(
        name="rep_4", label=Phrase("Repetition", "重复率", also=("重复",)), unit="%", direction="lower", over="prompts"
    ),
    Metric(name="perplexity", label=Phrase("Perplexity", "困惑度"), direction="lower", over="prompts"),
    Metric(name="share", label="Share"),
)

ROW_LABELS = {
    "greedy": Phrase("greedy", "贪心搜索", also=("贪心", "贪婪")),
    "beam": Phrase("beam", "束搜索"),
    "nucleus": Phrase("nucleus", "核采样"),
}

def is_seeded(params):
    return False

def run(params, ctx):
    # Each row has the same values in another order: a difference that is equal for every prompt cannot be tested.
    order = [(index + int(params.level)) % 6 for index in range(6)]
    repetition = [params.level + index * 0.37 for index in order]
    perplexity = [2 * params.level + index * 0.91 for index in order]
    ctx.units("rep_4", repetition)
    ctx.units("perplexity", perplexity)
    return {"rep_4": sum(repetition) / 6, "perplexity": sum(perplexity) / 6, "share": params.level / 81}

def report(view):
    return None
'''
MAIN = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{mathptmx,graphicx,natbib,hyperref}
\input{papergen-results}
\title{A Title}
\begin{document}
\maketitle
\input{sections/text}
\bibliographystyle{plainnat}
\bibliography{references}
\end{document}
"""
BIB = """@inproceedings{good2020,
  author = {Good, Ann},
  title = {A Good Paper},
  booktitle = {Proceedings},
  year = {2020},
}
"""
TEXT = "Greedy repeats \\result{decode/greedy/rep_4}\\,\\%~\\citep{good2020}.\n"
"""One line: what a test adds begins on line 2."""


def make_paper(folder: Path) -> Path:
    """Write the paper; its experiment has the rows greedy (rep_4 41.025), beam (31.4...) and nucleus (12.345...)."""
    (folder / "experiments").mkdir(parents=True)
    (folder / "sections").mkdir()
    (folder / "paper.yaml").write_text("title: A Title\nauthors:\n  - name: Ada Lovelace\n", encoding="utf-8")
    (folder / "experiments" / "fake.py").write_text(KIND, encoding="utf-8")
    (folder / "experiments" / "decode.yaml").write_text(
        "kind: fake\nrows:\n  greedy: {level: 40.1}\n  beam: {level: 30.5}\n  nucleus: {level: 11.42}\n",
        encoding="utf-8",
    )
    (folder / "main.tex").write_text(MAIN, encoding="utf-8")
    (folder / "references.bib").write_text(BIB, encoding="utf-8")
    (folder / "sections" / "text.tex").write_text(TEXT, encoding="utf-8")
    return folder


def write(paper: Path, text: str = "", *, bib: str = "", yaml: str = "") -> Path:
    """Add to the text, the bibliography and paper.yaml."""
    for name, more in (("sections/text.tex", text), ("references.bib", bib), ("paper.yaml", yaml)):
        path = paper / name
        path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    return paper


def examined(paper: Path, *, is_anonymous: bool = False) -> Examined:
    """What the checks say of the paper as it is."""
    return examine(open_project(paper), is_anonymous=is_anonymous)


def built(paper: Path, *, is_anonymous: bool = False) -> Examined:
    """Build it first."""
    project = open_project(paper)
    build(project, progress=lambda _: None)
    return examine(project, is_anonymous=is_anonymous)


def said(findings: Examined) -> list[tuple[str, str]]:
    """Check and place of everything that stands."""
    return [(finding.check, _where(finding)) for finding in findings.standing]


def _where(finding: Finding) -> str:
    place = finding.problem.place
    return f"{place.file}:{place.line}" if place.line else place.file
