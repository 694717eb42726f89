"""How a paper is typeset: the rules of its template, the engine and why, the venue's style files.

A style file that the venue offers and papergen may not ship lies beside paper.yaml, and is the same at every build.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

from papergen.config import Paper
from papergen.core.errors import PapergenError, gathered
from papergen.core.files import digest_file, write_atomic
from papergen.latex.render import own_files
from papergen.latex.text import AuthorText, Engine, Tex
from papergen.latex.venues.template import Rules, StyleFile, Template, load_template

CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
"""Chinese, Japanese and Korean characters, which no font of pdflatex has."""
XELATEX_FILES = ("xeCJK.sty", "fontspec.sty", "FandolSong-Regular.otf")
"""What an English paper with Chinese words in it needs besides its template's files."""


RECORD = "styles.sha256"
"""Digests of the style files in the form of sha256sum, written when a file is met for the first time."""


@dataclass(frozen=True, kw_only=True)
class Typeset:
    """One paper's answer to: which template, which engine and why, which files must TeX find."""

    template: Template
    rules: Rules
    engine: Engine
    reason: str
    """Why the engine is not the template's; empty when it is."""
    needed: tuple[str, ...]
    """Files that TeX must find, as kpsewhich names them."""
    context: Mapping[str, Any]
    """What `*.tex.j2` files may ask for: `paper`, `engine`, `styles`."""
    notes: tuple[str, ...]
    """What the author should know, such as a style file that was met for the first time."""


def typeset(paper: Paper, root: Path) -> Typeset:
    """How the paper in `root` is typeset; PapergenError when template, language, mode and files do not go together."""
    template = load_template(paper.template, root)
    usual = template.typesetting(paper.language).engine
    needed = template.needed_files(paper.language, paper.bibliography)
    engine, reason = _engine(paper, root, usual)
    if engine == "xelatex" and usual != "xelatex":
        needed = [*(name for name in needed if not _is_of_pdftex(name)), *XELATEX_FILES]
    styles, notes = find_styles(template, root)
    return Typeset(
        template=template,
        rules=template.rules(paper.mode),
        engine=engine,
        reason=reason,
        needed=tuple(needed),
        context={"paper": _with_author_text(paper), "engine": engine, "styles": styles},
        notes=notes,
    )


def _with_author_text(paper: Paper) -> Paper:
    """The same paper, its title, names and keywords marked as the author's own."""

    def marked(model: Any, *names: str) -> Any:
        return model.model_copy(update={name: AuthorText(getattr(model, name)) for name in names})

    authors = [marked(author, "name", "affiliation", "country") for author in paper.authors]
    keywords = [AuthorText(word) for word in paper.keywords]
    return cast("Paper", marked(paper, "title").model_copy(update={"authors": authors, "keywords": keywords}))


def _engine(paper: Paper, root: Path, usual: Engine) -> tuple[Engine, str]:
    if paper.engine != "auto":
        return paper.engine, "" if paper.engine == usual else "paper.yaml asks for it"
    if usual == "xelatex" or not _skeleton_knows_engines(root):
        return usual, ""
    if place := find_cjk(paper, root):
        return "xelatex", f"{place}, which pdflatex cannot print"
    return usual, ""


def _skeleton_knows_engines(root: Path) -> bool:
    skeleton = root / "main.tex.j2"
    return skeleton.is_file() and "engine ==" in skeleton.read_text(encoding="utf-8", errors="replace")


def find_cjk(paper: Paper, root: Path) -> str:
    """The first Chinese, Japanese or Korean character of the text: `sections/method.tex:3 has 你`; "" without one."""
    words = [paper.title, *paper.keywords, *(f"{author.name} {author.affiliation}" for author in paper.authors)]
    for word in words:
        if found := CJK.search(word):
            return f"paper.yaml has {found[0]}"
    for name, path in own_files(root):
        if not name.endswith((".tex", ".tex.j2", ".bib")):
            continue
        content = path.read_bytes()
        if content.isascii():
            continue
        for number, line in enumerate(content.decode("utf-8", errors="replace").split("\n"), 1):
            if found := CJK.search(re.sub(r"(?<!\\)%.*", "", line)):
                return f"{name}:{number} has {found[0]}"
    return ""


def _is_of_pdftex(name: str) -> bool:
    """Whether only pdflatex reads the file: its encodings, metrics and Type 1 fonts."""
    return name.endswith((".tfm", ".pfb", ".fd", "t1enc.def", "mathptmx.sty", "lmodern.sty"))


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
