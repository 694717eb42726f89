r"""A paper project becomes a LaTeX tree: prose copied byte for byte, `*.tex.j2` rendered, generated files put beside
them.

The tree compiles without papergen (it is what Overleaf or a journal gets). Only files whose bytes changed are
written, files that no longer come from anywhere are removed, and every line of a rendered file knows the author's
line behind it.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from papergen.core.errors import PapergenError, did_you_mean, gathered
from papergen.core.files import not_utf8, write_atomic
from papergen.latex.jinja import TexEnvironment, build_environment
from papergen.latex.text import Engine
from papergen.latex.tree import LineMap, SourceTree

FOLDERS = ("sections", "figures", "tables")
"""Folders of a project whose files belong to the paper."""
SUFFIXES = frozenset({".tex", ".bib", ".sty", ".cls", ".bst", ".clo", ".bbx", ".cbx", ".lbx", ".def", ".fd"})
"""Files at the top of a project that belong to the paper; `.tex.j2` besides."""
TEMPLATE = ".tex.j2"
MARK = ".papergen-tree"
"""Stands in a folder that papergen made, and may therefore tidy."""
MARKER = re.compile("\ufdd0([^\ufdd1\n]*):([0-9]+)\ufdd1")
LEADING = re.compile(f"(?:{MARKER.pattern}|[ \t])*")
"""What stands for a line of a template while it is rendered; noncharacters, which no text holds."""


@dataclass(frozen=True)
class Rendered:
    """The tree on disk: its main file, all its files, and where its lines come from."""

    tree: Path
    main: str
    names: tuple[str, ...]
    line_map: LineMap


@dataclass(frozen=True)
class Sources:
    """A LaTeX tree that need not be on disk: the author's files (templates rendered) and the generated ones."""

    project: Path
    contents: Mapping[str, bytes]
    """Relative name -> bytes of every file."""
    lines: Mapping[str, list[tuple[str, int]]]
    """Rendered file -> the author's (file, line) behind each of its lines."""
    own: Mapping[str, str]
    """File of the tree -> the author's file that it comes from."""
    generated: frozenset[str] = frozenset()
    main: str = "main.tex"

    def with_files(self, files: Mapping[str, bytes]) -> Sources:
        """The same with these generated files in place of the earlier ones of these names.

        A generated .bib replaces the author's of the same name; any other name that is an author's too is an error.
        """
        faults = [
            PapergenError(f"{self.own[name]}: papergen writes a file of this name.", hint="Rename yours.")
            for name in files
            if name in self.own and not name.endswith(".bib")
        ]
        if faults:
            raise gathered(faults, "faults in the names of files")
        return replace(self, contents={**self.contents, **files}, generated=self.generated | set(files))

    def line_map(self, folder: Path) -> LineMap:
        """Where the lines come from, when the tree lies or will lie in `folder`."""
        shown = {name: os.path.relpath(folder / name, self.project) for name in self.generated}
        return LineMap(self.project, self.lines, shown)

    def tree(self, folder: Path) -> SourceTree:
        """The tree as text, read from memory."""
        return SourceTree(folder, self.line_map(folder), contents=self.contents)

    def write(self, folder: Path) -> Rendered:
        """Make `folder` hold exactly these files; only those whose bytes changed are written."""
        _write(folder, self.contents, self.project)
        return Rendered(folder, self.main, tuple(sorted(self.contents)), self.line_map(folder))


class ProjectTemplates(jinja2.FileSystemLoader):
    """The project's templates; one that is not UTF-8 has an error of syntax at the line."""

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Jinja's hook: text, file, and whether it is as it was read."""
        try:
            return super().get_source(environment, template)
        except UnicodeDecodeError as error:
            line, remedy = not_utf8(error.object, error)
            raise jinja2.TemplateSyntaxError(f"not UTF-8 text. {remedy}", line, template) from error


class LineMarkers(Extension):
    """Puts a marker with file and line before each line of a template's own text."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Jinja's hook between lexer and parser."""
        for token in stream:
            if token.type != "data":
                yield token
                continue
            lines = token.value.split("\n")
            marked = [f"\ufdd0{stream.name}:{token.lineno + index}\ufdd1{line}" for index, line in enumerate(lines)]
            yield Token(token.lineno, "data", "\n".join(marked))


def render_sources(project: Path, context: Mapping[str, Any], *, engine: Engine = "pdflatex") -> Sources:
    """The author's files, with every `*.tex.j2` rendered; nothing is written.

    Raises PapergenError with every fault of every template, each at file:line.
    """
    own = dict(own_files(project))
    if "main.tex" in own and "main.tex.j2" in own:
        raise PapergenError("main.tex and main.tex.j2 both exist.", hint="Keep one of them.")
    if "main.tex" not in own and "main.tex.j2" not in own:
        raise PapergenError(f"{project}: no main.tex.j2 and no main.tex.", hint="Is this the folder of a paper?")
    contents: dict[str, bytes] = {}
    lines: dict[str, list[tuple[str, int]]] = {}
    origins: dict[str, str] = {}
    faults: list[PapergenError] = []
    environment = build_environment(engine, loader=ProjectTemplates(project), extensions=[LineMarkers])
    for name, path in own.items():
        target = name.removesuffix(".j2") if name.endswith(TEMPLATE) else name
        if target in contents:
            faults.append(PapergenError(f"{name}: {target} exists too.", hint="Rename yours."))
            continue
        origins[target] = name
        if target == name:
            contents[target] = path.read_bytes()
            continue
        try:
            contents[target], lines[target] = _render(environment, name, project, context)
        except PapergenError as fault:
            faults.append(fault)
    if faults:
        raise gathered(faults, "faults in the templates")
    return Sources(project, contents, lines, origins)


