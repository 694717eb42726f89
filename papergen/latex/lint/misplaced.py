r"""Commands where they cannot be: \verb in an argument, a caption in a caption, text before a list's first \item."""

from __future__ import annotations

import re
from collections.abc import Iterator

from papergen.latex.sources import Lines, group, masked
from papergen.latex.tree import Place, Problem, SourceTree

_ARGUMENT = re.compile(r"\\(footnote|(?:sub)*section|paragraph|caption|title|emph|textbf)\*?(?![A-Za-z])")
_LIST = re.compile(r"\\begin\{(itemize|enumerate|description)\}")


def misplaced(tree: SourceTree, name: str) -> Iterator[Problem]:
    """Each of them in one file, at its own line; TeX stumbles over them later, in words that say something else."""
    text = masked(tree.text(name), comments_only=True)
    lines = Lines(text)

    def problem(message: str, offset: int, remedy: str) -> Problem:
        return tree.problem("error", message, Place(name, *lines.at(offset)), remedy=remedy)

    for match in _ARGUMENT.finditer(text):
        short = group(text, match.end(), "[]")
        if (argument := group(text, short[2] if short else match.end(), "{}")) is None:
            continue
        if verb := re.search(r"\\verb\b", argument[0]):
            message = f"\\verb does not work inside \\{match[1]}{{...}}"
            yield problem(message, argument[1] + verb.start(), r"Write \texttt{...} with \_ and \% for the signs.")
        if match[1] == "caption" and (inner := re.search(r"\\caption\b", argument[0])):
            message = "a \\caption stands inside another one"
            yield problem(message, argument[1] + inner.start(), "Close the first one before it, or take it out.")
    for match in _LIST.finditer(text):
        options = group(text, match.end(), "[]")
        start = options[2] if options else match.end()
        first = re.compile(r"\s*").match(text, start)
        assert first is not None, "the pattern matches the empty string"
        if text[first.end() : first.end() + 1].isalnum():
            message = f"text stands in the {match[1]} before its first \\item"
            yield problem(message, first.end(), "Write \\item before it, or move it above the list.")
