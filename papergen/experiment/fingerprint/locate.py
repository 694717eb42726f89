"""Where a module that is imported lies: a file that counts by its content, or a library that counts by its version."""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import json
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from papergen.core.cache import Cache
from papergen.core.layers import SCIENCE
from papergen.experiment.fingerprint.source import Import

if TYPE_CHECKING:
    from importlib.metadata import Distribution

PACKAGE = Path(__file__).resolve().parents[2]

VERSIONS = Cache("versions", most=800)

HARMLESS = frozenset({"click", "jinja2", "matplotlib", "papergen", "psutil", "pydantic", "pylatex", "rich", "yaml"})
"""Libraries whose version cannot change a number that a trial reports."""


def files_of(wanted: Import, importer: Path, roots: Sequence[Path]) -> list[Path] | None:
    """The files that an import loads, the `__init__.py` of its packages among them; None for a library.

    `roots` are searched in order, as `sys.path` is when the experiment runs.
    """
    if wanted.is_path:
        found = [folder / wanted.name for folder in (*roots, importer.parent) if (folder / wanted.name).is_file()]
        return found[:1]
    words = wanted.name.split(".") if wanted.name else []
    if words[:1] == ["papergen"] and wanted.level == 0:
        return _files(PACKAGE, words[1:], wanted) if words[1:2] == [SCIENCE] else None
    if wanted.level:
        folder = importer.parents[min(wanted.level, len(importer.parents)) - 1]
        here = [path for path in (folder / "__init__.py",) if path.is_file()]
        return [*here, *_files(folder, words, wanted)]
    if not words:  # import_module(name) with a name that is only known when it runs
        return _below(importer.parent)
    for folder in roots:
        if files := _files(folder, words, wanted):
            return files
    root = _source_of_library(words[0])
    return None if root is None else _files(root, words, wanted)


def _files(folder: Path, words: Sequence[str], wanted: Import) -> list[Path]:
    """What importing `words` from `folder` loads; words that name no module are names inside the last one."""
    files: list[Path] = []
    for word in words:
        if (folder / word / "__init__.py").is_file():
            files.append(folder / word / "__init__.py")
        elif module := _module(folder, word):
            return [*files, module]
        elif not (folder / word).is_dir():
            return files
        folder = folder / word
    return [*files, *_below(folder)] if wanted.is_open and words else files


def _module(folder: Path, word: str) -> Path | None:
    for suffix in (*importlib.machinery.EXTENSION_SUFFIXES, ".py"):
        if (folder / f"{word}{suffix}").is_file():
            return folder / f"{word}{suffix}"
    return None


def _below(folder: Path) -> list[Path]:
    """Every module below a folder; what is hidden, installed or made by papergen is none of the author's code."""
    skipped = {"build", "results", "node_modules", "site-packages", "__pycache__"}
    found = []
    for path in sorted(folder.rglob("*.py")):
        words = path.relative_to(folder).parts
        if not any(word in skipped or word.startswith(".") for word in words):
            found.append(path)
    return found


@functools.cache
def _source_of_library(name: str) -> Path | None:
    """The folder from which a library is imported that is being worked on (`pip install -e`); None for others.

    Its version says nothing about its code.
    """
    if name in sys.stdlib_module_names or name in HARMLESS:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or []) or [spec.origin or ""]
    place = Path(places[0])
    if not place.is_absolute() or any(place.is_relative_to(folder) for folder in installed_folders()):
        return None
    return place.parent


@functools.cache
def installed_folders() -> tuple[Path, ...]:
    """Where this Python keeps what it came with and what was installed: code that counts by version."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = {Path(path) for name in names if (path := sysconfig.get_path(name))}
    found |= {Path(path) for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}}
    return tuple(sorted(found | {path.resolve() for path in found}))


def versions(names: set[str]) -> dict[str, str]:
    """Version of each library among the modules, the harmless and Python's own left out."""
    own = {name.split(".")[0] for name in names if name} - HARMLESS - sys.stdlib_module_names
    return {name: found for name in sorted(own) if (found := _version(name))}


@functools.cache
def _version(name: str) -> str:
    """Version of the distribution that provides the module, without a build's local suffix ("+cpu", "+cu130").

    One that was installed from a repository has its commit behind it. What was found holds as long as the folders of
    `sys.path` (an installation makes and removes entries there) and the distribution's own record are the same.
    """
    folders = [Path(folder or ".").absolute() for folder in sys.path]
    return str(VERSIONS.answer(f"{sys.version} {name}", folders, lambda: _installed(name)))


def _installed(name: str) -> tuple[str, list[Path]]:
    """The version, and the files that say it."""
    import importlib.metadata

    for distribution in _distributions(name):
        try:
            found = importlib.metadata.distribution(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
        commit = _commit(found)
        record = Path(str(found.locate_file(""))) if not hasattr(found, "_path") else Path(str(found._path))
        said = [record, *(record / file for file in ("METADATA", "PKG-INFO", "direct_url.json"))]
        return found.version.split("+")[0] + (f" ({commit[:12]})" if commit else ""), said
    return "", []


def _distributions(name: str) -> Iterator[str]:
    import importlib.metadata

    yield name
    yield from importlib.metadata.packages_distributions().get(name, [])


def _commit(distribution: Distribution) -> str:
    try:
        data = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return ""
    return str(data.get("vcs_info", {}).get("commit_id", ""))
