"""Small LaTeX trees, compiled for tests, and the text of the PDFs they give."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from papergen.latex.build.driver import Compiled, compile_tree
from papergen.latex.build.engine import find_engine
from papergen.latex.text import Engine

PREAMBLE = {
    "pdflatex": "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage{mathptmx}\n",
    "xelatex": "\\documentclass{article}\n\\usepackage{fontspec}\n",
}


def make_tree(folder: Path, files: dict[str, str | bytes]) -> Path:
    """A folder with these files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def document(body: str, more: str = "", engine: Engine = "pdflatex") -> str:
    """A whole document; the body begins in line 5 plus the lines of `more` (line 4 for xelatex)."""
    return f"{PREAMBLE[engine]}{more}\\begin{{document}}\n{body}\n\\end{{document}}\n"


def compiled(folder: Path, files: dict[str, str | bytes], *, engine: Engine = "pdflatex", **options: float) -> Compiled:
    """Compile a tree made of `files` to `folder/paper.pdf`; skips the test where the engine is not installed."""
    if shutil.which(engine) is None:
        pytest.skip(f"no {engine} on this machine")
    tree = make_tree(folder / "tree", files)
    return compile_tree(tree, "main.tex", engine=find_engine(engine), output=folder / "paper.pdf", **options)  # type: ignore[arg-type]


def pdf_pages(pdf: Path) -> list[str]:
    """What pdftotext reads on each page."""
    done = subprocess.run(["pdftotext", "-enc", "UTF-8", str(pdf), "-"], capture_output=True, check=True)
    return done.stdout.decode("utf-8").split("\f")[:-1]
