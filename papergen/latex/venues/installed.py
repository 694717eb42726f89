"""Which templates this machine can typeset, and what to install for the others."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from papergen.latex.build.engine import debian_packages, install_hint, install_lines, locate
from papergen.latex.venues.template import Template, list_templates, load_template


@dataclass(frozen=True, kw_only=True)
class Availability:
    """One template in one of its languages on this machine."""

    template: Template
    language: str
    engine: str
    missing: tuple[str, ...]
    """Programs and files that TeX lacks."""

    @property
    def is_installed(self) -> bool:
        """Whether a paper of this kind can be built here (style files of the author aside)."""
        return not self.missing

    def install_lines(self) -> list[str]:
        """What to type to install what is missing: the line for each system, that of this one first."""
        return install_lines(*self._packages())

    def hint(self) -> str:
        """The same as a text."""
        return install_hint(*self._packages())

    def _packages(self) -> tuple[list[str], list[str]]:
        """The packages of Debian and those of TeX Live."""
        stems = [Path(name).stem for name in self.missing]
        apt = debian_packages(stems)
        if self.engine in self.missing:
            apt = list(dict.fromkeys(["texlive-xetex" if self.engine == "xelatex" else "texlive-latex-base", *apt]))
        return apt, stems


def survey(names: Iterable[str] | None = None, project: Path | None = None) -> list[Availability]:
    """Every template (those of `project` too) in every language; one call of kpsewhich for all."""
    chosen = list_templates(project) if names is None else names
    templates = [load_template(name, project) for name in chosen]
    wanted = {
        (template.name, language): template.needed_files(language, "bibtex")
        for template in templates
        for language in template.languages
    }
    has_tex = shutil.which("kpsewhich") is not None
    found = locate(name for files in wanted.values() for name in files) if has_tex else {}
    known: list[Availability] = []
    for template in templates:
        for language, typesetting in template.languages.items():
            files = wanted[template.name, language]
            programs = [name for name in (typesetting.engine, "bibtex") if shutil.which(name) is None]
            lacking = [name for name in files if found.get(name) is None]
            known.append(
                Availability(
                    template=template,
                    language=language,
                    engine=typesetting.engine,
                    missing=(*programs, *dict.fromkeys(lacking)),
                )
            )
    return known
