"""A template: the folder a paper project is scaffolded from, and the facts about its page that a build needs.

Templates come through one door: those that ship with papergen, those that installed packages offer (entry points of the
group `papergen.templates`, each naming a module or function that gives a folder), those in the project's own folder
templates/, and a folder named by its path.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from papergen.config import checked
from papergen.core.errors import PapergenError, nearest_name
from papergen.core.shipped_files import shipped
from papergen.core.strict_yaml import read_yaml
from papergen.latex.text import Engine

Language = Literal["en", "zh"]
Mode = Literal["review", "preprint", "camera-ready"]
Bibliography = Literal["bibtex", "biber"]

MODES: tuple[Mode, ...] = ("review", "preprint", "camera-ready")
FACTS = "template.yaml"
ENTRY_POINTS = "papergen.templates"
OWN = "templates"
"""Folder of a project with templates of its own, each a folder there, as the shipped ones lie in papergen's."""
SHARED_PACKAGES = "shared/packages.txt"
"""What the skeleton loads in every template, one file name per line."""


class Typesetting(BaseModel):
    """How a paper in one language is compiled."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    engine: Engine = Field(description="TeX engine: pdflatex or xelatex.")
    packages: list[str] = Field(
        description="Files that TeX must find, as kpsewhich names them, besides those every skeleton loads.",
        min_length=1,
    )


class Rules(BaseModel):
    """What a venue asks of a paper in one mode."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    page_limit: int | None = Field(default=None, description="Most pages the venue takes; none when absent.", ge=1)
    counts: Literal["all", "text"] = Field(
        default="all", description="Which pages the limit counts: all, or those of the text, without the references."
    )
    is_anonymous: bool = Field(default=False, description="Whether nothing may tell who wrote the paper.")


