"""Source code without what cannot change a number: comments, blank lines, trailing spaces, and mere wording.

The text is the same under every version of Python, unlike that of `ast.dump` and `ast.unparse`. Docstrings stay:
programs read them (docopt, prompts made of signatures).
"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

from papergen.core.errors import PapergenError


def read_source(path: Path) -> str:
    """The text of a Python file, with plain line ends."""
    try:
        with tokenize.open(path) as stream:
            return stream.read().replace("\r\n", "\n")
    except (SyntaxError, UnicodeDecodeError) as error:
        raise PapergenError(f"{path}: not readable as Python source ({error}).") from error


def parsed(source: str, path: Path) -> ast.Module:
    """The syntax tree, or an error at file and line."""
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise PapergenError(f"{path}:{error.lineno}: {error.msg}") from error


def without_comments(source: str) -> str:
    """`source` without comments, blank lines and trailing spaces, all of which stay inside strings."""
    lines = source.split("\n")
    strings: set[int] = set()
    """Lines that end inside a string."""
    comments: list[tuple[int, int]] = []
    opened: list[int] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            kind = tokenize.tok_name[token.type]
            if kind == "COMMENT" and not opened:
                comments.append(token.start)
            elif kind == "STRING":
                strings.update(range(token.start[0], token.end[0]))
            elif kind == "FSTRING_START":  # Python 3.12 and later; an f-string is one STRING before
                opened.append(token.start[0])
            elif kind == "FSTRING_END":
                strings.update(range(opened.pop(), token.end[0]))
    except (tokenize.TokenError, SyntaxError):
        return source
    for row, column in comments:
        lines[row - 1] = lines[row - 1][:column]
    kept = []
    for row, line in enumerate(lines, start=1):
        if row in strings:
            kept.append(line)
        elif line.strip():
            kept.append(line.rstrip())
    return "\n".join(kept)


class _Wording(ast.NodeTransformer):
    """Takes the functions with the decorator `words_only` out of a syntax tree and notes their lines."""

    def __init__(self) -> None:
        self.lines: set[int] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        """Out it goes, or what is inside is looked at."""
        if not any(ast.unparse(one).rpartition(".")[2] == "words_only" for one in node.decorator_list):
            return self.generic_visit(node)
        self.lines.update(range(node.decorator_list[0].lineno, (node.end_lineno or node.lineno) + 1))
        return None


def without_wording(source: str, tree: ast.Module) -> tuple[str, ast.Module]:
    """`source` and its `tree` without the functions that say `words_only` of themselves: their lines are blank."""
    wording = _Wording()
    kept = wording.visit(tree)
    lines = source.split("\n")
    return "\n".join("" if row in wording.lines else line for row, line in enumerate(lines, start=1)), kept
