"""The definitions of an experiment's file that its `run` needs, so that editing a table makes no result stale."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from papergen.experiment.fingerprint.source import Import, imports_of, parsed, without_comments

_LOOKS_UP_NAMES = frozenset({"globals", "eval", "exec", "vars", "locals"})
"""Whoever calls these may reach any definition by its name."""

_NEVER_TRUE = frozenset({"TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'"})
"""Conditions that do not hold where papergen loads the file."""


def reached(source: str, path: Path) -> tuple[str, list[Import]]:
    """The source of the module-level statements that `run` needs, and what those import.

    Counted are what `run` names, whatever runs when the file is loaded (calls, `sys.path` edits), imports that bind
    nothing which is named (`from x import *`, an import for its effect), and the methods of `Params`, not its fields.
    """
    tree = parsed(source, path)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    defined: dict[str, list[ast.stmt]] = {}
    statements: set[ast.stmt] = set()
    queue = ["run"]
    for statement in tree.body:
        names = list(_bound(statement))
        for name in names:
            defined.setdefault(name, []).append(statement)
        if _has_effect(statement, names, used):
            statements.add(statement)
            queue.extend(_named(statement))
    bases, methods = _params_class(tree)
    for part in (*bases, *methods):
        queue.extend(_named(part))
    visited: set[str] = set()
    while queue:
        name = queue.pop()
        if name in _LOOKS_UP_NAMES:
            return without_comments(source), list(imports_of(tree))
        if name in visited or name == "Params":
            continue
        visited.add(name)
        for statement in defined.get(name, []):
            statements.add(statement)
            queue.extend(_named(statement))
    ordered: list[ast.stmt] = [item for item in tree.body if item in statements]
    imports = [found for item in [*ordered, *methods] for found in imports_of(item)]
    plain = [item for item in [*ordered, *methods] if not isinstance(item, ast.Import | ast.ImportFrom)]
    return "\n".join(without_comments(_segment(source, item)) for item in plain), imports


def _segment(source: str, statement: ast.stmt) -> str:
    """The statement's lines, decorators included, as they would stand at the margin."""
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(item.lineno for item in decorators)])
    lines = source.split("\n")[first - 1 : statement.end_lineno]
    margin = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[margin:] if not line[:margin].strip() else line for line in lines)


def _params_class(tree: ast.Module) -> tuple[list[ast.expr], list[ast.stmt]]:
    """The bases of `class Params` and what of it is no field: a field's value is a parameter, its help no matter."""
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef) and statement.name == "Params":
            no_fields = [item for item in statement.body if not isinstance(item, ast.AnnAssign | ast.Expr | ast.Pass)]
            return [*statement.bases, *statement.decorator_list], no_fields
    return [], []


def _named(statement: ast.AST) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            yield node.id


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The module-level names that a statement binds or changes, in its branches too."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in _outside_functions(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield (alias.asname or alias.name).split(".")[0]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            base: ast.expr = node  # TABLE["key"] = ..., options.flag = ...
            while isinstance(base, ast.Attribute | ast.Subscript):
                base = base.value
            if isinstance(base, ast.Name):
                yield base.id


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _outside_functions(child)


def _has_effect(statement: ast.stmt, names: list[str], used: set[str]) -> bool:
    """Whether the statement does something when the file is loaded, beside binding names that somebody uses."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        return not is_future and ("*" in names or not used & set(names))
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    if isinstance(statement, ast.If) and ast.unparse(statement.test) in _NEVER_TRUE:
        return False
    return any(isinstance(node, ast.Expr) and not _is_text(node) for node in _outside_functions(statement))


def _is_text(statement: ast.Expr) -> bool:
    """Whether it is a docstring or a note under a constant."""
    return isinstance(statement.value, ast.Constant)
