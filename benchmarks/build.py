"""The build driver against `latexmk -norc` (and calkit, where it runs): cold, one-word edit, nothing to do.

    python benchmarks/build.py [--rounds 7] [--paper FOLDER] [--calkit PROGRAM] [--save]

All build the same generated paper of 7 pages (two columns, 6 figures, 4 tables, 25 citations), each as a process of its
own, interleaved, medians of the rounds. "cold" starts without any file of an earlier build of the paper; what papergen
remembers of the machine (where TeX's folders are) is there after the round that warms up. "edit" is an author's later
edit: two builds were made before. Python runs with its compiled files, as installed programs do. calkit
(`pip install calkit-python`, PROGRAM its `calkit`) builds with `calkit latex build`, which runs the system's latexmk.

With --paper, a finished paper project: the whole process `papergen build-pdf` (plan, store, values, tables, checks,
LaTeX) against `latexmk -norc` on a copy of the LaTeX tree that papergen wrote, which does the LaTeX alone.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import interleaved, ratios, save, show

OURS = """import sys
from pathlib import Path
from papergen.latex.build.driver import compile_tree
from papergen.latex.build.engine import find_engine
from papergen.latex.build.precompile import precompile
tree = Path(sys.argv[1])
paper = {"engine": find_engine("pdflatex"), "output": tree.parent / "paper.pdf"}
if compile_tree(tree, "main.tex", **paper).num_passes:
    precompile(tree, "main.tex", **paper)
"""
EDITED = "sections/s3.tex"
WORDS = (
    "model",
    "search",
    "token",
    "prompt",
    "sample",
    "beam",
    "text",
    "loss",
    "rate",
    "gradient",
    "measure",
    "likely",
)
PREAMBLE = r"""\documentclass[twocolumn]{article}
\usepackage[T1]{fontenc}
\usepackage{mathptmx}\renewcommand{\ttdefault}{txtt}
\usepackage[a4paper,margin=2cm]{geometry}
\usepackage{microtype,amsmath,graphicx,xcolor,booktabs,float}
\usepackage[font=small]{caption}
\usepackage[numbers,sort&compress]{natbib}
\usepackage{hyperref}
\title{A generated paper}\author{Nobody}\date{}
"""


def write_paper(tree: Path) -> None:
    """The same bytes at every call."""
    from matplotlib.figure import Figure

    chance = random.Random(0)
    (tree / "sections").mkdir(parents=True)
    (tree / "figures").mkdir()
    for number in range(6):
        figure = Figure(figsize=(3.3, 2.2))
        figure.subplots().plot([chance.random() for _ in range(200)])
        figure.savefig(tree / "figures" / f"f{number}.pdf", metadata={"CreationDate": None})
    names = []
    for number in range(8):
        lines = [rf"\section{{Part {number}}}\label{{sec:{number}}}"]
        for paragraph in range(5):
            words = " ".join(chance.choices(WORDS, k=110))
            key = (number * 5 + paragraph) % 25
            lines.append(f"{words.capitalize()}~\\cite{{key{key}}}, as \\autoref{{sec:{(number + 3) % 8}}} says.\n")
        if number < 6:
            lines.append(
                rf"\begin{{figure}}[t]\includegraphics[width=\columnwidth]{{figures/f{number}}}"
                rf"\caption{{Curve {number}.}}\label{{fig:{number}}}\end{{figure}}"
            )
        if number < 4:
            rows = r"\\".join(" & ".join(f"{chance.random():.3f}" for _ in range(4)) for _ in range(8))
            lines.append(
                rf"\begin{{table}}[t]\centering\caption{{Table {number}.}}\begin{{tabular}}{{llll}}\toprule "
                rf"a & b & c & d\\\midrule {rows}\\\bottomrule\end{{tabular}}\end{{table}}"
            )
        (tree / "sections" / f"s{number}.tex").write_text("\n".join(lines) + "\n", encoding="utf-8")
        names.append(rf"\input{{sections/s{number}}}")
    body = "\n".join(names)
    (tree / "main.tex").write_text(
        f"{PREAMBLE}\\begin{{document}}\\maketitle\n{body}\n"
        "\\bibliographystyle{unsrtnat}\\bibliography{references}\n"
        "\\end{document}\n",
        encoding="utf-8",
    )
    entries = [
        f"@article{{key{n},\n  author = {{Author, A. {chr(65 + n % 26)}.}},\n  title = {{Work number {n}}},\n"
        f"  journal = {{Journal}},\n  year = {{{2000 + n}}},\n}}\n"
        for n in range(25)
    ]
    (tree / "references.bib").write_text("\n".join(entries), encoding="utf-8")


def quietly(command: list[str], folder: Path) -> None:
    """Run a contender; stop at the first that fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, check=False, env=environment
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout.decode()[-1500:]}{done.stderr.decode()[-1500:]}")


