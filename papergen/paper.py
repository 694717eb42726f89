"""build-pdf: from the store to a LaTeX tree to the PDF. Nothing unknown, stale or undefined gets through."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from papergen.errors import PapergenError
from papergen.files import slug
from papergen.latex import escape as escaping
from papergen.latex.bibliography import merge
from papergen.latex.compile import Compiled, compile_tree, set_aside
from papergen.latex.engine import Toolchain, find_engine, require_files
from papergen.latex.lint import lint_tree
from papergen.latex.macros import RESULTS_FILE, results_tex
from papergen.latex.render import Rendered, render_tree
from papergen.latex.sources import Use
from papergen.latex.templates import Template, load_template
from papergen.latex.tree import Place, Problem, SourceTree, TexError
from papergen.project import Project
from papergen.report import appendix, citations, claims, formats
from papergen.report.figures import Figure
from papergen.report.parts import Part, View, file_names
from papergen.report.rendering import render as draw
from papergen.report.results import NotFinishedError, Results
from papergen.report.tex import Tex

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Built:
    """A paper that was built."""

    compiled: Compiled
    tree: Path
    num_values: int
    num_citations: int


@dataclass
class _Generated:
    """The files that the results bring into the tree, and why some could not be made."""

    files: dict[str, bytes] = field(default_factory=dict)
    missing: dict[str, PapergenError] = field(default_factory=dict)
    """Beginning of the names of an experiment's files -> why there are none."""


def build(project: Project, *, is_draft: bool = False, timeout_s: float = 120, progress: Progress) -> Built:
    """Build `build/<project name>.pdf`.

    Raises TexError with every fault of the paper at the author's file and line, unknown, missing and stale results
    among them, MachineError (exit 3) when TeX is not there.
    """
    try:
        template = load_template(project.paper.template)
        typesetting = template.typesetting(project.paper.language)
        engine = find_engine(typesetting.engine)
        results = read_results(project)
        generated = _generate(project, results, template, engine, progress)
        return _typeset(project, results, generated, engine, typesetting.packages, is_draft, timeout_s, progress)
    except BaseException:
        set_aside(_output(project))  # an old PDF must not be taken for this build's
        raise


def _output(project: Project) -> Path:
    return project.root / "build" / f"{project.name}.pdf"


def read_results(project: Project) -> Results:
    """Everything the store has for the project's plan."""
    metrics = {name: project.recipes[config.kind].metrics for name, config in project.configs.items()}
    return Results.read(project.store, project.states(), metrics)


def _generate(
    project: Project, results: Results, template: Template, engine: Toolchain, progress: Progress
) -> _Generated:
    def escape(text: str) -> Tex:
        return escaping.escape(text, engine.engine)

    generated = _Generated()
    cache = project.root / "build" / ".figures"
    for name, config in project.configs.items():
        view = View(
            experiment=name,
            results=results,
            store=project.store,
            recipe=project.recipes[config.kind],
            escape=escape,
            language=project.paper.language,
        )
        tables, figures, texts = file_names(name)
        try:
            part = view.recipe.parts()(view) or Part()
        except NotFinishedError as error:
            generated.missing.update(dict.fromkeys((tables, figures, texts), error))
            continue
        for table in part.tables:
            width = template.column_width_in if table.fits(template.column_width_in) else template.text_width_in
            generated.files[f"{tables}{table.name}.tex"] = str(table.to_tex(escape, width_in=width)).encode()
        for figure in part.figures:
            progress(f"figure {name}-{figure.name}")
            generated.files[f"{figures}{figure.name}.pdf"] = draw(figure, _width(figure, template), cache)
        for stem, text in part.texts.items():
            generated.files[f"{texts}{stem}.tex"] = f"{text}".encode()
    if results.results:
        column = template.column_width_in
        for table in (appendix.machine_table(results), appendix.runs_table(results)):
            generated.files[f"tables/{table.name}.tex"] = str(table.to_tex(escape, width_in=column)).encode()
        text = appendix.machine_text(results, escape, language=project.paper.language)
        generated.files["text/environment.tex"] = str(text).encode()
    return generated


def _width(figure: Figure, template: Template) -> float:
    return template.column_width_in if figure.width == "column" else template.text_width_in


