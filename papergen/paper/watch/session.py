"""One project that is built again at every change: modules and configuration stay in memory from build to build."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from papergen.core.errors import PapergenError
from papergen.core.files import digest_bytes
from papergen.experiment.project import Project, open_project
from papergen.latex.build.driver import set_aside
from papergen.latex.problems import Code, Problem, TexError
from papergen.paper import snapshots
from papergen.paper.build import Built, prepared, publish, remember, speed_up
from papergen.paper.snapshots import ClaimSeen

Status = Literal["building", "built", "failed"]


@dataclass(frozen=True, kw_only=True)
class State:
    """How the paper stands after a build."""

    version: int
    status: Status
    seconds: float = 0.0
    pages: int = 0
    """Of the last PDF that was built whole."""
    pdf: str = ""
    """The beginning of its digest; "" when there is none yet."""
    errors: tuple[dict[str, Any], ...] = ()
    """`where`, `message`, `excerpt`, `cause`, `remedy` of everything that forbids a PDF."""
    warnings: tuple[str, ...] = ()
    stale: tuple[dict[str, str], ...] = ()
    """`trial`, `state`, `reason` of every trial of the plan that is not finished."""
    claims: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


class Session:
    """One project, built again and again; `state` is always whole, and `pdf` the last PDF without an error."""

    def __init__(self, root: Path, *, is_draft: bool = False, tell: Callable[[State], None] | None = None) -> None:
        self.root = root
        self.is_draft = is_draft
        self.pdf = b""
        self.state = State(version=0, status="building")
        self._project: Project | None = None
        self.tell = tell
        self._built: Built | None = None

    def rebuild(self, changed: Collection[Path] = ()) -> State:
        """Build after these paths changed; never raises for a fault of the paper, which the state then holds."""
        started = time.monotonic()
        kept = {"pages": self.state.pages, "pdf": self.state.pdf}
        self._set(State(**{**vars(self.state), "status": "building", "version": self.state.version + 1}))
        stale: tuple[dict[str, str], ...] = ()
        claims: tuple[ClaimSeen, ...] = ()
        try:
            project = self._opened(changed)
            stale = tuple(_unfinished(project))
            try:
                ready = prepared(project, is_draft=self.is_draft, progress=_silent)
                claims = tuple(snapshots.claims_of(ready.assembly))
                built = publish(ready, project.pdf, progress=_silent)
            except BaseException:
                set_aside(project.pdf)  # an old PDF must not be taken for this build's
                raise
        except PapergenError as error:
            self._set(
                State(
                    version=self.state.version + 1,
                    status="failed",
                    seconds=time.monotonic() - started,
                    errors=tuple(_errors(error)),
                    stale=stale,
                    claims=tuple(_claim(seen) for seen in claims),
                    **kept,  # type: ignore[arg-type]
                )
            )
            return self.state
        self.pdf = built.compiled.pdf.read_bytes()
        self._set(
            State(
                version=self.state.version + 1,
                status="built",
                seconds=time.monotonic() - started,
                pages=built.compiled.pages,
                pdf=digest_bytes(self.pdf)[:16],
                warnings=tuple(str(problem) for problem in built.compiled.warnings if problem.code is Code.OVERFULL),
                stale=stale,
                claims=tuple(_claim(seen) for seen in claims),
            )
        )
        self._built = built
        return self.state

    def rest(self) -> None:
        """Do what can wait while somebody types: keep the last build as a snapshot, and make the next one faster."""
        if self.state.stale:  # results will come, and figures be drawn of them
            from papergen.report.figures import draw  # noqa: F401 (loads matplotlib)
        built, self._built = self._built, None
        if built is None:
            return
        if not self.is_draft:
            remember(built)
        speed_up(built, after_builds=1)  # whoever watches will edit

    def _opened(self, changed: Collection[Path]) -> Project:
        """The project, read again only when its configuration or its experiments changed."""
        if self._project is None or any(self._is_configuration(path) for path in changed):
            self._project = None  # what cannot be read now must not be used later
            self._project = open_project(self.root)
        return self._project

    def _is_configuration(self, path: Path) -> bool:
        if path == self.root:
            return True  # the kernel lost count: anything may have changed
        top = path.relative_to(self.root).parts[0]
        # Data that experiments read lie anywhere; the paper's own folders and the results are not among them.
        return top not in {"sections", "figures", "tables", "results", "references.bib"} and not top.startswith(
            "main.tex"
        )

    def _set(self, state: State) -> None:
        self.state = state
        if self.tell is not None:
            self.tell(state)


def _silent(_: str) -> None:
    """Progress that nobody reads."""


def _unfinished(project: Project) -> list[dict[str, str]]:
    return [
        {"trial": item.trial.label, "state": item.state, "reason": item.reason}
        for item in project.states()
        if item.state != "finished"
    ]


def _errors(error: PapergenError) -> list[dict[str, Any]]:
    if not isinstance(error, TexError):
        return [{"where": "", "message": error.message, "excerpt": "", "cause": "", "remedy": error.hint or ""}]
    return [_error(problem) for problem in error.problems]


def _error(problem: Problem) -> dict[str, Any]:
    line = f":{problem.place.line}" if problem.place.line else ""
    return {
        "where": f"{problem.place.file}{line}",
        "message": problem.message,
        "excerpt": problem.excerpt.strip()[:200],
        "cause": problem.cause,
        "remedy": problem.remedy,
    }


def _claim(seen: ClaimSeen) -> dict[str, Any]:
    return {**asdict(seen), "where": f"{seen.file}:{seen.line}"}
