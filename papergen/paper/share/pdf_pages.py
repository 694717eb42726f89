r"""Which numbers stand on which page of a PDF, found without a mark in the PDF or a change of its typesetting.

The tree that gave the PDF is kept with its snapshot. It is compiled once more with SyncTeX, TeX's own record of the
source lines behind each page, and every `\result` is looked up by its line. The answer is kept beside the snapshot.
"""

from __future__ import annotations

import bisect
import gzip
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from papergen.core.cache import read_cached, write_cached
from papergen.core.errors import PapergenError
from papergen.core.scratch import scratch_folder
from papergen.latex.build.driver import compile_tree
from papergen.latex.build.engine import find_engine
from papergen.latex.pdf import inspect_pdf
from papergen.latex.tree import SourceTree
from papergen.paper.share.compare_pages import page_texts
from papergen.paper.share.versions import kept_for
from papergen.paper.snapshots import Snapshot

Lines = Mapping[str, Mapping[int, Sequence[int]]]
"""File of the tree -> line -> the pages on which something of that line stands."""

_RECORD = re.compile(r"[\[(hvxkg$](\d+),(\d+):")


@dataclass(frozen=True, kw_only=True)
class OnPage:
    """A number on a page."""

    page: int
    key: str
    printed: str
    file: str
    line: int
    digests: tuple[str, ...]
    trials: tuple[str, ...]
    """What the trials are called."""


@dataclass(frozen=True, kw_only=True)
class Pages:
    """What a PDF holds."""

    num_pages: int
    numbers: tuple[OnPage, ...]
    pieces: Mapping[str, tuple[int, ...]]
    """Generated table, figure or text -> its pages."""

    def only(self, page: int) -> Pages:
        """What stands on one page."""
        numbers = tuple(number for number in self.numbers if number.page == page)
        return replace(self, numbers=numbers, pieces={name: on for name, on in self.pieces.items() if page in on})


def numbers_in(pdf: Path, project: Path) -> Pages:
    """Every number of a PDF that papergen built in this project, with its page; PapergenError for any other PDF."""
    snapshot, tree = kept_for(project, pdf)
    cache = tree.parent / "pages.json"
    num_pages = inspect_pdf(pdf).num_pages
    if (kept := read_cached(cache)) is not None:  # JSON has no numbers as keys
        lines = {file: {int(line): pages for line, pages in known.items()} for file, known in kept.items()}
    else:
        lines = _lines(tree, snapshot)
        write_cached(cache, lines)
    return Pages(
        num_pages=num_pages,
        numbers=tuple(sorted(_placed(snapshot, lines, page_texts(pdf)), key=lambda found: found.page)),
        pieces=_pieces(snapshot, lines, SourceTree(tree)),
    )


def _placed(snapshot: Snapshot, lines: Lines, texts: Sequence[str]) -> Iterator[OnPage]:
    plain = ["".join(text.split()) for text in texts]
    for mention in snapshot.mentions:
        number = snapshot.numbers.get(mention.key)
        if number is None:
            continue
        printed = number.printed[mention.option]
        pages = _pages(lines, mention.tree_file, mention.tree_line)
        if len(pages) > 1:  # a paragraph that goes over to the next page
            wanted = "".join(printed.split())
            pages = [page for page in pages if page <= len(plain) and wanted in plain[page - 1]] or pages
        for page in pages:
            yield OnPage(
                page=page,
                key=mention.key,
                printed=printed,
                file=mention.file,
                line=mention.line,
                digests=number.digests,
                trials=tuple(str(snapshot.trials[name]["label"]) for name in number.digests if name in snapshot.trials),
            )


def _pages(lines: Lines, file: str, line: int) -> list[int]:
    """The pages of a line; what a macro collected first (a caption, a title) is typeset where its argument ends."""
    known = lines.get(file, {})
    if line in known:
        return list(known[line])
    later = sorted(known)
    index = bisect.bisect_left(later, line)
    return list(known[later[index]][:1]) if index < len(later) else []


def _pieces(snapshot: Snapshot, lines: Lines, tree: SourceTree) -> dict[str, tuple[int, ...]]:
    found = {
        name: set[int](page for pages in lines.get(name, {}).values() for page in pages) for name in snapshot.tables
    }
    for use in tree.uses("figure"):
        name = use.argument if use.argument.endswith(".pdf") else f"{use.argument}.pdf"
        if name in snapshot.figures:
            found.setdefault(name, set()).update(_pages(lines, use.file, use.line))
    return {name: tuple(sorted(pages)) for name, pages in sorted(found.items()) if pages}


def _lines(tree: Path, snapshot: Snapshot) -> dict[str, dict[int, list[int]]]:
    with scratch_folder("trace") as scratch:
        copy = Path(shutil.copytree(tree, scratch / "tree"))
        main = copy / snapshot.main
        main.write_bytes(b"\\synctex=1 " + main.read_bytes())  # in the first line, so that no line moves
        compile_tree(copy, snapshot.main, engine=find_engine(snapshot.engine), output=copy.with_suffix(".pdf"))
        stem = Path(snapshot.main).stem
        records = sorted(scratch.rglob(f"{stem}.synctex*"))
        if not records:
            raise PapergenError("This TeX wrote no SyncTeX record, so the pages of the numbers are not known.")
        content = records[0].read_bytes()
        text = (gzip.decompress(content) if records[0].suffix == ".gz" else content).decode("utf-8", errors="replace")
        return read_synctex(text, snapshot.main, SourceTree(copy).names)


def read_synctex(text: str, main: str, names: Sequence[str]) -> dict[str, dict[int, list[int]]]:
    """A SyncTeX record as file -> line -> pages, for the files of a tree."""
    files: dict[str, str] = {}
    found: dict[str, dict[int, list[int]]] = {}
    known, root, page = set(names), "", 0
    for line in text.splitlines():
        if line.startswith("Input:"):
            _, tag, path = line.split(":", 2)
            path = path.replace("/./", "/")
            root = root or path.removesuffix(main)
            name = path.removeprefix(root)
            if name in known or f"{name}.tex" in known:
                files[tag] = name if name in known else f"{name}.tex"
        elif line.startswith("{") and line[1:].isdigit():
            page = int(line[1:])
        elif (match := _RECORD.match(line)) and match[1] in files:
            pages = found.setdefault(files[match[1]], {}).setdefault(int(match[2]), [])
            if page not in pages:
                pages.append(page)
    return found


def describe(found: Pages) -> str:
    """What a person reads."""
    lines = []
    for number in found.numbers:
        runs = ", ".join(f"{label} {digest[:12]}" for label, digest in zip(number.trials, number.digests, strict=False))
        lines.append(f"page {number.page}  {number.printed}  {number.key}  {number.file}:{number.line}")
        lines.append(f"        {runs}")
    lines += [f"page {', '.join(map(str, pages))}  {name}" for name, pages in found.pieces.items()]
    return "\n".join(lines) if lines else "No number of an experiment stands here."
