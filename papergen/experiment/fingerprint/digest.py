"""From an experiment's file, or a script that a command names, to the digest of every file that decides its numbers.

Of the experiment's own file only what `run` needs counts, so editing a table makes no result stale. Other modules
of the author and of papergen's package `ml` count as whole files, unless one says `DECIDES_NUMBERS = False` of
itself (it only words what was run), and but for functions with the decorator `words_only` and the texts in a `Phrase`.
Comments and blank lines never count. Libraries count by version; one that is installed as a link to its source
(`pip install -e`) counts by content.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from papergen.core.cache import Cache
from papergen.core.files import digest_bytes, digest_file
from papergen.core.stamps import stamp_of
from papergen.experiment.fingerprint.locate import PACKAGE, files_of, versions
from papergen.experiment.fingerprint.reached import reached
from papergen.experiment.fingerprint.source import (
    Import,
    imports_of,
    parsed,
    read_source,
    without_comments,
    without_wording,
)


def _makers() -> list[Any]:
    """Who made the answers: another Python, or an edit of this package, makes them anew."""
    return [sys.version, *([str(path), stamp_of(path)] for path in sorted(Path(__file__).parent.glob("*.py")))]


ANSWERS = Cache("code", most=800, version=_makers)
"""Digest and imports of each file of code."""


@dataclass(frozen=True)
class Code:
    """What was found: file as shown -> SHA-256, and the libraries by module name -> version."""

    files: Mapping[str, str]
    libraries: Mapping[str, str]


def code_behind(kind_file: Path, project: Path) -> Code:
    """The code behind `run` of a kind, for the digest of its trials."""
    digest, imports = _answer(ANSWERS.answer("reached", [kind_file], lambda: (_reached(kind_file), ())))
    first = {f"experiments/{kind_file.name}": digest}
    return _followed(first, {kind_file: imports}, (kind_file.parent, project), project)


def code_of_command(files: Iterable[Path], roots: Sequence[Path], project: Path) -> Code:
    """The code behind files that a command names: of Python scripts, what they import as well.

    `roots` are searched after the folder of each script.
    """
    found: dict[str, str] = {}
    libraries: dict[str, str] = {}
    for path in files:
        digest, imports = _file(path)
        one = _followed({shown(path, project): digest}, {path: imports}, (path.parent, *roots), project)
        found |= one.files
        libraries |= one.libraries
    return Code(dict(sorted(found.items())), libraries)


def shown(path: Path, project: Path) -> str:
    """The file as the author knows it, the same on every machine: from the project's folder, or by its package."""
    if path.is_relative_to(PACKAGE) and not project.is_relative_to(PACKAGE):
        return f"papergen/{path.relative_to(PACKAGE)}"
    if path.is_relative_to(project.parent):
        return os.path.relpath(path, project)
    folder = path.parent  # a library elsewhere
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return path.relative_to(folder).as_posix()


def _followed(
    files: dict[str, str], wanted: Mapping[Path, Sequence[Import]], roots: Sequence[Path], project: Path
) -> Code:
    """`files` and all that they import, near and far."""
    queue = [(importer, item) for importer, items in wanted.items() for item in items]
    seen: set[Path] = set(wanted)
    asked: set[tuple[Path, Import]] = set()
    libraries: set[str] = set()
    while queue:
        importer, item = queue.pop()
        if ((importer.parent, item)) in asked:
            continue
        asked.add((importer.parent, item))
        paths = files_of(item, importer, roots)
        if paths is None:
            libraries.add(item.name)
        for path in paths or ():
            if path in seen:
                continue
            seen.add(path)
            digest, further = _file(path)
            if digest:
                files[shown(path, project)] = digest
                queue += [(path, other) for other in further]
    return Code(dict(sorted(files.items())), versions(libraries))


def _file(path: Path) -> tuple[str, tuple[Import, ...]]:
    """Digest of a file and what it imports; "" for a module that says `DECIDES_NUMBERS = False`."""
    if path.suffix != ".py":
        return digest_file(path), ()
    return _answer(ANSWERS.answer("file", [path], lambda: (_python_file(path), ())))


Answer = list[Any]
"""Digest and imports as plain data."""


def _answer(found: Answer) -> tuple[str, tuple[Import, ...]]:
    return found[0], tuple(Import(*fields) for fields in found[1])


def _plain(digest: str, imports: Iterable[Import]) -> Answer:
    return [digest, [[item.name, item.level, item.is_open, item.is_path] for item in dict.fromkeys(imports)]]


def _reached(kind_file: Path) -> Answer:
    kept, imports = reached(read_source(kind_file), kind_file)
    return _plain(digest_bytes(kept.encode()), imports)


def _python_file(path: Path) -> Answer:
    source = read_source(path)
    tree = parsed(source, path)
    if any(_says_harmless(statement) for statement in tree.body):
        return _plain("", ())
    source, tree = without_wording(source, tree)
    return _plain(digest_bytes(without_comments(source).encode()), imports_of(tree))


def _says_harmless(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and ast.unparse(statement) == "DECIDES_NUMBERS = False"
