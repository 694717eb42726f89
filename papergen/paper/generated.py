"""What the results bring into a paper: what the experiments make of them, and what paper.yaml declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from papergen.config.paper import FigureSpec, TableSpec
from papergen.core.errors import PapergenError
from papergen.core.strict_yaml import read_yaml
from papergen.experiment.project import Project
from papergen.experiment.registry import load_module
from papergen.latex.problems import Code, Place, Problem
from papergen.latex.text import Escape, escape, packages_of, to_tex
from papergen.latex.venues.template import Template
from papergen.latex.venues.typesetting import Typeset
from papergen.report import appendix
from papergen.report.declared import figure_from, stars_said, table_from
from papergen.report.figures.figure import Figure
from papergen.report.parts import View, file_names
from papergen.report.plain import part_of
from papergen.report.results import NotFinishedError, Results
from papergen.report.tables.long import long_tex
from papergen.report.tables.table import Table
from papergen.report.tables.tabular import fits, float_tex, tabular_tex
from papergen.report.words import figure_in_language, in_language

PAPER = "paper.yaml"
LATIN_MODERN = 0.93
"""Chinese papers set Latin letters in Latin Modern, which is wider than the Times that widths are estimated for."""
ENDINGS = {"tables": ".tex", "figures": ".pdf"}


@dataclass
class Generated:
    """The files that the results bring into the tree, and why some could not be made."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Tables and texts."""
    figures: dict[str, tuple[Figure, float]] = field(default_factory=dict)
    """File name -> the figure and its width in inches: drawn only when the paper is built."""
    problems: list[Problem] = field(default_factory=list)
    """Declarations of paper.yaml that ask for what there is not."""
    packages: dict[str, None] = field(default_factory=dict)
    r"""The `\usepackage` lines that PyLaTeX objects ask for, each once."""
    missing: dict[str, NotFinishedError] = field(default_factory=dict)
    """Beginning of the names of an experiment's files -> why there are none."""


def generate(project: Project, results: Results, setting: Typeset) -> Generated:
    """The tables, figures and texts that the experiments bring."""
    template = setting.template
    in_tex = partial(escape, engine=setting.engine)
    generated = Generated()
    owners: dict[str, str] = {}
    for name, config in project.configs.items():
        view = View(
            experiment=name,
            results=results,
            store=project.store,
            kind=project.kinds[config.kind],
            escape=in_tex,
            language=project.paper.language,
        )
        where = Place(config.document.shown)
        try:
            part = part_of(view)
        except NotFinishedError as error:
            generated.missing.update(dict.fromkeys(file_names(name), error))
            continue
        for file, piece_name, piece in part.files(name):
            owner = owners.setdefault(file, f"{piece_name!r} of {name}")
            if file in {*generated.files, *generated.figures}:
                message = f"{piece_name!r} of {name} would be written to {file}, as {owner} is"
                generated.problems.append(Problem(Code.SAME_FILE, message, where, remedy="Rename one of them."))
            elif isinstance(piece, Figure):
                width = template.figure_width if piece.width == "column" else template.text_width_in
                generated.figures[file] = (figure_in_language(piece, project.paper.language), width)
            elif isinstance(piece, Table):
                table = in_language(piece, project.paper.language)
                generated.files[file] = _printed(table, in_tex, template, project.paper.language)
            else:
                text = piece if isinstance(piece, str) else to_tex(piece, setting.engine)
                generated.files[file] = f"{text}".encode()
                generated.packages |= packages_of(piece)
    if results.results:
        for english in (
            appendix.machine_table(results),
            appendix.runs_table(results, has_targets=project.paper.has_links),
        ):
            table = in_language(english, project.paper.language)
            generated.files[f"tables/{table.name}.tex"] = _printed(table, in_tex, template, project.paper.language)
        text = appendix.machine_text(results, in_tex, language=project.paper.language)
        generated.files["text/environment.tex"] = str(text).encode()
    else:
        none = NotFinishedError(
            "", "pending", "there is no result of the plan as it is.", cause="", hint="Run `papergen run-exp`."
        )
        generated.missing.update(dict.fromkeys(("tables/runs", "tables/environment", "text/environment"), none))
    _declared(project, results, setting, in_tex, generated)
    return generated


def _printed(table: Table, escape: Escape, template: Template, language: str) -> bytes:
    """A table as a column takes it, or the whole text where that is too narrow; a long one as rows of a column."""
    column = template.column_width_in
    if table.is_long:
        return str(long_tex(table, escape, width_in=column * (LATIN_MODERN if language == "zh" else 1.0))).encode()
    width = column if fits(table, column) else template.text_width_in
    return str(tabular_tex(table, escape, width_in=width)).encode()


def _declared(project: Project, results: Results, setting: Typeset, escape: Escape, generated: Generated) -> None:
    """The tables and figures that paper.yaml declares."""
    paper, template = project.paper, setting.template
    if not paper.tables and not paper.figures:
        return
    document = read_yaml(project.root / PAPER, PAPER)
    makers: list[tuple[str, str, Callable[[], None]]] = []

    def table(name: str, spec: TableSpec) -> None:
        made = table_from(results, name, spec)
        stars = stars_said(results, made, spec, escape, paper.language) if spec.caption else ""
        text = float_tex(
            in_language(made, paper.language),
            escape,
            column_in=template.column_width_in,
            text_in=template.text_width_in,
            max_rows=spec.max_rows,
            caption=spec.caption + stars,
            place=spec.place,
            language=paper.language,
        )
        generated.files[f"tables/{name}.tex"] = str(text).encode()

    def figure(name: str, spec: FigureSpec) -> None:
        made = (
            figure_of_function(project.root, name, spec.function, results)
            if spec.function
            else figure_from(results, name, spec)
        )
        width = template.figure_width if made.width == "column" else template.text_width_in
        generated.figures[f"figures/{name}.pdf"] = (figure_in_language(made, paper.language), width)

    makers += [("tables", name, partial(table, name, spec)) for name, spec in paper.tables.items()]
    makers += [("figures", name, partial(figure, name, spec)) for name, spec in paper.figures.items()]
    for kind, name, make in makers:
        place = Place(PAPER, int(document.where(kind, name).rpartition(":")[2]))
        if f"{kind}/{name}{ENDINGS[kind]}" in {*generated.files, *generated.figures}:
            message = f"{kind}: an experiment writes {kind}/{name}{ENDINGS[kind]} already; take another name"
            generated.problems.append(Problem(Code.DECLARATION, message, place))
            continue
        try:
            make()
        except NotFinishedError as error:
            generated.missing[f"{kind}/{name}"] = error
        except PapergenError as error:
            message = f"{kind}: {name}: {error.message}"
            generated.problems.append(Problem(Code.DECLARATION, message, place, remedy=error.hint or ""))


def figure_of_function(root: Path, name: str, function: str, results: Results) -> Figure:
    """The figure that a function of the author's makes, under its name in paper.yaml."""
    file, _, word = function.rpartition(":")
    module = load_module(root / file) if file else None
    maker = getattr(module, word, None)
    if not callable(maker):
        raise PapergenError(
            f"{function}: there is no such function.", hint="Write FILE.py:NAME, FILE.py beside paper.yaml."
        )
    try:
        made = maker(results)
    except PapergenError:
        raise
    except Exception as error:
        raise PapergenError(f"{function} failed: {type(error).__name__}: {error}.") from error
    if not isinstance(made, Figure):
        raise PapergenError(f"{function} gave a {type(made).__name__}, not a papergen.report.figures.figure.Figure.")
    return replace(made, name=name)
