"""Style files that a venue offers and papergen may not ship: found beside paper.yaml, and the same at every build.

`styles.sha256` holds their digests in the form of sha256sum, written when a file is met for the first time.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

from papergen.core.errors import PapergenError, gathered
from papergen.core.files import digest_file, write_atomic
from papergen.latex.text import Tex
from papergen.latex.venues.template import StyleFile, Template

RECORD = "styles.sha256"


def find_styles(template: Template, root: Path) -> tuple[list[Tex], tuple[str, ...]]:
    """The names (without ending) of the template's style files in `root`, in its order, and what to tell the author.

    PapergenError names every missing file with where to get it, every pattern that two files match, and every file
    that is not the one of the builds before.
    """
    faults: list[PapergenError] = []
    found: list[Path] = []
    for style in template.style_files:
        matching = sorted(path for path in root.iterdir() if path.is_file() and fnmatchcase(path.name, style.file))
        if len(matching) == 1:
            found += matching
        elif matching:
            names = " and ".join(path.name for path in matching)
            faults.append(PapergenError(f"{names} both match {style.file}.", hint="Keep the one of this year."))
        else:
            faults.append(_missing(style, template))
    if faults:
        raise gathered(faults, f"style files of {template.name} that are not there")
    return [Tex(path.stem) for path in found], _recorded(template, found, root) if found else ()


def _missing(style: StyleFile, template: Template) -> PapergenError:
    return PapergenError(
        f"{style.file} is not beside paper.yaml; the template {template.name} needs it, and papergen may not ship it.",
        hint=f"Get it from {style.source} and put it beside paper.yaml.",
    )


def _recorded(template: Template, found: list[Path], root: Path) -> tuple[str, ...]:
    """Compare digests with the record, and add those of files met for the first time."""
    record = root / RECORD
    lines = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
    known = {match[2]: match[1] for line in lines if (match := re.fullmatch(r"([0-9a-f]{64})[ ][ *](.+)", line))}
    faults: list[PapergenError] = []
    notes: list[str] = []
    for style, path in zip(template.style_files, found, strict=True):
        digest = digest_file(path)
        if path.name in known:
            if known[path.name] != digest:
                faults.append(_changed(path.name, known[path.name], digest))
            continue
        lines.append(f"{digest}  {path.name}")
        where = "a version known from its source" if digest in style.sha256 else "not a version that papergen knows"
        notes.append(f"{path.name}: {where}; its digest {digest[:12]} is now in {RECORD}")
    if faults:
        raise gathered(faults, "style files that changed")
    if notes:
        write_atomic(record, "\n".join(lines) + "\n")
    return tuple(notes)


def _changed(name: str, before: str, now: str) -> PapergenError:
    return PapergenError(
        f"{name} is not the file of the builds before: its digest was {before[:12]} and is {now[:12]}.",
        hint=f"Put the old file back, or, when the new one is meant, delete its line in {RECORD}.",
    )
