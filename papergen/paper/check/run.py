"""All checks, run over one paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from papergen.core.errors import MachineError
from papergen.experiment.project import Project
from papergen.latex.bibliography.database import read_bib
from papergen.latex.build.driver import Compiled, auxiliary_folder, last_build
from papergen.latex.build.engine import find_engine
from papergen.latex.text import Engine
from papergen.latex.venues.typesetting import Typeset, typeset
from papergen.paper.assemble import Assembly, assemble, read_results
from papergen.paper.build import complete
from papergen.paper.check import anonymity, pages, ratios, references, sources, typed
from papergen.paper.check.base import Check, Finding, Subject
from papergen.paper.check.marks import apply_marks, read_marks
from papergen.report.figures.rendering import cached

FAMILIES = (sources, typed, ratios, references, pages, anonymity)
CHECKS: Mapping[str, Check] = {check.name: check for family in FAMILIES for check in family.CHECKS}


@dataclass(frozen=True)
class Examined:
    """What the checks found in one paper."""

    subject: Subject
    findings: tuple[Finding, ...]
    """Those that stand and those that the author allows."""
    not_run: tuple[str, ...]
    """Names of the checks that need a PDF, when there is none."""
    why_not: str = ""

    @property
    def standing(self) -> tuple[Finding, ...]:
        """The findings that nobody allowed."""
        return tuple(finding for finding in self.findings if not finding.allowed)

    def only(self, wanted: Callable[[str], bool]) -> Examined:
        """What the checks of these names found, without the claims."""
        subject = replace(self.subject, assembly=replace(self.subject.assembly, claims=()))
        findings = tuple(finding for finding in self.findings if wanted(finding.check))
        return Examined(subject, findings, tuple(filter(wanted, self.not_run)), self.why_not)


def examine(project: Project, *, is_anonymous: bool = False) -> Examined:
    """Run every check. Nothing is written, and TeX is not run: what needs a PDF looks at the last build."""
    setting = typeset(project.paper, project.root)
    assembly = assemble(project, read_results(project), setting)
    compiled, why_not = _last_build(assembly, setting.engine)
    subject = subject_of(assembly, setting, compiled, is_anonymous=is_anonymous)
    run = [check for check in CHECKS.values() if compiled is not None or not check.needs_pdf]
    not_run = tuple(name for name, check in CHECKS.items() if check not in run)
    found = {(check.name, str(problem)): Finding(problem) for check in run for problem in check.find(subject)}
    assert all(name == finding.check for (name, _), finding in found.items()), "a check finds what bears its name"
    files = [*assembly.sources.own.values(), "references.bib"]
    marks = [mark for mark in read_marks(project.root, files) if mark.check not in not_run]
    findings = apply_marks(list(found.values()), marks, project.paper.allow, CHECKS)
    order = {
        name: index for index, name in enumerate(dict.fromkeys(finding.problem.place.file for finding in findings))
    }
    findings.sort(key=lambda finding: (order[finding.problem.place.file], finding.problem.place.line))
    return Examined(subject, tuple(findings), not_run, why_not)


def subject_of(
    assembly: Assembly, setting: Typeset, compiled: Compiled | None, *, is_anonymous: bool = False
) -> Subject:
    """A paper and its last build, with what its venue asks for."""
    project = assembly.project
    return Subject(
        assembly=assembly,
        template=setting.template,
        bibliography=read_bib(project.root / "references.bib")[1],
        compiled=compiled,
        auxiliary=auxiliary_folder(assembly.folder, setting.engine),
        is_anonymous=is_anonymous or setting.rules.is_anonymous,
        page_limit=project.paper.page_limit or setting.rules.page_limit,
        counts_text_only=setting.rules.counts == "text",
    )


def _last_build(assembly: Assembly, engine: Engine) -> tuple[Compiled | None, str]:
    """The last build when it is of this very paper, else why not."""
    project = assembly.project
    if not project.pdf.is_file():
        return None, "the paper has not been built"
    stale = f"{project.pdf.name} is older than the paper"
    if assembly.problems:
        return None, stale
    cache = project.root / "build" / ".figures"
    drawn = {name: cached(figure, width_in, cache) for name, (figure, width_in) in assembly.generated.figures.items()}
    if None in drawn.values():
        return None, stale
    sources, _ = complete(assembly, {name: content for name, content in drawn.items() if content is not None})
    for name, content in sources.contents.items():
        path = assembly.folder / name
        if not path.is_file() or path.read_bytes() != content:
            return None, stale
    try:
        toolchain = find_engine(engine)
    except MachineError:
        return None, "there is no TeX on this machine"
    compiled = last_build(assembly.folder, assembly.sources.main, engine=toolchain, output=project.pdf)
    return compiled, "" if compiled is not None else stale
