"""A piece of Python source: its text without what cannot change a number, and what it imports."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from papergen.core.errors import PapergenError

_BY_NAME = frozenset({"import_module", "__import__", "run_module"})
_BY_PATH = frozenset({"run_path", "spec_from_file_location"})


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
    """`source` without comments, blank lines and trailing spaces, all of which stay inside strings.

    The result is the same under every version of Python, unlike `ast.dump` and `ast.unparse`. Docstrings stay:
    programs read them (docopt, prompts made of signatures).
    """
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


def _without_phrases(source: str, tree: ast.Module) -> str:
    """`source` with empty texts in every `Phrase`, where that is papergen's; as many lines as before."""
    modules = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {(node.module or "").split(".")[0] for node in modules for alias in node.names if alias.name == "Phrase"}
    if names != {"papergen"}:
        return source
    lines = [line.encode() for line in source.split("\n")]
    texts = [
        text
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Phrase"
        for text in call.args
        if isinstance(text, ast.Constant)
    ]
    for text in sorted(texts, key=lambda text: (text.lineno, text.col_offset), reverse=True):  # offsets are of bytes
        first, last = text.lineno - 1, (text.end_lineno or text.lineno) - 1
        rest = lines[last][text.end_col_offset :]
        lines[first : last + 1] = [lines[first][: text.col_offset] + b'""' + rest, *[b""] * (last - first)]
    return b"\n".join(lines).decode()


def without_wording(source: str, tree: ast.Module) -> tuple[str, ast.Module]:
    """`source` and its `tree` without what only words: the functions that say `words_only` of themselves, whose lines
    are blank, and the texts in papergen's `Phrase("Speed", "速度")`, which are empty.
    """
    lines = _without_phrases(source, tree).split("\n")
    wording = _Wording()
    kept = wording.visit(tree)
    return "\n".join("" if row in wording.lines else line for row, line in enumerate(lines, start=1)), kept


@dataclass(frozen=True)
class Import:
    """A module that is wanted: `level` dots, then `name`, as in an import statement."""

    name: str
    level: int = 0
    is_open: bool = False
    """Whether only the beginning is known, `import_module(f"models.{name}")`: then all below `name` is meant."""
    is_path: bool = False
    """Whether `name` is the path of a file."""


def imports_of(tree: ast.AST) -> Iterator[Import]:
    """Every import in the tree, those inside functions, branches and `try` blocks included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module:
                yield Import(module, node.level)
            for alias in node.names:  # `from package import module`
                name = f"{module}.{alias.name}".strip(".")
                yield Import(module if alias.name == "*" else name, node.level)
        elif isinstance(node, ast.Call):
            yield from _called(node)


def _called(node: ast.Call) -> Iterator[Import]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _BY_PATH:
        for argument in node.args:
            if isinstance(argument, ast.Constant) and str(argument.value).endswith(".py"):
                yield Import(str(argument.value), is_path=True)
    elif name in _BY_NAME and node.args:
        start, is_whole = _beginning(node.args[0])
        level = len(start) - len(start.lstrip("."))
        if is_whole:
            yield Import(start.lstrip("."), level)
        else:
            yield Import(start.lstrip(".").rpartition(".")[0], level, is_open=True)


def _beginning(node: ast.expr) -> tuple[str, bool]:
    """What is known of a text before it is computed, and whether that is all of it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value, True
    if isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant):
        return str(node.values[0].value), False
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _beginning(node.left)[0], False
    return "", False
