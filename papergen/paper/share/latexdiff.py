"""A PDF that shows what changed between two versions: latexdiff on plain sources, compiled by our own driver."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from papergen.core.errors import MachineError, ResultError
from papergen.core.files import write_atomic
from papergen.core.scratch import scratch_folder
from papergen.latex.bibliography.bibtex import parse
from papergen.latex.build.driver import compile_tree
from papergen.latex.build.engine import find_engine, locate
from papergen.latex.macros import RESULTS_FILE
from papergen.latex.problems import TexError
from papergen.latex.sources import scan
from papergen.latex.tree import SourceTree
from papergen.paper.share.plain import OUR_INPUT, one_file, standing_macros, with_numbers, without_comments
from papergen.paper.share.versions import Version

CAREFUL = (
    "PICTUREENV=(?:picture|DIFnomarkup|tabular|tabularx|longtable|table|figure|tikzpicture|lstlisting|verbatim)[*]?"
)
"""Environments whose changes are not marked when marking them does not compile."""
INSTALL = "Install it: sudo apt-get install latexdiff (TeX Live: tlmgr install latexdiff; macOS: brew)"


def require_latexdiff() -> str:
    """The program; MachineError with the line to type when it is missing."""
    found = shutil.which("latexdiff")
    if found is None:
        raise MachineError("No latexdiff on this machine: the numbers are compared, no PDF is made.", hint=INSTALL)
    return found


def difference_pdf(old: Version, new: Version, output: Path, *, timeout_s: float = 120) -> Path:
    """Write the PDF of the new version with what is gone and what has come marked.

    MachineError without latexdiff, ResultError when no marked version compiles.
    """
    program = require_latexdiff()
    # Underlined Chinese does not break into lines; without ulem nothing is underlined.
    underlines = new.snapshot.engine == "pdflatex" and locate(["ulem.sty"])["ulem.sty"]
    style = "UNDERLINE" if underlines else "CFONT"
    options = [f"--type={style}", "--math-markup=whole", "--graphics-markup=none", "--disable-citation-markup"]
    with scratch_folder("marked") as folder:
        for name, version in (("old.tex", old), ("new.tex", new)):
            write_atomic(folder / name, flat(version))
        faults: list[TexError] = []
        # First with latexdiff's own settings; where its marks break the document, without marks in `CAREFUL`.
        for number, more in enumerate([[], [f"--config={CAREFUL}"]]):
            marked = _run([program, *options, *more, "old.tex", "new.tex"], folder)
            tree = folder / f"tree{number}"
            _fill(tree, marked, old, new)
            try:
                engine = find_engine(new.snapshot.engine)
                return compile_tree(tree, "main.tex", engine=engine, output=output, timeout_s=timeout_s).pdf
            except TexError as error:
                faults.append(error)
    raise ResultError(
        f"latexdiff's marks do not compile, so there is no PDF of the differences:\n{faults[-1].problems[0]}",
        hint="The table of numbers and sentences is complete without it.",
    )


def flat(version: Version) -> str:
    """The paper as one source with plain numbers and no comments."""
    tree = SourceTree(version.tree)
    values = version.snapshot.values
    names = [name for name in tree.names if name.endswith(".tex") and name != RESULTS_FILE]
    texts = {name: without_comments(with_numbers(tree.text(name), values)) for name in names}
    whole = one_file(texts, version.snapshot.main)
    results = tree.text(RESULTS_FILE) if RESULTS_FILE in tree else ""
    macros = standing_macros(r"\papergenpm\begin{longrows}", results)
    return OUR_INPUT.sub(lambda _: macros.rstrip("\n"), whole, count=1)


def _fill(tree: Path, marked: str, old: Version, new: Version) -> None:
    """The tree of the new version around the marked source, with what the old one alone had and still cites."""
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(new.tree, tree)
    for path in old.tree.rglob("*"):
        target = tree / path.relative_to(old.tree)
        if path.is_file() and path.suffix in {".pdf", ".png", ".jpg", ".sty", ".cls"} and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    for path in old.tree.glob("*.bib"):
        target = tree / path.name
        target.write_text(_merged(path, target), encoding="utf-8")
    (tree / "main.tex").write_text(_with_labels(marked, old, new), encoding="utf-8")


def _merged(old: Path, new: Path) -> str:
    text = new.read_text(encoding="utf-8") if new.exists() else ""
    known = {key.lower() for key in parse(text, new.name).keys}
    before = old.read_text(encoding="utf-8")
    lines = before.split("\n")
    for entry in parse(before, old.name).entries:
        if entry.key.lower() not in known:
            text += "\n" + "\n".join(lines[entry.first_line - 1 : entry.last_line]) + "\n"
    return text


def _with_labels(marked: str, old: Version, new: Version) -> str:
    """Labels that are gone and that marked text still names print as "gone"."""
    gone = _labels(old) - _labels(new)
    defined = "".join(
        f"\\expandafter\\gdef\\csname r@{label}\\endcsname{{{{gone}}{{gone}}{{}}{{}}{{}}}}" for label in sorted(gone)
    )
    # \r@LABEL is where LaTeX keeps a label: number, page, and three fields of hyperref.
    return marked.replace(r"\begin{document}", f"\\AtBeginDocument{{{defined}}}\n\\begin{{document}}", 1)


def _labels(version: Version) -> set[str]:
    tree = SourceTree(version.tree)
    return {use.argument for name in tree.tex_names for use in scan(tree.text(name), name) if use.kind == "label"}


def _run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ResultError("latexdiff did not finish within 120 s.") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", errors="replace").strip()[-500:]
        raise ResultError(f"latexdiff failed (exit {done.returncode}): {said}")
    return done.stdout.decode("utf-8", errors="replace")