def _typeset(
    project: Project,
    results: Results,
    generated: _Generated,
    engine: Toolchain,
    packages: Iterable[str],
    is_draft: bool,
    timeout_s: float,
    progress: Progress,
) -> Built:
    folder = project.root / "build" / (slug(project.name) or "paper")

    def tree_with(**more: bytes) -> tuple[Rendered, SourceTree]:
        files = {**generated.files, RESULTS_FILE: more["results"], "references.bib": more["references"]}
        rendered = render_tree(project.root, folder, {"paper": project.paper}, files, engine=engine.engine)
        return rendered, SourceTree(folder, rendered.line_map)

    # Once without, to see which keys and citations the rendered text uses; then with exactly those.
    _, tree = tree_with(results=results_tex({}).encode(), references=b"")
    if is_draft:
        generated.files |= _placeholders(tree, generated)
    values, problems = _values(tree, results)
    problems += _claims(tree, results)
    if is_draft:
        problems = []
    cited = {use.argument for use in tree.uses("cite")}
    bibliography = merge(
        project.root / "references.bib", {key: citations.entry(key) for key in citations.known()}, cited
    )
    macros = results_tex(values, draft=is_draft)
    rendered, tree = tree_with(results=macros.encode(), references=bibliography)
    explained = _missing_files(tree, generated)
    lint = lint_tree(tree, rendered.main, engine=engine.engine)
    problems += [*explained, *(problem for problem in lint if problem.place not in {item.place for item in explained})]
    if problems:
        raise TexError(list({str(problem): problem for problem in problems}.values()))
    require_files(packages, tree=folder, why=f"the template {project.paper.template}")
    compiled = compile_tree(
        folder,
        rendered.main,
        engine=engine,
        output=_output(project),
        line_map=rendered.line_map,
        timeout_s=timeout_s,
        progress=progress,
    )
    return Built(compiled=compiled, tree=folder, num_values=len(values), num_citations=len(cited))


def _values(tree: SourceTree, results: Results) -> tuple[dict[str, dict[str, str]], list[Problem]]:
    r"""Key -> format -> TeX for every `\result` of the tree, and a problem for each that has no number to print."""
    values: dict[str, dict[str, str]] = {}
    problems: list[Problem] = []
    for use in tree.uses("result"):
        try:
            found = claims.evaluate(results, use.argument)
            values.setdefault(use.argument, {})[use.option] = str(formats.tex(found, use.option))
        except PapergenError as error:
            message = error.message.removeprefix(f"{use.argument}: ")
            problems.append(_at(tree, use, f"\\result{{{use.argument}}}: {message}", error.hint or ""))
    return values, problems


def _claims(tree: SourceTree, results: Results) -> list[Problem]:
    r"""A problem for every `\\claim[assertion]{sentence}` whose assertion the results do not support."""
    problems: list[Problem] = []
    for use in tree.uses("claim"):
        if not use.option:
            continue
        try:
            verdict = claims.check(results, use.option)
        except PapergenError as error:
            problems.append(_at(tree, use, f"\\claim[{use.option}]: {error.message}", error.hint or ""))
            continue
        if not verdict.holds:
            message = f"the results do not support this claim: {use.option}"
            problems.append(_at(tree, use, message, "; ".join(verdict.evidence)))
    return problems


def _missing_files(tree: SourceTree, generated: _Generated) -> list[Problem]:
    """Why a table, figure or text that the paper takes in could not be made, at every place that takes it in."""
    return [
        _at(tree, use, f"{use.argument} cannot be made: {error.message}", error.hint or "")
        for use in tree.uses("input", "figure")
        for start, error in generated.missing.items()
        if use.argument.startswith(start) and _file_of(use) not in tree
    ]


def _placeholders(tree: SourceTree, generated: _Generated) -> dict[str, bytes]:
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
    """One empty page: a frame for a figure that is not there yet."""
    import io

    from pypdf import PdfWriter

    writer, stream = PdfWriter(), io.BytesIO()
    writer.add_blank_page(width=240, height=120)
    writer.write(stream)
    return stream.getvalue()


def _at(tree: SourceTree, use: Use, message: str, remedy: str) -> Problem:
    return tree.problem("error", message, Place(use.file, use.line, use.column), remedy=remedy)
