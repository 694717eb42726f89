"""What `papergen export` writes: the paper for arXiv, for Overleaf, for the publisher, and the whole project.

Archives are the same bytes for the same files: sorted names, one date, no owner, no machine in them.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from papergen.core.errors import MachineError, PapergenError, ResultError
from papergen.core.files import slug, write_atomic
from papergen.core.scratch import scratch_folder
from papergen.experiment.project import Project
from papergen.latex.tree import SourceTree
from papergen.paper.build import Progress, build, prepared, publish
from papergen.paper.check.base import Subject
from papergen.paper.check.run import CHECKS, subject_of
from papergen.paper.share.cleaning import Clean, cleaned

ARXIV_NAME = re.compile(r"[A-Za-z0-9_+\-.,=/]+")
ARXIV_MAX_MB = 50
LATEXMK = "# Overleaf reads this file: the paper is compiled by XeLaTeX.\n$pdf_mode = 5;\n"


EPOCH = (2024, 1, 1, 0, 0, 0)
"""The date of every file in an archive, the one inside our PDFs too."""
EPOCH_S = 1_704_067_200
ENDINGS = (".zip", ".tar.gz", ".tgz")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An archive that was written."""

    path: Path
    files: Mapping[str, int]
    """Name -> bytes before compression."""
    pages: int | None = None
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def export(project: Project, kind: str, output: Path | None = None, *, progress: Progress) -> Exported:
    """Write the archive of that kind, to `build/` when no output is named. Faults of the paper are those of `build`."""
    path = output or project.root / "build" / f"{_stem(project)}-{kind}{'.tar.gz' if kind == 'arxiv' else '.zip'}"
    require_ending(path)
    return KINDS[kind](project, path, progress)


def _stem(project: Project) -> str:
    """The project's name as strangers' machines take it; "paper" where it has letters beyond ASCII."""
    return slug(project.name) if project.name.isascii() else "paper"


def _arxiv(project: Project, path: Path, progress: Progress) -> Exported:
    built = build(project, progress=progress)
    clean = cleaned(built, progress=progress)
    files = dict(clean.files)
    if built.engine.engine != "pdflatex":
        main = built.assembly.sources.main
        readme = {"process": {"compiler": built.engine.engine}, "sources": [{"filename": main, "usage": "toplevel"}]}
        files["00README.json"] = (json.dumps(readme, indent=2) + "\n").encode()
    if wrong := [name for name in sorted(files) if not ARXIV_NAME.fullmatch(name)]:
        raise PapergenError(
            f"arXiv does not take files of these names: {', '.join(wrong)}.",
            hint="It takes letters from A to Z, digits and _ + - . , = only. Rename them in the project.",
        )
    return _written(path, files, clean)


def _overleaf(project: Project, path: Path, progress: Progress) -> Exported:
    built = build(project, progress=progress)
    files = {name: (built.tree / name).read_bytes() for name in SourceTree(built.tree).names}
    if built.engine.engine != "pdflatex":
        files["latexmkrc"] = LATEXMK.encode()
    write_archive(path, files)
    return Exported(path=path, files=_sizes(files), pages=built.compiled.pages)


def _camera_ready(project: Project, path: Path, progress: Progress) -> Exported:
    """The cleaned sources below source/ and the PDF, in the template's camera-ready mode."""
    final = replace(project, paper=project.paper.model_copy(update={"mode": "camera-ready"}))
    with scratch_folder("final") as scratch:
        ready = prepared(final, progress=progress)
        ready = replace(ready, assembly=replace(ready.assembly, folder=scratch / "tree"))
        built = publish(ready, scratch / "paper.pdf", progress=progress)
        _as_the_venue_asks(subject_of(built.assembly, ready.setting, built.compiled))
        clean = cleaned(built, keep_bibliography=True, progress=progress)
        files = {f"source/{name}": content for name, content in clean.files.items()}
        files[f"{_stem(project)}.pdf"] = built.compiled.pdf.read_bytes()
    return _written(path, files, clean)


