"""A built tree made fit for strangers: plain numbers, no comments, only files that TeX opens; compiled and compared.

The folders and the names of the files stay, so that nothing of TeX's file handling can change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from papergen.core.errors import ResultError
from papergen.core.files import write_atomic
from papergen.core.scratch import scratch_folder
from papergen.latex.build.driver import compile_tree
from papergen.latex.build.engine import Toolchain
from papergen.latex.build.preamble import recorded
from papergen.latex.macros import RESULTS_FILE
from papergen.latex.problems import TexError
from papergen.latex.tree import SourceTree
from papergen.paper.build import Built, Progress
from papergen.paper.claims import claimed_texts
from papergen.paper.share.compare_pages import page_differences
from papergen.paper.share.plain import (
    OUR_INPUT,
    opaque_environments,
    redefines_percent,
    standing_macros,
    uses_our_macros,
    with_numbers,
    without_comments,
)

PDF_OUTPUT = "\\pdfoutput=1\n"
"""Tells arXiv to run pdfLaTeX; it looks for it in the first lines."""


@dataclass(frozen=True, kw_only=True)
class Clean:
    """The files of a cleaned tree, which compiles to the paper's own pages without BibTeX and without papergen."""

    files: Mapping[str, bytes]
    left_out: tuple[str, ...]
    """Files of the built tree that the paper does not need."""
    pages: int
    pdf: bytes
    notes: tuple[str, ...] = ()


def cleaned(built: Built, *, keep_bibliography: bool = False, progress: Progress) -> Clean:
    """Clean the tree of a built paper, compile it in an empty folder and compare its pages with the paper's.

    Raises ResultError naming the pages that differ, TexError when the cleaned tree does not compile.
    """
    tree = SourceTree(built.tree)
    files = {name: (built.tree / name).read_bytes() for name in tree.names}
    files, notes = _plain(files, built)
    main = built.assembly.sources.main
    with scratch_folder("export") as scratch:
        progress("finding the files that the paper needs")
        _compiled(scratch / "all", files, main, built.engine)
        bbl, opened = _by_products(scratch / "all", Path(main).stem)
        kept = {name: content for name, content in files.items() if name in opened or name == main}
        if bbl is not None:
            kept[f"{Path(main).stem}.bbl"] = bbl
        progress("compiling the export in an empty folder")
        pdf, pages = _compiled(scratch / "alone", kept, main, built.engine)
        progress("comparing its pages with the paper's")
        if differences := page_differences(built.compiled.pdf, pdf):
            shown = "\n".join(f"  {line}" for line in differences[:8])
            raise ResultError(
                f"The export does not give the paper's own pages, so nothing was written:\n{shown}",
                hint="A macro of the paper may depend on comments or on lines; please simplify it or report this.",
            )
        content = pdf.read_bytes()
    if keep_bibliography:
        kept |= {name: content for name, content in files.items() if name.endswith((".bib", ".bst"))}
    left_out = tuple(sorted(set(files) - set(kept) - {RESULTS_FILE}))
    return Clean(files=kept, left_out=left_out, pages=pages, pdf=content, notes=tuple(notes))


def _plain(files: Mapping[str, bytes], built: Built) -> tuple[dict[str, bytes], list[str]]:
    """The files with numbers for `\\result` and without comments, and what had to be left as it was."""
    texts = {name: content.decode("utf-8", errors="replace") for name, content in files.items()}
    sources = {name: text for name, text in texts.items() if name.endswith(".tex") and name != RESULTS_FILE}
    styles = [text for name, text in texts.items() if name.endswith((".sty", ".cls"))]
    notes = []
    values = {**built.assembly.values, **claimed_texts(built.assembly.project)}
    plain = {name: with_numbers(text, values) for name, text in sources.items()}
    redefining = [name for name, text in sources.items() if redefines_percent(text)]
    if redefining:
        notes.append(f"{', '.join(redefining)}: changes what % means, so the comments were left in")
    else:
        opaque = opaque_environments([*sources.values(), *styles])
        plain = {name: without_comments(text, opaque=opaque) for name, text in plain.items()}
    main = built.assembly.sources.main
    if not uses_our_macros([*plain.values(), *styles]):
        macros = standing_macros("".join(plain.values()), texts.get(RESULTS_FILE, ""))
        plain[main] = OUR_INPUT.sub(lambda _: macros.rstrip("\n"), plain[main], count=1)
    if built.engine.engine == "pdflatex":
        plain[main] = PDF_OUTPUT + plain[main]
    return {**files, **{name: text.encode() for name, text in plain.items()}}, notes


def _compiled(folder: Path, files: Mapping[str, bytes], main: str, engine: Toolchain) -> tuple[Path, int]:
    """Compile these files alone, without BibTeX where they bring a .bbl; the PDF and its number of pages."""
    for name, content in files.items():
        write_atomic(folder / "tree" / name, content)
    try:
        done = compile_tree(folder / "tree", main, engine=engine, output=folder / "paper.pdf")
    except TexError as error:
        raise TexError(error.problems, "problems in the exported LaTeX, which was not written") from error
    return done.pdf, done.pages


def _by_products(folder: Path, job: str) -> tuple[bytes | None, set[str]]:
    """The bibliography that BibTeX wrote, and the files that TeX opened, from where the driver works."""
    found = sorted(folder.rglob(f"{job}.bbl"))
    recorders = sorted(folder.rglob(f"{job}.fls"))
    assert recorders, "the driver keeps TeX's record of the files it opened"
    return (found[-1].read_bytes() if found else None), recorded(recorders[-1])
