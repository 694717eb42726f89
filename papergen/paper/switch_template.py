"""Another template for a paper that exists: only its root file is written anew, and the old one is kept.

Prose, macros, bibliography, experiments and results stay as they are. Sections that the author added stay in the text,
in their order, and going back to a template brings back the root file as it was left.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from papergen.config import read_paper
from papergen.core.errors import PapergenError
from papergen.core.files import write_atomic
from papergen.latex.text import Tex
from papergen.latex.venues.template import Template, load_template
from papergen.paper.scaffold import project_files

SKELETON = "main.tex.j2"
KEPT = "skeletons"
"""Folder of the root files of templates that the paper had before."""
SECTION = re.compile(r"^[ \t]*\\(?:input|include)\s*\{sections/([^}]+?)(?:\.tex)?\}", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Switched:
    """What a switch did, or would do."""

    template: str
    kept: str
    """Where the old root file is, relative to the project."""
    was_kept_before: bool
    """The new root file is the one that the paper had when it last used this template."""
    edits: tuple[str, ...]
    """Lines of the old root file that its template did not write: the author may want them in preamble.tex."""


def switch(root: Path, name: str, *, is_dry_run: bool = False) -> Switched:
    """Give the paper in `root` the template `name`.

    PapergenError, and nothing written, when there is no such template, it lacks the paper's language or bibliography
    program, the paper uses it already, or the root file is a plain main.tex.
    """
    paper = read_paper(root)
    shown = os.path.relpath(Path(name).absolute(), root) if os.sep in name else name
    new = load_template(shown, root)
    new.typesetting(paper.language, typed="papergen template switch {}")
    new.needed_files(paper.language, paper.bibliography)
    skeleton = root / SKELETON
    if shown == paper.template:
        raise PapergenError(f"the paper has the template {name} already.")
    if not skeleton.is_file():
        raise PapergenError(
            f"there is no {SKELETON} here: a root file that papergen did not write is not replaced.",
            hint="Rename main.tex to main.tex.j2 if it is to be replaced (it is kept).",
        )
    old = skeleton.read_text(encoding="utf-8")
    before = root / KEPT / f"{_file_name(shown)}.tex.j2"
    files = _files(root, new, shown, old)
    text = before.read_bytes() if before.is_file() else files[SKELETON]
    kept = f"{KEPT}/{_file_name(paper.template)}.tex.j2"
    done = Switched(
        template=shown, kept=kept, was_kept_before=before.is_file(), edits=_edits(root, paper.template, old)
    )
    if not is_dry_run:
        write_atomic(root / kept, old)
        if not (root / "preamble.tex").exists() and "preamble.tex" in files:
            write_atomic(root / "preamble.tex", files["preamble.tex"])
        write_atomic(skeleton, text)
        write_atomic(root / "paper.yaml", _with_template((root / "paper.yaml").read_text(encoding="utf-8"), shown))
    return done


def sections_of(skeleton: str) -> dict[str, list[Tex]]:
    r"""The sections that a root file inputs: those of the text and those after `\appendix`, without the abstract."""
    plain = re.sub(r"(?m)(?<!\\)%.*", "", skeleton)
    text, _, appendix = (
        re.split(r"(\\appendi(?:x|ces)\b)", plain, maxsplit=1) if r"\appendi" in plain else (plain, "", "")
    )
    return {
        "text": [Tex(name) for name in SECTION.findall(text) if name != "abstract"],
        "appendix": [Tex(name) for name in SECTION.findall(appendix)],
    }


def _files(root: Path, template: Template, shown: str, old: str) -> dict[str, bytes]:
    """What the template would write for this paper, with the sections that the old root file has."""
    paper = read_paper(root)
    experiments = sorted(path.stem for path in (root / "experiments").glob("*.yaml"))
    context = {
        "name": root.name,
        "template": shown,
        "title": paper.title,
        "authors": paper.authors,
        "language": paper.language,
        "experiments": [name for name in template.experiments if name in experiments],
        "sections": sections_of(old),
    }
    return project_files(template, context)


def _edits(root: Path, name: str, old: str) -> tuple[str, ...]:
    try:
        pristine = _files(root, load_template(name, root), name, old)[SKELETON].decode()
    except (PapergenError, KeyError):
        return ()
    known = {line.strip() for line in pristine.splitlines()}
    return tuple(line for line in old.splitlines() if line.strip() and line.strip() not in known)


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")


def _with_template(text: str, name: str) -> str:
    """paper.yaml with another template; every other byte stays."""
    written = f'template: "{name}"'
    changed, count = re.subn(
        r"(?m)^template:[ \t]*(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s#]+)", lambda _: written, text, count=1
    )
    return changed if count else text.rstrip("\n") + f"\n{written}\n"