FINAL_RULES = ("page-limit", "font", "author-missing", "still-blind")
"""Checks (`papergen check`) that a final version must pass; paper.yaml allows one of them, with its reason."""


def _as_the_venue_asks(subject: Subject) -> None:
    """ResultError with every rule that the final version breaks."""
    rules = [CHECKS[name] for name in FINAL_RULES if name not in subject.project.paper.allow]
    broken = [(rule.name, problem) for rule in rules for problem in rule.find(subject)]
    if broken:
        lines = [f"  [{name}] {problem.message}\n    {problem.remedy}" for name, problem in broken]
        raise ResultError(
            f"The camera-ready paper breaks these rules, so nothing was written:\n{chr(10).join(lines)}",
            hint='A rule that does not apply: "allow: {NAME: the reason}" in paper.yaml.',
        )


def _source(project: Project, path: Path, progress: Progress) -> Exported:
    """The project with its results, as git would keep it, once the paper is known to build."""
    built = build(project, progress=progress)
    top = project.name
    names = _kept_by_git(project.root) if shutil.which("git") else _kept_without_git(project.root)
    files = {f"{top}/{name}": (project.root / name).read_bytes() for name in names if name != path.name}
    write_archive(path, files)
    return Exported(path=path, files=_sizes(files), pages=built.compiled.pages)


def _kept_by_git(root: Path) -> list[str]:
    """Every file below `root` that .gitignore does not name, whether or not it is in a repository."""
    with scratch_folder("source") as scratch:
        _git(["init", "--quiet", "--bare", str(scratch)], root)
        listed = _git([f"--git-dir={scratch}", "--work-tree=.", *_LISTING], root)
    names = [name for name in listed.split("\0") if name]
    return sorted(name for name in names if not name.startswith("build/") and (root / name).is_file())


_LISTING = ("-c", "core.bare=false", "ls-files", "-z", "--others", "--exclude-standard")


def _git(arguments: list[str], folder: Path) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise MachineError(f"git {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()[:300]}")
    return done.stdout.decode("utf-8", errors="surrogateescape")


def _kept_without_git(root: Path) -> list[str]:
    if (root / ".gitignore").exists():
        raise MachineError("git is needed to read .gitignore.", hint="Install it: sudo apt-get install git")
    names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return sorted(name for name in names if not name.startswith("build/"))


def _written(path: Path, files: Mapping[str, bytes], clean: Clean) -> Exported:
    write_archive(path, files)
    notes = [*clean.notes]
    if path.stat().st_size > ARXIV_MAX_MB * 1_000_000:
        notes.append(f"larger than {ARXIV_MAX_MB} MB, which arXiv refuses")
    return Exported(path=path, files=_sizes(files), pages=clean.pages, left_out=clean.left_out, notes=tuple(notes))


def _sizes(files: Mapping[str, bytes]) -> dict[str, int]:
    return {name: len(content) for name, content in sorted(files.items())}


KINDS: Mapping[str, Callable[[Project, Path, Progress], Exported]] = {
    "arxiv": _arxiv,
    "overleaf": _overleaf,
    "camera-ready": _camera_ready,
    "source": _source,
}


def require_ending(path: Path) -> None:
    """PapergenError when the name ends like no archive that can be written."""
    if not path.name.endswith(ENDINGS):
        raise PapergenError(f"{path}: an archive ends in {', '.join(ENDINGS)}.", hint="Give --output such a name.")


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the files (relative POSIX name -> bytes) as the archive that the name's ending asks for."""
    require_ending(path)
    if path.name.endswith(".zip"):
        write_atomic(path, _zip(files))
    else:
        write_atomic(path, _tar(files))


def _zip(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever this runs
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return stream.getvalue()


def _tar(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=9, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), EPOCH_S, 0o644
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
