"""build-pdf: from the store to a LaTeX tree to the PDF. Nothing unknown, stale or undefined gets through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from papergen.experiment.project import Project
from papergen.latex.build.driver import Compiled, compile_tree, set_aside
from papergen.latex.build.engine import Toolchain, find_engine, require_files
from papergen.latex.build.precompile import precompile
from papergen.latex.macros import RESULTS_FILE
from papergen.latex.problems import TexError
from papergen.latex.render import Sources
from papergen.latex.venues.typesetting import Typeset, typeset
from papergen.paper import snapshots
from papergen.paper.assemble import Assembly, assemble, read_results
from papergen.paper.generated import Generated
from papergen.report.figures.rendering import prune
from papergen.report.figures.rendering import render as draw

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A paper put together, and what will typeset it."""

    assembly: Assembly
    setting: Typeset
    engine: Toolchain


@dataclass(frozen=True, kw_only=True)
class Built:
    """A paper that was built."""

    compiled: Compiled
    assembly: Assembly
    engine: Toolchain
    digest: str
    """Of everything behind the PDF; stands in its metadata."""

    @property
    def tree(self) -> Path:
        """The LaTeX tree, which compiles without papergen."""
        return self.assembly.folder

    @property
    def num_values(self) -> int:
        """How many results stand in the text."""
        return len(self.assembly.values)

    @property
    def num_citations(self) -> int:
        """How many works are cited."""
        return len(self.assembly.cited)


def build(project: Project, *, is_draft: bool = False, timeout_s: float = 120, progress: Progress) -> Built:
    """Build `build/<project name>.pdf`.

    Raises TexError with every fault of the paper at the author's file and line, unknown, missing and stale results
    among them, MachineError (exit 3) when TeX is not there.
    """
    try:
        ready = prepared(project, is_draft=is_draft, progress=progress)
        built = publish(ready, project.pdf, timeout_s=timeout_s, progress=progress)
    except BaseException:
        set_aside(project.pdf)  # an old PDF must not be taken for this build's
        raise
    if not is_draft:
        remember(built)
    speed_up(built)
    return built


def prepared(project: Project, *, is_draft: bool = False, progress: Progress) -> Prepared:
    """The paper with what the store has, and what will typeset it."""
    setting = typeset(project.paper, project.root)
    for note in setting.notes:
        progress(note)
    if setting.reason:
        progress(f"{setting.engine}: {setting.reason}")
    engine = find_engine(setting.engine)
    paper = assemble(project, read_results(project), setting, is_draft=is_draft)
    return Prepared(assembly=paper, setting=setting, engine=engine)


def publish(ready: Prepared, output: Path, *, timeout_s: float = 120, progress: Progress) -> Built:
    """Write the paper's tree into its folder and compile it to `output`; TexError when anything forbids a PDF."""
    paper, project = ready.assembly, ready.assembly.project
    if paper.problems:
        raise TexError(paper.problems)
    require_files(ready.setting.needed, tree=paper.folder, why=f"the template {project.paper.template}")
    drawn = drawn_figures(project, paper.generated, progress)
    sources, digest = complete(paper, drawn)
    rendered = sources.write(paper.folder)
    compiled = compile_tree(
        paper.folder,
        rendered.main,
        engine=ready.engine,
        output=output,
        line_map=rendered.line_map,
        timeout_s=timeout_s,
        progress=progress,
    )
    return Built(compiled=compiled, assembly=paper, engine=ready.engine, digest=digest)


def remember(built: Built) -> None:
    """Keep what the paper says, with its tree, as a snapshot; nothing happens when this very build is kept already."""
    root = built.assembly.project.root
    if not (snapshots.folder_of(root) / built.digest[:16]).is_dir():
        snapshots.keep(root, snapshots.take(built.assembly, built.digest, built.engine.engine), built.tree)


def speed_up(built: Built, *, after_builds: int = 2) -> None:
    """After a rebuild: load class and packages once for the builds to come, where that pays (`latex/preamble.py`)."""
    if built.compiled.num_passes:
        precompile(
            built.tree,
            built.assembly.sources.main,
            engine=built.engine,
            output=built.compiled.pdf,
            after_builds=after_builds,
        )


def complete(paper: Assembly, drawn: Mapping[str, bytes]) -> tuple[Sources, str]:
    """The tree as it is compiled, with its figures and the digest of everything behind it, and that digest."""
    digest = snapshots.paper_digest(paper, drawn)
    marked = snapshots.results_with_digest(paper.sources.contents[RESULTS_FILE], digest)
    return paper.sources.with_files({**drawn, RESULTS_FILE: marked}), digest


def drawn_figures(project: Project, generated: Generated, progress: Progress) -> dict[str, bytes]:
    """The figures as PDF files, from the cache where nothing changed."""
    cache = project.root / "build" / ".figures"
    files: dict[str, bytes] = {}
    for name, (figure, width_in) in generated.figures.items():
        progress(f"figure {Path(name).stem}")
        files[name] = draw(figure, width_in, cache)
    prune(generated.figures.values(), cache)
    return files
