"""What an experiment brings into the paper lies in files whose names are slugs, whatever a curve is called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "check"))
from checklab import make_paper
from commands import papergen
from texlab import pdf_pages

from papergen.core.files import slug
from papergen.experiment.project import open_project
from papergen.latex.problems import Code
from papergen.latex.venues.typesetting import typeset
from papergen.paper.assemble import read_results
from papergen.paper.build import build
from papergen.paper.generated import Generated, generate

LOGGED = {
    "Trainer": ["loss", "grad_norm", "learning_rate", "eval_loss", "eval_accuracy", "eval_samples_per_second"],
    "Lightning": ["train_loss_step", "train_loss_epoch", "val/f1", "lr-Adam/pg1-momentum", "hp_metric"],
    "Keras": ["accuracy", "val_sparse_categorical_accuracy", "val_loss"],
    "others": ["running_f1", "Train Loss (CE)", "précision", "top-5 %", "a/b/c"],
}

KIND = '''
"""A kind without a report: its curves are drawn by themselves."""
from papergen import Metric, Params as Base

METRICS = (Metric(name="score", label="Score"),)

class Params(Base):
    pass

def is_seeded(params):
    return False

def run(params, ctx):
    for step in range(3):
        ctx.log(step, **{name: 1.0 / (step + 1) for name in NAMES})
    return {"score": 0.5}
'''


def paper_with(folder: Path, kind: str) -> Path:
    """The little paper with one more experiment, `logs`, finished."""
    paper = make_paper(folder)
    (paper / "experiments" / "logging.py").write_text(kind, encoding="utf-8")
    (paper / "experiments" / "logs.yaml").write_text("kind: logging\nrows:\n  one: {}\n", encoding="utf-8")
    done = papergen("run-exp", cwd=paper)
    assert done.returncode == 0, done.stderr
    return paper


def generated(paper: Path) -> Generated:
    project = open_project(paper)
    return generate(project, read_results(project), typeset(project.paper, project.root))


@pytest.mark.tex
def test_curves_with_the_names_of_trainers_are_in_the_pdf(tmp_path: Path) -> None:
    names = [name for of_one in LOGGED.values() for name in of_one]
    paper = paper_with(tmp_path / "paper", f"NAMES = {names!r}\n{KIND}")
    figures = [name for name in generated(paper).figures if name.startswith("figures/logs-")]
    assert sorted(figures) == sorted(f"figures/logs-{slug(name)}.pdf" for name in names)
    assert "figures/logs-eval-accuracy.pdf" in figures
    included = "\n\n".join(f"\\includegraphics[width=1in]{{{name.removesuffix('.pdf')}}}" for name in figures)
    text = paper / "sections" / "text.tex"
    text.write_text(f"{text.read_text()}\n{included}\n", encoding="utf-8")
    build(open_project(paper), progress=lambda _: None)
    assert (paper / "build" / f"{paper.name}.pdf").is_file()


def test_two_curves_of_one_file_name_are_told(tmp_path: Path) -> None:
    found = generated(paper_with(tmp_path / "paper", f"NAMES = ['train_loss', 'train/loss', 'val_loss']\n{KIND}"))
    assert [name for name in found.figures if "logs-" in name] == [
        "figures/logs-train-loss.pdf",
        "figures/logs-val-loss.pdf",
    ]
    (problem,) = found.problems
    assert (problem.code, problem.place.file) == (Code.SAME_FILE, "experiments/logs.yaml")
    assert "'train_loss' of logs would be written to figures/logs-train-loss.pdf, as 'train/loss' of logs is" in str(
        problem
    )


PYLATEX = '''
"""A kind whose report hands over PyLaTeX's objects."""
from papergen.experiment.api import Metric, Params as Base

METRICS = (Metric(name="score", label="Score"),)

class Params(Base):
    pass

def is_seeded(params):
    return False

def run(params, ctx):
    return {"score": 0.5}

def report(view):
    from pylatex import Command, Figure, MultiColumn, NoEscape, Tabular, Tabularx
    from papergen.report.parts import Part

    sizes = Tabular("|l|r|")
    sizes.add_hline()
    sizes.add_row([MultiColumn(2, data="50% of R&D_x")])
    sizes.add_row("é β", f"{view.value('one', 'score').mean:.1f}")
    sizes.add_hline()
    wide = Tabularx("lX", width_argument=NoEscape(r"\\columnwidth"))
    wide.add_row("left", "stretched")
    figure = Figure(position="h")
    figure.append(Command("centering"))
    figure.append(Command("fbox", "A drawing in TeX"))
    figure.add_caption("Handed over.")
    return Part(
        tables={"sizes": sizes, "Wide one": wide},
        figures={"my_drawing": figure},
        texts={"said": Command("emph", "A passage of 100 %.")},
    )
'''


@pytest.mark.tex
def test_an_author_hands_over_pylatex_objects(tmp_path: Path) -> None:
    paper = paper_with(tmp_path / "paper", PYLATEX)
    made = generated(paper)
    assert made.packages == {
        r"\@ifpackageloaded{tabularx}{}{\usepackage{tabularx}}": None,
    }
    files = [name for name in made.files if "logs-" in name]
    assert files == [
        "tables/logs-sizes.tex",
        "tables/logs-wide-one.tex",
        "figures/logs-my-drawing.tex",
        "text/logs-said.tex",
    ]
    taken_in = "\n\n".join(f"\\input{{{name.removesuffix('.tex')}}}" for name in files)
    text = paper / "sections" / "text.tex"
    text.write_text(f"{text.read_text()}\n{taken_in}\n", encoding="utf-8")
    build(open_project(paper), progress=lambda _: None)
    page = " ".join(" ".join(pdf_pages(paper / "build" / f"{paper.name}.pdf")).split())
    for printed in ("50% of R&D_x", "é", "0.5", "left stretched", "A drawing in TeX", "Figure 1: Handed over."):
        assert printed in page, page
    assert "A passage of 100 %." in page
