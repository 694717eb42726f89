"""The preamble of a paper that is built again and again, dumped as a format, where builds from it give the same PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from papergen.core.errors import PapergenError
from papergen.latex.build.driver import Build
from papergen.latex.build.engine import Toolchain
from papergen.latex.build.process import Deadline
from papergen.latex.problems import TexError
from papergen.latex.tree import LineMap


def precompile(
    tree: Path, main: str, *, engine: Toolchain, output: Path, after_builds: int = 2, timeout_s: float = 120
) -> bool:
    """Make the next builds faster: dump the preamble of a tree that was just built, where that is worth its time.

    Worth it is a preamble that so many builds had already. Whether a format was made; what hinders it is no fault of
    the paper, and nothing is raised for it.
    """
    try:
        build = Build(tree, main, engine, output, LineMap(), None)
        return _is_due(build, after_builds) and _dump(build, Deadline(timeout_s))
    except PapergenError:
        return False


def _is_due(build: Build, after_builds: int) -> bool:
    """Whether a dump is worth its time: this preamble was built often enough, nothing changed since the last build, and
    no dump of it was tried before.
    """
    return (
        build.format.split is not None
        and build.last.record.get("preamble") == build.format.key
        and int(build.last.record["num_builds"]) >= after_builds
        and build.format.known(build.inputs) is None
        and build.last.is_of(build.inputs)
    )


def _dump(build: Build, deadline: Deadline) -> bool:
    """Dump the format, and keep it when it gives the bytes of the last build."""
    good, split = build.last.pdf.read_bytes(), build.format.split
    assert split is not None, "only a preamble that can be told from the text is dumped"
    build.prepare()
    with build.format.main_file(build.tex, split.to_dump):
        build.run_engine(deadline, "-ini", f"-jobname={build.job}", "&pdflatex")
    known = build.format.describe(build.tex, build.job, build.inputs, began_ns=build.began_ns)
    if known is not None and _gives_same_pdf(build, known, good, deadline):
        build.format.approve(known)
        return True
    build.format.refuse()
    return False


def _gives_same_pdf(build: Build, known: dict[str, Any], good: bytes, deadline: Deadline) -> bool:
    build.format.keep(build.tex / f"{build.job}.fmt")
    build.known = known
    try:
        build.one_pass(deadline)
    except TexError:
        return False
    return (build.tex / f"{build.job}.pdf").read_bytes() == good
