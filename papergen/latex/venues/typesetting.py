"""How a paper is typeset: the rules of its template, the engine and why, what its skeleton may ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from papergen.config import Paper
from papergen.latex.render import own_files
from papergen.latex.text import Engine, OwnWords
from papergen.latex.venues.styles import find_styles
from papergen.latex.venues.template import Rules, Template, load_template

CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
"""Chinese, Japanese and Korean characters, which no font of pdflatex has."""
XELATEX_FILES = ("xeCJK.sty", "fontspec.sty", "FandolSong-Regular.otf")
"""What an English paper with Chinese words in it needs besides its template's files."""


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
        context={"paper": _in_own_words(paper), "engine": engine, "styles": styles},
        notes=notes,
    )


def _in_own_words(paper: Paper) -> Paper:
    """The same paper, its title, names and keywords marked as the author's own."""

    def marked(model: Any, *names: str) -> Any:
        return model.model_copy(update={name: OwnWords(getattr(model, name)) for name in names})

    authors = [marked(author, "name", "affiliation", "country") for author in paper.authors]
    keywords = [OwnWords(word) for word in paper.keywords]
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
