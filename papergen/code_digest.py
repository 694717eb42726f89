"""Which code decides a trial's numbers: what `run` reaches, found from the source without importing it.

Inside the experiment's own file only the definitions that `run` needs count, so editing a table makes no result
stale. Modules of the project and of papergen's science rooms count as whole files, unless one says
`DECIDES_NUMBERS = False` of itself (it only words what was run); libraries count by their version.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from papergen.errors import PapergenError
from papergen.files import digest_bytes

SCIENCE_ROOMS = ("decoding", "training", "tasks", "ops")
"""Rooms of papergen whose code decides numbers; the others only plan, launch, report and typeset."""

HARMLESS = frozenset({"click", "jinja2", "matplotlib", "papergen", "psutil", "pydantic", "pylatex", "rich", "yaml"})
"""Libraries whose version cannot change a number that a trial reports."""


@dataclass(frozen=True)
class Code:
    """What was found: file as shown -> SHA-256, and the libraries by distribution name -> version."""

    files: Mapping[str, str]
    libraries: Mapping[str, str]


def code_behind(recipe: Path, project: Path) -> Code:
    """The code behind the recipe's `run`, for the digest of its trials."""
    source = _read(recipe)
    kept, imports = _reached(source, recipe, "run")
    files = {f"experiments/{recipe.name}": digest_bytes(kept.encode())}
    libraries: set[str] = set()
    queue = list(imports)
    seen: set[Path] = {recipe}
    while queue:
        name = queue.pop()
        path = _own_module(name, recipe, project)
        if path is None:
            libraries.add(name.split(".")[0])
        elif path not in seen:
            seen.add(path)
            shown, content, further = _whole_file(path, project)
            if content:
                files[shown] = content
                queue.extend(further)
    versions = {name: _version(name) for name in libraries - HARMLESS if name not in sys.stdlib_module_names}
    return Code(dict(sorted(files.items())), {name: found for name, found in sorted(versions.items()) if found})


def _whole_file(path: Path, project: Path) -> tuple[str, str, tuple[str, ...]]:
    package = Path(__file__).parent
    inside = path.is_relative_to(package)
    shown = f"papergen/{path.relative_to(package)}" if inside else str(path.relative_to(project))
    # Files of the installed package cannot change while this process lives; the project's can (watch).
    return shown, *(_installed_file(path) if inside else _digest_and_imports(path))


@functools.cache
def _installed_file(path: Path) -> tuple[str, tuple[str, ...]]:
    return _digest_and_imports(path)


def _digest_and_imports(path: Path) -> tuple[str, tuple[str, ...]]:
    """Digest of a module and the modules it imports; "" for one that says `DECIDES_NUMBERS = False`."""
    source = _read(path)
    tree = _parse(source, path)
    if any(_says_harmless(statement) for statement in tree.body):
        return "", ()
    return digest_bytes(source.encode()), tuple(_imports(tree))


def _says_harmless(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and ast.unparse(statement) == "DECIDES_NUMBERS = False"


def _reached(source: str, path: Path, start: str) -> tuple[str, list[str]]:
    """The source of the module-level definitions that `start` needs, and the modules that those import."""
    tree = _parse(source, path)
    defined: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in _bound(statement):
            defined.setdefault(name, []).append(statement)
    reached: set[ast.stmt] = set()
    queue = [start]
    visited: set[str] = set()
    while queue:
        name = queue.pop()
        if name in visited:
            continue
        visited.add(name)
        for statement in defined.get(name, []):
            reached.add(statement)
            queue.extend(node.id for node in ast.walk(statement) if isinstance(node, ast.Name))
    ordered = [statement for statement in tree.body if statement in reached]
    imports = [name for statement in ordered for name in _imports(statement)]
    plain = [s for s in ordered if not isinstance(s, ast.Import | ast.ImportFrom)]
    return "\n".join(ast.get_source_segment(source, statement) or "" for statement in plain), imports


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield (alias.asname or alias.name).split(".")[0]
    else:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module
            for alias in node.names:  # `from package import module`
                yield f"{node.module}.{alias.name}"


def _own_module(name: str, recipe: Path, project: Path) -> Path | None:
    """The file of a module that counts by content, None for a library."""
    words = name.split(".")
    if words[0] == "papergen":
        if len(words) < 2 or words[1] not in SCIENCE_ROOMS:
            return None
        return _module_file(Path(__file__).parent, words[1:])
    for folder in (recipe.parent, project):
        if (found := _module_file(folder, words)) is not None:
            return found
    return None


def _module_file(folder: Path, words: list[str]) -> Path | None:
    path = folder.joinpath(*words)
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _version(name: str) -> str:
    """Version of the distribution that provides the module, without a build's local suffix ("+cpu", "+cu130")."""
    try:
        return importlib.metadata.version(name).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        pass
    for distribution in importlib.metadata.packages_distributions().get(name, []):
        return importlib.metadata.version(distribution).split("+")[0]
    return ""


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("\r\n", "\n")


def _parse(source: str, path: Path) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise PapergenError(f"{path}:{error.lineno}: {error.msg}") from error