class StyleFile(BaseModel):
    """A file of the venue that papergen may not ship; the author puts it beside paper.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    file: str = Field(description="Its name, or a pattern such as icml20[0-9][0-9].sty.")
    source: str = Field(description="Where the venue offers it.")
    sha256: list[str] = Field(default=[], description="Digests of the venue's own versions that are known.")


class Template(BaseModel):
    """template.yaml of one template's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(description="Name of the folder, and what --template takes.")
    label: str = Field(description="What the template looks like, in one line.")
    extends: str | None = Field(
        default=None, description="Template whose prose and experiments this one takes; its own files come first."
    )
    column_width_in: float = Field(description="Width of a column in inches.", gt=0)
    text_width_in: float = Field(description="Width of the text over all columns in inches.", gt=0)
    figure_width_in: float | None = Field(
        default=None, description="Width of a figure of one column; the column's when absent.", gt=0
    )
    modes: dict[Mode, Rules] = Field(default={}, description="Mode -> what the venue asks; nothing when absent.")
    bibliography: dict[Bibliography, list[str]] = Field(
        default={"bibtex": []}, description="Program for the bibliography -> files that TeX must find for it."
    )
    style_files: list[StyleFile] = Field(default=[], description="Files of the venue that the author supplies.")
    experiments: list[str] = Field(description="Experiments that the template has prose for, in order.", min_length=1)
    default_experiments: list[str] = Field(
        description="Those that a new project has when none is chosen.", min_length=1
    )
    languages: dict[Language, Typesetting] = Field(description="Language -> how it is compiled.", min_length=1)
    _folders: tuple[Path, ...] = PrivateAttr(default=())

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the template lies, after the folders of the templates that it extends."""
        return self._folders

    @property
    def folder(self) -> Path:
        """Where the template lies."""
        return self._folders[-1]

    @property
    def figure_width(self) -> float:
        """Inches that a figure of one column takes."""
        return self.figure_width_in or self.column_width_in

    def rules(self, mode: Mode) -> Rules:
        """What the venue asks of a paper in that mode."""
        return self.modes.get(mode, Rules())

    def typesetting(self, language: str, *, typed: str = "`template: {}` in paper.yaml") -> Typesetting:
        """How a paper in `language` is compiled; PapergenError when the template does not have that language.

        The message says which templates have it, and to type one of them as `typed`.
        """
        for known, typesetting in self.languages.items():
            if known == language:
                return typesetting
        others = [name for name in list_templates() if language in load_template(name).languages]
        remedy = f"Type {typed.format(others[0])}." if others else "A template of your own may have it."
        raise PapergenError(
            f"the template {self.name} has no language {language!r}, only {', '.join(sorted(self.languages))}.",
            hint=f"Templates with {language}: {', '.join(others) or 'none'}. {remedy}",
        )

    def needed_files(self, language: str, bibliography: Bibliography) -> list[str]:
        """Every file that TeX must find for such a paper, as kpsewhich names them.

        PapergenError when the template does not work with that bibliography program.
        """
        if bibliography not in self.bibliography:
            raise PapergenError(
                f"paper.yaml: bibliography = {bibliography!r}: the template {self.name} does not work with it.",
                hint=f"Write bibliography: {' or '.join(self.bibliography)}, or take another template.",
            )
        shared = (shipped("templates") / SHARED_PACKAGES).read_text(encoding="utf-8").splitlines()
        names = [name for name in shared if name and not name.startswith("#")]
        if bibliography == "biber":
            names.remove("natbib.sty")
        return [*self.typesetting(language).packages, *names, *self.bibliography[bibliography]]


def list_templates(project: Path | None = None) -> dict[str, Path]:
    """Name -> folder of every template that ships with papergen, that an installed package offers or that lies in
    `project`/templates, sorted. PapergenError when two have one name.
    """
    found = {path.parent.name: path.parent for path in shipped("templates").glob(f"*/{FACTS}")}
    own = {path.parent.name: path.parent for path in (project / OWN).glob(f"*/{FACTS}")} if project else {}
    for name, folder in (*_offered().items(), *own.items()):
        if name in found:
            hint = f"Rename {OWN}/{name}, or name it by its path: ./{OWN}/{name}." if name in own else "Remove one."
            raise PapergenError(f"two templates are called {name}: {found[name]} and {folder}.", hint=hint)
        found[name] = folder
    return dict(sorted(found.items()))


def load_template(name: str, project: Path | None = None) -> Template:
    """The template of that name, or in the folder of that path (with a slash in it; relative to `project`).

    PapergenError with the nearest name when there is none, and with every fault of its template.yaml.
    """
    return _load(name, project or Path.cwd(), project, ())


def _load(name: str, base: Path, project: Path | None, below: tuple[str, ...]) -> Template:
    folder, shown = _find(name, base, project)
    if str(folder) in below:
        raise PapergenError(f"{shown}: extends: the template extends itself.")
    document = read_yaml(folder / FACTS, shown)
    data: dict[str, Any] = {"name": folder.name if os.sep in name else name, **document.data}
    parent = None
    if isinstance(data.get("extends"), str):
        parent = _load(data["extends"], folder, project, (*below, str(folder)))
        for key in ("experiments", "default_experiments"):
            data.setdefault(key, getattr(parent, key))
    if "experiments" in data:
        data.setdefault("default_experiments", data["experiments"])
    template = checked(Template, data, document.where)
    template._folders = (*(parent.folders if parent else ()), folder)
    return template


def _find(name: str, base: Path, project: Path | None) -> tuple[Path, str]:
    """The folder of a template, and what messages call its template.yaml."""
    if "/" in name or os.sep in name:
        folder = (base / name).resolve()
        if not (folder / FACTS).is_file():
            raise PapergenError(
                f"there is no template at {folder}: it has no {FACTS}.",
                hint="A template with a slash in its name is a folder, relative to the paper's.",
            )
        return folder, str(folder / FACTS)
    ships, own = shipped("templates") / name, (project / OWN / name).resolve() if project else None
    if name and name.isascii() and (ships / FACTS).is_file() and not (own and (own / FACTS).is_file()):
        return ships, f"{OWN}/{name}/{FACTS}"
    known = list_templates(project)
    if name in known:
        folder = known[name].resolve()
        return folder, f"{OWN}/{name}/{FACTS}" if folder == own else str(folder / FACTS)
    near = nearest_name(name, known)
    every = (f"Did you mean {near}? " if near else "") + f"Known: {', '.join(known)}."
    if own and own.is_dir():
        raise PapergenError(f"{OWN}/{name} is no template: it has no {FACTS}. {every}")
    mine = name or "mine"
    here = f"the folder {OWN}/{mine} of the paper, or" if project else "a folder that is"
    hint = f"A template of your own is {here} named by its path, with a slash: ../{mine}."
    raise PapergenError(f"there is no template {name!r}. {every}", hint=hint)


def _offered() -> Mapping[str, Path]:
    """Name -> folder of the templates of installed packages."""
    from importlib import metadata

    found: dict[str, Path] = {}
    for point in metadata.entry_points(group=ENTRY_POINTS):
        offered = point.load()
        folder = offered() if callable(offered) else offered
        if not isinstance(folder, (str, os.PathLike)):
            folder = Path(str(getattr(folder, "__file__", ""))).parent
        path = Path(folder)
        if not (path / FACTS).is_file():
            raise PapergenError(
                f"the installed template {point.name} ({point.value}) has no {FACTS} in {path}.",
                hint="Update or remove the package that brings it.",
            )
        if point.name in found:
            raise PapergenError(f"two templates are called {point.name}: {found[point.name]} and {path}.")
        found[point.name] = path
    return found
