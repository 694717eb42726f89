"""Every kind of export from every template, with BibTeX and biber: compiled alone, the paper's own pages."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paperlab import finish
from standins import supply

from papergen.config import Author
from papergen.core.errors import MachineError
from papergen.experiment.project import open_project
from papergen.latex.build.engine import find_engine, require_files
from papergen.latex.venues.template import list_templates, load_template
from papergen.latex.venues.typesetting import typeset
from papergen.paper.build import build
from papergen.paper.scaffold import scaffold
from papergen.paper.share.compare_pages import page_differences
from papergen.paper.share.export import export

pytestmark = [pytest.mark.tex, pytest.mark.slow]

PAPERS = [
    (name, language, bibliography)
    for name in list_templates()
    for language in load_template(name).languages
    for bibliography in load_template(name).bibliography
]
AUTHORS = (Author(name="Ada Author", affiliation="Example University", email="a_b@example.org"), Author(name="B. Öz"))
PROSE = {
    "en": {
        "abstract": "\\begin{abstract}\nAn abstract with \\result{first/large/score}. % a secret\n\\end{abstract}\n",
        "introduction": "\\section{Introduction}\\label{sec:introduction}\n"
        "\\citet{dodge2019show} say so~\\cite{pineau2021improving}; \\autoref{app:more} lists the runs.\n"
        "\\claim[first/large/score > first/small/score]{The large row is better.}\n",
        "conclusion": "\\section{Conclusion}\nDone: \\result[pm]{first/small/score}.\n"
        "\\acknowledgements{We thank all.}\n",
        "appendix": "\\section{More}\\label{app:more}\n"
        "\\begin{longrows}{\\caption{Runs.}\\label{tab:runs}}\\input{tables/runs}\\end{longrows}\n\\autoref{tab:runs}\n",
    },
    "zh": {
        "abstract": "\\begin{abstract}\n摘要：\\result{first/large/score}。% 秘密\n\\end{abstract}\n",
        "introduction": "\\section{引言}\\label{sec:introduction}\n"
        "\\citet{dodge2019show} 如是说~\\cite{pineau2021improving}。\n"
        "\\claim[first/large/score > first/small/score]{大的更好。}\n",
        "conclusion": "\\section{结论}\n完：\\result[pm]{first/small/score}。\n\\acknowledgements{感谢大家。}\n",
        "appendix": "\\section{附录}\\label{app:more}\n"
        "\\begin{longrows}{\\caption{运行。}\\label{tab:runs}}\\input{tables/runs}\\end{longrows}\n\\autoref{tab:runs}\n",
    },
}


def written(folder: Path, name: str, language: str, bibliography: str) -> Path:
    """A finished paper of that template, with the fake experiment of the tests."""
    from fakes import make_project

    project = scaffold(folder / "paper", template=name, title="Dogs & cats", authors=AUTHORS, language=language)
    for path in (*(project / "sections").iterdir(), *(project / "experiments").iterdir()):
        path.unlink()
    other = make_project(folder / "other")
    shutil.copytree(other / "experiments", project / "experiments", dirs_exist_ok=True)
    for stem, text in PROSE[language].items():
        (project / "sections" / f"{stem}.tex").write_text(text, encoding="utf-8")
    main = (project / "main.tex.j2").read_text(encoding="utf-8")
    for stem in ("method", "experiments", "results"):
        main = main.replace(f"\\input{{sections/{stem}}}\n", "")
    (project / "main.tex.j2").write_text(main, encoding="utf-8")
    yaml = project / "paper.yaml"
    yaml.write_text(yaml.read_text(encoding="utf-8") + f"bibliography: {bibliography}\n", encoding="utf-8")
    supply(project, name)
    finish(project)
    return project


def compiled_alone(folder: Path, engine: str, program: str) -> Path:
    """The PDF that plain TeX makes in that folder, as arXiv and Overleaf do."""
    passes = [[engine, "-interaction=nonstopmode", "main.tex"]] * 3
    if program:
        passes.insert(1, [program, "main"])
    for command in passes:
        said = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        assert said.returncode == 0, said.stdout.decode(errors="replace")[-2000:]
    return folder / "main.pdf"


@pytest.mark.parametrize(("name", "language", "bibliography"), PAPERS)
def test_every_export_gives_the_papers_pages(name: str, language: str, bibliography: str, tmp_path: Path) -> None:
    folder = written(tmp_path, name, language, bibliography)
    project = open_project(folder)
    setting = typeset(project.paper, project.root)
    try:
        engine = find_engine(setting.engine)
        require_files(setting.needed, tree=folder)
        if bibliography == "biber" and shutil.which("biber") is None:
            raise MachineError("no biber on this machine")
    except MachineError as error:
        pytest.skip(error.message)
    paper = build(project, progress=lambda _: None).compiled.pdf
    for kind in ("arxiv", "overleaf", "camera-ready", "source"):
        done = export(project, kind, progress=lambda _: None)
        at = tmp_path / kind
        shutil.unpack_archive(done.path, at, "gztar" if kind == "arxiv" else "zip")
        if kind in {"arxiv", "overleaf"}:
            made = compiled_alone(at, engine.engine, bibliography if kind == "overleaf" else "")
            assert page_differences(paper, made) == [], kind
        elif kind == "camera-ready":
            assert (at / "source" / "references.bib").is_file()
            made = compiled_alone(at / "source", engine.engine, "")
            (published,) = at.glob("*.pdf")
            assert page_differences(published, made) == []
        else:
            (source,) = at.iterdir()
            command = [sys.executable, "-m", "papergen", "build-pdf"]
            assert subprocess.run(command, cwd=source, capture_output=True, check=False).returncode == 0
            assert page_differences(paper, next((source / "build").glob("*.pdf"))) == []
        text = "".join(path.read_text(encoding="utf-8") for path in at.rglob("*.tex"))
        assert kind not in {"arxiv", "camera-ready"} or ("secret" not in text and "秘密" not in text)
    if engine.engine == "xelatex":
        readme = json.loads((tmp_path / "arxiv" / "00README.json").read_text(encoding="utf-8"))
        assert readme["process"]["compiler"] == "xelatex"