def edit(path: Path) -> None:
    """Change the first word of the first line of prose."""
    lines = path.read_text(encoding="utf-8").split("\n")
    number = next(index for index, line in enumerate(lines) if line[:1].isalpha())
    words = lines[number].split(" ")
    words[0] = "Other" if words[0] != "Other" else "Another"
    lines[number] = " ".join(words)
    path.write_text("\n".join(lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--paper", type=Path)
    parser.add_argument("--calkit")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        origin = Path(scratch) / "origin"
        origin.mkdir()
        write_paper(origin)
        commands: dict[str, list[str]] = {
            "papergen": [sys.executable, "-c", OURS, "TREE"],
            "latexmk -norc": ["latexmk", "-norc", "-pdf", "-interaction=nonstopmode", "-silent", "main.tex"],
        }
        if options.calkit:
            commands["calkit"] = [options.calkit, "latex", "build", "main.tex"]
        os.environ["PYTHONPYCACHEPREFIX"] = os.fspath(Path(scratch) / "compiled")
        os.environ["PAPERGEN_CACHE"] = os.fspath(Path(scratch) / "remembered")
        results = {
            kind: ratios(_timed(commands, origin, Path(scratch) / kind, options.rounds, kind), "papergen")
            for kind in ("cold", "edit", "same")
        }
        if options.paper:
            results |= _whole(options.paper.resolve(), commands["latexmk -norc"], Path(scratch), options.rounds)
    for title, table in results.items():
        show(title, table)
    if options.save:
        print(save("build", {"results": results, "rounds": options.rounds}))


def _timed(
    commands: dict[str, list[str]], origin: Path, scratch: Path, rounds: int, kind: str
) -> dict[str, list[float]]:
    """Seconds of every contender: preparation (copying, editing) is part of no contender's time worth naming."""
    contenders: dict[str, Callable[[], None]] = {}
    for name, command in commands.items():
        tree = scratch / name.split()[0] / "tree"
        shutil.copytree(origin, tree)
        own = [str(tree) if word == "TREE" else word for word in command]
        if kind != "cold":
            quietly(own, tree)
            edit(tree / EDITED)
            quietly(own, tree)  # an author's later edits: what the first one prepares (a preamble's format) is there
        contenders[name] = functools.partial(_one, own, tree, origin, kind)
    return interleaved(contenders, rounds=rounds)


def _one(command: list[str], tree: Path, origin: Path, kind: str) -> None:
    if kind == "cold":
        shutil.rmtree(tree.parent)
        shutil.copytree(origin, tree)
    if kind == "edit":
        edit(tree / EDITED)
    quietly(command, tree)


def _whole(paper: Path, latexmk: list[str], scratch: Path, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """The whole `papergen build-pdf` of a copy of a finished paper, and latexmk on its tree."""
    project, tree = scratch / "project" / paper.name, scratch / "tree"
    shutil.copytree(paper, project)
    build = [sys.executable, "-m", "papergen", "build-pdf"]
    quietly(build, project)
    (written,) = [path for path in (project / "build").iterdir() if (path / "main.tex").is_file()]
    shutil.copytree(written, tree)
    section = next(path for path in sorted((project / "sections").glob("*.tex")) if "introduction" in path.name)
    edited = section.relative_to(project)

    def one(command: list[str], folder: Path, kind: str) -> None:
        if kind == "edit":
            edit(folder / edited)
        if kind == "cold" and folder == project:
            for path in (project / "build").iterdir():
                if path.name != ".figures":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif kind == "cold":
            shutil.rmtree(tree)
            shutil.copytree(scratch / "pristine", tree)
        quietly(command, folder)

    shutil.copytree(tree, scratch / "pristine")
    results = {}
    for kind in ("cold", "edit", "same"):
        for command, folder in ((build, project), (latexmk, tree)):
            one(command, folder, kind)
            one(command, folder, "edit" if kind != "cold" else kind)
        contenders = {
            "papergen": functools.partial(one, build, project, kind),
            "latexmk -norc": functools.partial(one, latexmk, tree, kind),
        }
        note = ", figures in the cache" if kind == "cold" else ""
        results[f"whole build-pdf, {kind}{note}"] = ratios(interleaved(contenders, rounds=rounds), "papergen")
    return results


if __name__ == "__main__":
    main()
