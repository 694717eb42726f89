r"""How many pages of a PDF are text, as venues count them: without the references and the appendix.

The skeletons say where the text ends: `\label{papergen:end}`. A figure or table of the text that LaTeX sets later
counts as well. A paper without that label ends where the heading of the references stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from papergen.latex.pdf import page_names, page_texts
from papergen.latex.tree import SourceTree

END = "papergen:end"
_LABEL = re.compile(
    r"^\\newlabel\{(?P<name>[^{}]+)\}\{\{(?P<number>(?:[^{}]|\{[^{}]*\})*)\}\{(?P<page>[^{}]*)\}", re.MULTILINE
)
_HEADING = re.compile(r"^\s*(?:[\dA-Z]+\.?\s+)?(?:References|REFERENCES|Bibliography|参考文献)\s*$", re.MULTILINE)


def pages_of_text(pdf: Path, tree: SourceTree, main: str, auxiliary: Path) -> int:
    """The last page with text, or with a figure or table of the text.

    `auxiliary` is the folder with the .aux files of the build that gave the PDF.
    """
    pages = _pages_of_labels(auxiliary)
    if END not in pages:
        return _before_references(page_texts(pdf))
    names = page_names(pdf)
    of_text = [pages[label] for label in [END, *_labels_before_end(tree, main)] if label in pages]
    return max(names.index(page) + 1 for page in of_text if page in names)


def _pages_of_labels(auxiliary: Path) -> dict[str, str]:
    """Label -> what is printed as the number of its page."""
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(auxiliary.rglob("*.aux"))]
    return {match["name"]: match["page"] for text in texts for match in _LABEL.finditer(text)}


def _labels_before_end(tree: SourceTree, main: str) -> Iterator[str]:
    """The labels of the main file and of what it inputs, in reading order, up to the one that ends the text."""
    waiting = [main]
    read: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in read or name not in tree:
            continue
        read.add(name)
        inner = []
        for use in sorted(tree.uses_of(name), key=lambda use: (use.line, use.column)):
            if use.kind == "label" and use.argument == END:
                break
            if use.kind == "label":
                yield use.argument
            elif use.kind == "input":
                inner.append(use.argument if use.argument in tree else f"{use.argument}.tex")
        waiting += inner


def _before_references(texts: list[str]) -> int:
    """The page on which the references begin, the one before when they begin it, else the last page."""
    for number, text in enumerate(texts, 1):
        if match := _HEADING.search(text):
            starts_page = len(text[: match.start()].strip()) < 40  # no more than a running head stands above it
            return number - 1 if starts_page and number > 1 else number
    return len(texts)
