r"""What a document asks of BibTeX: read from the .aux files of a pass, or foreseen from the sources before any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from papergen.latex.sources import Use
from papergen.latex.tree import SourceTree

_OF_CLASSES = re.compile(r"(?:REVTEX|apsrev|apsrmp|aip|aapm|sor)\w*Control")
"""Entries that revtex cites for itself, to tell its styles what to print: no citation of the paper's."""
_ORDER = re.compile(r"\\(?P<what>citation|bibdata|bibstyle|@input)\{(?P<names>[^}]*)\}")


@dataclass(frozen=True)
class Orders:
    """Keys in the order of their first citation, databases and styles: all that BibTeX takes from a document."""

    citations: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether there is anything for BibTeX to do."""
        return bool(self.databases) and not all(map(_OF_CLASSES.fullmatch, self.citations))

    def as_json(self) -> list[list[str]]:
        """Plain data, for a digest."""
        return [list(self.citations), list(self.databases), list(self.styles)]

    def as_aux(self) -> str:
        """An .aux file that says this much."""
        lines = [*(f"\\citation{{{key}}}" for key in self.citations)]
        lines += [f"\\bibstyle{{{style}}}" for style in self.styles]
        return "\n".join(["\\relax", *lines, f"\\bibdata{{{','.join(self.databases)}}}", ""])


def orders_of(folder: Path, aux: str) -> Orders:
    r"""The orders in an .aux file and those that it takes in (`\@input`, of `\include`), in BibTeX's order."""
    found: dict[str, dict[str, None]] = {"citation": {}, "bibdata": {}, "bibstyle": {}}
    for what, name in _orders(folder, aux, set()):
        found[what].setdefault(name)
    return Orders(tuple(found["citation"]), tuple(found["bibdata"]), tuple(found["bibstyle"]))


def _orders(folder: Path, aux: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    path = folder / aux
    if aux in seen or not path.is_file():
        return
    seen.add(aux)
    for match in _ORDER.finditer(path.read_text(encoding="utf-8", errors="replace")):
        if match["what"] == "@input":
            yield from _orders(folder, match["names"], seen)
            continue
        for name in match["names"].split(","):
            if name.strip():
                yield match["what"], name.strip()


def foreseen(tree: SourceTree, main: str) -> Orders:
    r"""The orders that the sources will give, as far as they stand there in plain words.

    Citations that a macro builds, and styles and databases that a class names, are not seen: BibTeX's answer to what
    was foreseen counts only when the first pass gives the same orders. Nothing is foreseen for biblatex.
    """
    citations: dict[str, None] = {}
    databases: dict[str, None] = {}
    styles: dict[str, None] = {}
    for use in _uses(tree, main, ()):
        if use.kind == "package" and use.argument == "biblatex":
            return Orders()
        if use.kind == "cite":
            citations.setdefault(use.argument)
        elif use.command == "bibliography":
            databases.setdefault(use.argument)
        elif use.command == "bibliographystyle":
            styles.setdefault(use.argument)
    return Orders(tuple(citations), tuple(databases), tuple(styles))


def _uses(tree: SourceTree, name: str, above: tuple[str, ...]) -> Iterator[Use]:
    r"""The uses of a source in the order in which TeX meets them, those of what it takes in at their place."""
    for use in tree.uses_of(name):
        yield use
        if use.kind == "input":
            found = next((file for file in (f"{use.argument}.tex", use.argument) if file in tree), "")
            if found and found not in (*above, name):
                yield from _uses(tree, found, (*above, name))
