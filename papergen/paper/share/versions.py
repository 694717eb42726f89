"""A version of a paper, by the name its author gives it: a folder, a git revision, a snapshot of a build, a PDF."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from papergen.core.errors import MachineError, PapergenError
from papergen.core.files import read_json, slug
from papergen.experiment.project import Project, open_project
from papergen.experiment.states import TrialState, differences
from papergen.latex.pdf import inspect_pdf
from papergen.latex.problems import Problem
from papergen.latex.venues.typesetting import typeset
from papergen.paper import snapshots
from papergen.paper.assemble import assemble
from papergen.paper.build import drawn_figures
from papergen.paper.snapshots import Snapshot
from papergen.report.results import Results
from papergen.store.records import Trial
from papergen.store.runs import Run

LATEST = "build"
"""Names the snapshot of the last build."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version with the LaTeX tree that it had."""

    name: str
    snapshot: Snapshot
    tree: Path
    problems: tuple[Problem, ...] = ()
    """What would forbid a PDF of it."""


@contextmanager
def opened(name: str, project: Path, scratch: Path) -> Iterator[Version]:
    """The version of the paper in `project` that `name` means; its files live as long as the block and `scratch`.

    Numbers of a folder or a revision are those of its results, stale ones too: what changed since is the question.
    """
    folder = Path(name).expanduser()
    if folder.is_file() and folder.suffix == ".pdf":
        yield _kept(project, digest_in(folder), name)
    elif (folder / "paper.yaml").is_file():
        yield _assembled(folder.resolve(), name, scratch)
    elif name == LATEST:
        newest = snapshots.kept(project)
        if not newest:
            raise PapergenError("build: the paper has not been built yet.", hint="Run papergen build-pdf first.")
        yield Version(name=name, snapshot=snapshots.read(newest[0]), tree=newest[0] / "tree")
    elif re.fullmatch(r"[0-9a-f]{6,64}", name) and (found := _matching(project, name)):
        yield Version(name=name, snapshot=snapshots.read(found), tree=found / "tree")
    else:
        yield _assembled(_checked_out(project, name, scratch), name, scratch)


def digest_in(pdf: Path) -> str:
    """The digest of everything behind a PDF, from its metadata; PapergenError when papergen did not make it."""
    digest = inspect_pdf(pdf).metadata.get("PapergenDigest", "")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise PapergenError(
            f"{pdf}: this PDF carries no digest of papergen, so nothing is known about its numbers.",
            hint="Give a PDF that papergen build-pdf made.",
        )
    return digest


def kept_for(project: Path, pdf: Path) -> tuple[Snapshot, Path]:
    """The snapshot of the build that made a PDF, and its tree; PapergenError for a PDF of another project."""
    found = _kept(project, digest_in(pdf), str(pdf))
    return found.snapshot, found.tree


def _kept(project: Path, digest: str, name: str) -> Version:
    found = snapshots.folder_of(project) / digest[:16]
    if not found.is_dir():
        raise PapergenError(
            f"{name}: no build of this project gave this PDF (digest {digest[:16]}).",
            hint=f"It is from another project, or older than the last {snapshots.MAX_KEPT} builds kept in build/.",
        )
    snapshot = snapshots.read(found)
    if snapshot.digest != digest:
        raise PapergenError(f"{name}: no build of this project gave this PDF (digest {digest[:16]}).")
    return Version(name=name, snapshot=snapshot, tree=found / "tree")


def _matching(project: Path, digest: str) -> Path | None:
    return next((path for path in snapshots.kept(project) if path.name.startswith(digest[:16])), None)


def _assembled(root: Path, name: str, scratch: Path) -> Version:
    try:
        project = open_project(root)
        setting = typeset(project.paper, root)
        paper = assemble(project, _results(project), setting)
    except MachineError:
        raise
    except PapergenError as error:
        error.at(f"{name}: this version cannot be put together")
        raise
    drawn = drawn_figures(project, paper.generated, lambda _: None)
    digest = snapshots.paper_digest(paper, drawn)
    tree = scratch / f"tree-{digest[:16]}"
    replace(paper, folder=tree).sources.with_files(drawn).write(tree)
    return Version(
        name=name, snapshot=snapshots.take(paper, digest, setting.engine), tree=tree, problems=paper.problems
    )


def _results(project: Project) -> Results:
    """The results of the plan; where there is none, the finished trial of that row and seed that is most like it."""
    planned = []
    for item in project.states():
        if item.state != "finished" and (earlier := list(_earlier(project, item.trial))):
            parts = item.trial.parts
            nearest = min(earlier, key=lambda trial: len(differences(trial.parts, parts)))
            planned.append(TrialState(trial=nearest, state="finished"))
        else:
            planned.append(item)
    return Results.read(project.store, planned, project.metrics, project.row_labels)


def _earlier(project: Project, trial: Trial) -> Iterator[Trial]:
    """Finished trials of the same experiment, row and seed under other digests."""
    for path in sorted(project.store.run(trial).folder.parent.glob(f"{slug(trial.row)}-seed{trial.seed}-*")):
        if Run(path).result_file.exists():
            found = Trial.from_json(read_json(Run(path).trial_file), project.store.shown(Run(path).trial_file))
            if (found.experiment, found.row) == (trial.experiment, trial.row):
                yield found


def _checked_out(project: Path, revision: str, scratch: Path) -> Path:
    """The project's folder as it was in a git revision, written below `scratch`."""
    if shutil.which("git") is None:
        raise MachineError("git is not on this machine.", hint="Install it: sudo apt-get install git")
    if (
        revision.startswith("-")
        or _git(["rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"], project) is None
    ):
        raise PapergenError(
            f"{revision}: no paper's folder, no PDF, no snapshot in build/.snapshots and no git revision here.",
            hint="Examples: papergen diff HEAD~1 .   papergen diff submitted.pdf build   papergen diff ../old-paper .",
        )
    packed = _git(["archive", "--format=tar", revision, "."], project)
    if packed is None:
        raise PapergenError(
            f"{revision}: the paper's folder is not in this revision.", hint="Was it committed by then?"
        )
    folder = scratch / re.sub(r"[^A-Za-z0-9.]+", "-", f"revision-{revision}") / project.name
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    if not (folder / "paper.yaml").is_file():
        raise PapergenError(f"{revision}: there is no paper.yaml in this revision.")
    return folder


def _git(arguments: list[str], folder: Path) -> bytes | None:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return done.stdout if done.returncode == 0 else None