def render_tree(
    project: Path,
    build_tree: Path,
    context: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    engine: Engine = "pdflatex",
) -> Rendered:
    """Bring `build_tree` up to date with the project and the generated `files` (relative name -> bytes)."""
    return render_sources(project, context, engine=engine).with_files(files).write(build_tree)


def own_files(project: Path) -> Iterator[tuple[str, Path]]:
    """The author's files of the paper, sorted by name."""
    if not project.is_dir():
        raise PapergenError(f"{project}: no such folder.")
    found = [path for path in project.iterdir() if path.is_file() and _belongs(path)]
    for folder in FOLDERS:
        for base, folders, names in os.walk(project / folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += [Path(base) / name for name in names if not name.startswith(".") and not name.endswith("~")]
    for path in sorted(found):
        yield path.relative_to(project).as_posix(), path


def _belongs(path: Path) -> bool:
    return not path.name.startswith(".") and (path.suffix in SUFFIXES or path.name.endswith(TEMPLATE))


def _render(
    environment: TexEnvironment, name: str, project: Path, context: Mapping[str, Any]
) -> tuple[bytes, list[tuple[str, int]]]:
    """One template as bytes, and the author's (file, line) behind each of its lines."""
    try:
        text = environment.get_template(name).render(**context)
    except jinja2.TemplateSyntaxError as error:
        raise _fault(project, error.name or name, error.lineno, error.message or "not a template") from error
    except RecursionError as error:
        raise PapergenError(f"{name}: the template includes or calls itself without end.") from error
    except Exception as error:
        raise _runtime_fault(error, project, name, context) from error
    return _without_markers(text, name)


def _without_markers(text: str, name: str) -> tuple[bytes, list[tuple[str, int]]]:
    table: list[tuple[str, int]] = []
    plain: list[str] = []
    place = (name, 1)
    for line in text.split("\n"):
        # The last of the markers before the first character is the line of the template that wrote that character.
        leading = MARKER.findall(LEADING.match(line)[0])  # type: ignore[index]  # matches the empty string too
        if leading:
            place = (leading[-1][0], int(leading[-1][1]))
        table.append(place)
        if marks := MARKER.findall(line):
            place = (marks[-1][0], int(marks[-1][1]))
        plain.append(MARKER.sub("", line))
    return "\n".join(plain).encode("utf-8"), table


def _runtime_fault(error: Exception, project: Path, name: str, context: Mapping[str, Any]) -> PapergenError:
    """What went wrong while a template ran, at the innermost template line."""
    file, line = name, 0
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.name.endswith(TEMPLATE) and path.is_relative_to(project):
            file, line = path.relative_to(project).as_posix(), frame.lineno or 0
    if isinstance(error, PapergenError):
        return _fault(project, file, line, error.message, error.hint)
    if isinstance(error, jinja2.UndefinedError):
        missing = re.match(r"'(\w+)' is undefined", str(error))
        hint = did_you_mean(missing[1], context) if missing else ""
        return _fault(project, file, line, f"{error}.", hint)
    if isinstance(error, jinja2.TemplateNotFound):
        known = [other for other, _ in own_files(project)]
        return _fault(project, file, line, f"no file {error.name}.", did_you_mean(str(error.name), known))
    return _fault(project, file, line, f"{type(error).__name__}: {error}.")


def _fault(project: Path, file: str, line: int, message: str, hint: str | None = None) -> PapergenError:
    """A fault at a line of a template, with that line."""
    try:
        excerpt = (project / file).read_text(encoding="utf-8").split("\n")[line - 1].strip() if line else ""
    except (OSError, IndexError, UnicodeDecodeError):
        excerpt = ""
    where = f"{file}:{line}" if line else file
    return PapergenError(f"{where}: {message}" + (f"\n    {excerpt[:110]}" if excerpt else ""), hint=hint or None)


def _write(tree: Path, contents: Mapping[str, bytes], project: Path) -> None:
    """Make the folder hold exactly these files; a folder that papergen did not make is never touched."""
    mark = tree / MARK
    if project.resolve().is_relative_to(tree.resolve()):
        raise PapergenError(f"{tree}: the build tree must not be the paper's own folder.")
    if tree.exists() and not mark.exists() and any(tree.iterdir()):
        raise PapergenError(f"{tree}: not empty, and not made by papergen.", hint="Move it away, or build elsewhere.")
    if not mark.exists():
        write_atomic(mark, "Made by papergen build-pdf: files here are rewritten and removed at every build.\n")
    for name, content in contents.items():
        path = tree / name
        _make_room(tree, path)
        if not path.is_file() or path.read_bytes() != content:
            write_atomic(path, content)
    _remove_others(tree, contents)


def _make_room(tree: Path, path: Path) -> None:
    """Take away what stands in the place of a file: a folder or a link where a folder or a file must be."""
    for parent in [path, *path.parents]:
        if parent == tree:
            return
        if parent.is_symlink() or (parent != path and parent.is_file()):
            parent.unlink()
        elif parent == path and parent.is_dir():
            _remove_others(parent, ())
            parent.rmdir()


def _remove_others(tree: Path, kept: Iterable[str]) -> None:
    names = set(kept)
    for base, folders, files in os.walk(tree, topdown=False):
        for name in files:
            path = Path(base) / name
            if path.name != MARK and path.relative_to(tree).as_posix() not in names:
                path.unlink()
        for name in folders:
            path = Path(base) / name
            if path.is_symlink():
                path.unlink()
            elif not any(path.iterdir()):
                path.rmdir()
