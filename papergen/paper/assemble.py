"""A paper put together without TeX: its sources rendered, its numbers and claims looked up, every problem known.

`build-pdf` compiles an assembly, `check` examines one; nothing is written to disk here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from papergen.core.errors import PapergenError
from papergen.core.files import slug
from papergen.experiment.project import Project
from papergen.latex.bibliography.bibtex import Fault
from papergen.latex.bibliography.database import merge, read_bib
from papergen.latex.lint.lint import lint_tree
from papergen.latex.macros import RESULTS_FILE, results_tex
from papergen.latex.problems import Code, Place, Problem
from papergen.latex.render import Sources, render_sources
from papergen.latex.sources import Use
from papergen.latex.tree import SourceTree
from papergen.latex.venues.typesetting import Typeset
from papergen.paper import claims as claimed
from papergen.paper.generated import Generated, generate
from papergen.report import citations, formats
from papergen.report.claims import claim as claims
from papergen.report.results import NotFinishedError, ResultKeyError, Results, UnknownKeyError


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """Everything of a paper that can be known before TeX runs."""

    project: Project
    results: Results
    folder: Path
    """Where the tree is written when the paper is built."""
    sources: Sources
    """The tree; its figures are empty until they are drawn."""
    generated: Generated
    values: Mapping[str, Mapping[str, str]]
    r"""Key -> format -> TeX of every `\result`."""
    cited: frozenset[str]
    claims: tuple[claimed.Stated, ...]
    problems: tuple[Problem, ...]
    """What forbids a PDF, at the author's places."""

    @property
    def tree(self) -> SourceTree:
        """The tree as text."""
        return self.sources.tree(self.folder)


def read_results(project: Project) -> Results:
    """Everything the store has for the project's plan."""
    return Results.read(project.store, project.states(), project.metrics, project.row_labels)


def assemble(project: Project, results: Results, setting: Typeset, *, is_draft: bool = False) -> Assembly:
    """The paper with what the store has; with `is_draft`, what is missing is marked instead of being a problem.

    Raises PapergenError with the faults of the Jinja templates, which hide all others.
    """
    folder = project.root / "build" / (slug(project.name) or "paper")
    generated = generate(project, results, setting)
    sources = render_sources(project.root, setting.context, engine=setting.engine)
    files = {**generated.files, **dict.fromkeys(generated.figures, b"")}
    drafted = sources.with_files({**files, RESULTS_FILE: results_tex({}).encode(), "references.bib": b""})
    tree = drafted.tree(folder)
    if is_draft:
        drafted = drafted.with_files(_placeholders(tree, generated))
        tree = drafted.tree(folder)
    values, problems = _values(tree, results, claimed.claimed_uses(project), has_links=project.paper.has_links)
    problems += _unlinked(project, tree)
    stated = claimed.stated_claims(project, tree, results)
    problems += [claim.problem for claim in stated if not claim.holds]
    problems += claimed.text_problems(project, tree)
    problems += generated.problems
    if is_draft:
        problems = []
    in_claims = [use for use in claimed.claimed_uses(project) if use.kind == "cite"]
    cited = frozenset(use.argument for use in [*tree.uses("cite"), *in_claims])
    built_in = {key: citations.entry(key) for key in citations.known()}
    content, own = read_bib(project.root / "references.bib")
    problems += [_in_bib(project.root, fault) for fault in own.faults]
    bibliography = merge(content, own, built_in, cited)
    texts = claimed.claimed_texts(project)
    macros = results_tex({**values, **texts}, draft=is_draft, packages=generated.packages).encode()
    sources = drafted.with_files({RESULTS_FILE: macros, "references.bib": bibliography})
    tree = sources.tree(folder)
    explained = _missing_files(tree, generated)
    lint = lint_tree(tree, sources.main, engine=setting.engine)
    problems += [*explained, *(problem for problem in lint if problem.place not in {item.place for item in explained})]
    return Assembly(
        project=project,
        results=results,
        folder=folder,
        sources=sources,
        generated=generated,
        values=values,
        cited=cited,
        claims=tuple(stated),
        problems=tuple({str(problem): problem for problem in problems}.values()),
    )


