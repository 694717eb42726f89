"""What a check is given, what it finds, and how the families of checks present themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from papergen.experiment.project import Project
from papergen.latex.bibliography.bibtex import Bibliography
from papergen.latex.build.driver import Compiled
from papergen.latex.lint.lint import reachable
from papergen.latex.pdf import PdfFacts, inspect_pdf
from papergen.latex.problems import Code, Place, Problem
from papergen.latex.sources import Kind, Use
from papergen.latex.tree import SourceTree
from papergen.latex.venues.template import Template
from papergen.paper.assemble import Assembly
from papergen.report.results import Results


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A paper under examination."""

    assembly: Assembly
    template: Template
    bibliography: Bibliography
    """The author's references.bib."""
    compiled: Compiled | None
    """The last build, None when it is not up to date."""
    auxiliary: Path
    """Where the .aux files of that build lie."""
    is_anonymous: bool = False
    """Whether reviewers must not learn who wrote the paper."""
    page_limit: int | None = None
    """Most pages that the venue takes in this mode."""
    counts_text_only: bool = False
    """Whether the references and what follows them do not count."""

    @property
    def project(self) -> Project:
        """The paper's project."""
        return self.assembly.project

    @property
    def results(self) -> Results:
        """What its experiments brought."""
        return self.assembly.results

    @cached_property
    def tree(self) -> SourceTree:
        """Its LaTeX tree as text."""
        return self.assembly.tree

    @cached_property
    def names(self) -> list[str]:
        """The TeX files that the paper reads, in reading order."""
        return reachable(self.tree, self.assembly.sources.main)[0]

    @cached_property
    def own_names(self) -> list[str]:
        """Those of them that the author wrote."""
        return [name for name in self.names if name not in self.assembly.sources.generated]

    def uses(self, *kinds: Kind) -> list[Use]:
        """The uses of these kinds in the files that the paper reads."""
        return [use for name in self.names for use in self.tree.uses_of(name) if use.kind in kinds]

    @cached_property
    def pdf(self) -> PdfFacts:
        """The facts of the PDF; only for checks that need it."""
        assert self.compiled is not None, "a check of the PDF runs only when there is one"
        return inspect_pdf(self.compiled.pdf)

    def at(self, code: Code, message: str, file: str, line: int, column: int = 0, *, remedy: str = "") -> Problem:
        """A problem at a place of the tree, told at the author's place."""
        return self.tree.problem(code, message, Place(file, line, column), remedy=remedy)

    def in_project(self, code: Code, message: str, file: str, line: int = 0, *, remedy: str = "") -> Problem:
        """A problem at a place of the project itself."""
        path = self.project.root / file
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if line and path.is_file() else []
        excerpt = lines[line - 1].strip() if 0 < line <= len(lines) else ""
        return Problem(code, message, Place(file, line), excerpt, remedy=remedy)

    def in_pdf(self, code: Code, message: str, *, remedy: str = "") -> Problem:
        """A problem of the PDF as a whole."""
        shown = self.project.pdf.relative_to(self.project.root)
        return Problem(code, message, Place(Path(shown).as_posix()), remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that is looked for."""

    name: str
    """What its findings carry as `Code.check`, and what the author allows."""
    looks_for: str
    """One phrase: "check looks for ..."."""
    find: Callable[[Subject], Iterable[Problem]]
    needs_pdf: bool = False


FIXABLE = frozenset({Code.BARE_SPECIAL, Code.REPEATED_ENTRY})
"""What `check --fix` mends, without a doubt about what the author meant."""


@dataclass(frozen=True)
class Finding:
    """What a check found; `allowed` is the author's reason to leave it as it is."""

    problem: Problem
    allowed: str = ""

    @property
    def check(self) -> str:
        """The name of the check."""
        return self.problem.code.check

    @property
    def can_fix(self) -> bool:
        """Whether `check --fix` mends it."""
        return self.problem.code in FIXABLE

    def __str__(self) -> str:
        """The problem, with the name of the check on its first line."""
        first, *rest = str(self.problem).split("\n")
        fix = "  (papergen check --fix mends this)" if self.can_fix else ""
        return "\n".join([f"{first} [{self.check}]{fix}", *rest])


def stops_a_build(name: str, looks_for: str) -> Check:
    """The check of that name that gathers what the assembly of the paper found already: it stops a build, too."""

    def find(subject: Subject) -> Sequence[Problem]:
        return [problem for problem in subject.assembly.problems if problem.code.check == name]

    return Check(name=name, looks_for=looks_for, find=find)
