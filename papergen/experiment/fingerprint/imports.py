"""What a piece of code imports, as written: by statement, by `importlib.import_module`, by a path that it runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_BY_NAME = frozenset({"import_module", "__import__", "run_module"})
_BY_PATH = frozenset({"run_path", "spec_from_file_location"})


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