def _values(
    tree: SourceTree, results: Results, others: Iterable[Use], *, has_links: bool
) -> tuple[dict[str, dict[str, str]], list[Problem]]:
    r"""Key -> format -> TeX for every `\result` of the tree and of `others`, and a problem for each that has none."""
    values: dict[str, dict[str, str]] = {}
    problems: list[Problem] = []
    for use in [*tree.uses("result"), *(use for use in others if use.kind == "result")]:
        try:
            found = claims.evaluate(results, use.argument)
            tex = str(formats.tex(found, use.option))
            if has_links and found.digests and "raw" not in use.option:
                tex = rf"\papergenlink{{{found.digests[0][:12]}}}{{{tex}}}"
            values.setdefault(use.argument, {})[use.option] = tex
        except PapergenError as error:
            detail = error.detail if isinstance(error, ResultKeyError) else error.message
            about = f"\\result{{{use.argument}}}"
            code = Code.UNKNOWN_RESULT if isinstance(error, UnknownKeyError) else Code.NO_RESULT
            problem = _at(tree, use, code, about, f": {detail}", error)
            problems.append(problem)
    return values, problems


def _unlinked(project: Project, tree: SourceTree) -> list[Problem]:
    """A problem when numbers are to link to a table of runs that the paper does not print."""
    takes_in = {use.argument.removesuffix(".tex") for use in tree.uses("input")}
    if not project.paper.has_links or "tables/runs" in takes_in:
        return []
    message = "provenance: links needs the table of runs, which the paper does not print"
    return [
        Problem(
            Code.NO_TABLE_OF_RUNS,
            message,
            Place("paper.yaml"),
            remedy=r"Put \input{tables/runs} into a table, or take the line out.",
        )
    ]


def _in_bib(root: Path, fault: Fault) -> Problem:
    lines = (root / fault.file).read_bytes().split(b"\n")
    excerpt = lines[fault.line - 1].decode("utf-8", errors="replace").strip() if fault.line <= len(lines) else ""
    return Problem(fault.code, fault.message, Place(fault.file, fault.line), excerpt)


def _missing_files(tree: SourceTree, generated: Generated) -> list[Problem]:
    """Why a table, figure or text that the paper takes in could not be made, at every place that takes it in."""
    return [
        _at(tree, use, Code.NO_RESULT, f"{use.argument} cannot be made", f": {error.message}", error)
        for use in tree.uses("input", "figure")
        for start, error in generated.missing.items()
        if use.argument.startswith(start) and _file_of(use) not in tree
    ]


def _placeholders(tree: SourceTree, generated: Generated) -> dict[str, bytes]:
    """For a draft: what stands, visibly marked, where a table, figure or text cannot be made yet."""
    found: dict[str, bytes] = {}
    for use in tree.uses("input", "figure"):
        if any(use.argument.startswith(start) for start in generated.missing):
            marked = f"\\papergenmissing{{{use.argument}}}\n".encode()
            found[_file_of(use)] = _blank_pdf() if use.kind == "figure" else marked
    return found


def _file_of(use: Use) -> str:
    """The generated file that a use means, which it may name without its ending."""
    ending = ".pdf" if use.kind == "figure" else ".tex"
    return use.argument if use.argument.endswith(ending) else use.argument + ending


def _blank_pdf() -> bytes:
    """One empty page: a frame for a figure that is not there yet. xdvipdfmx wants a content, be it an empty one."""
    import io

    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, NameObject

    writer, stream = PdfWriter(), io.BytesIO()
    page = writer.add_blank_page(width=240, height=120)
    page[NameObject("/Contents")] = writer._add_object(DecodedStreamObject())
    writer.write(stream)
    return stream.getvalue()


def _at(tree: SourceTree, use: Use, code: Code, about: str, rest: str, error: PapergenError) -> Problem:
    """The problem of a use whose result could not be had; those that wait for the same thing share their cause."""
    place = Place(use.file, use.line, use.column)
    problem = tree.problem(code, about + rest, place, remedy=error.hint or "", about=about)
    return replace(problem, shared=error.cause if isinstance(error, NotFinishedError) else "")
