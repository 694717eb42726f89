"""A LaTeX tree as text: its files and lines, the uses in them, and the author's files they come from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from papergen.latex.problems import Code, Place, Problem
from papergen.latex.sources import Kind, Lines, Use, masked, scan

TEX_SUFFIXES = {".tex", ".sty", ".cls", ".ltx"}


@dataclass(frozen=True)
class LineMap:
    """Where the lines of rendered files come from.

    `lines[file][n - 1]` is the (author's file, line) behind line n of a rendered file; a file that is not a key was
    copied and stands for itself. Author's files are relative to `project`. `generated` says under which name
    papergen's own files of the tree are shown (`tables/x.tex` -> `build/tex/tables/x.tex`).
    """

    project: Path | None = None
    lines: Mapping[str, Sequence[tuple[str, int]]] = field(default_factory=dict)
    generated: Mapping[str, str] = field(default_factory=dict)

    def origin(self, place: Place) -> Place:
        """The author's place behind a place in the tree (the column is lost where the text was rendered)."""
        table = self.lines.get(place.file)
        if place.file in self.generated:
            return Place(self.generated[place.file], place.line, place.column)
        if not table:
            return place
        file, line = table[min(max(place.line, 1), len(table)) - 1]
        return Place(file, line if place.line else 0)


class SourceTree:
    """The files below one folder, read once each, as UTF-8 with replacement of what is not.

    With `contents` (relative name -> bytes) the files are those, whatever the folder holds.
    """

    def __init__(
        self, root: Path, line_map: LineMap | None = None, *, contents: Mapping[str, bytes] | None = None
    ) -> None:
        self.root = root
        self._contents = contents
        self.line_map = line_map or LineMap()
        self._texts: dict[str, str] = {}
        self._uses: dict[str, list[Use]] = {}
        self._names: list[str] | None = None

    @property
    def names(self) -> list[str]:
        """Every file below the root, as a relative POSIX path, sorted; hidden files are left out."""
        if self._names is None and self._contents is not None:
            self._names = sorted(self._contents)
        if self._names is None:
            found = []
            for folder, folders, files in os.walk(self.root):
                folders[:] = [name for name in folders if not name.startswith(".")]
                base = Path(folder).relative_to(self.root)
                found += [(base / name).as_posix() for name in files if not name.startswith(".")]
            self._names = sorted(found)
        return self._names

    @property
    def tex_names(self) -> list[str]:
        """The TeX sources among them."""
        return [name for name in self.names if Path(name).suffix in TEX_SUFFIXES]

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def text(self, name: str) -> str:
        """The text of one file; empty when it does not exist."""
        if name not in self._texts and self._contents is not None:
            self._texts[name] = self._contents.get(name, b"").decode("utf-8", errors="replace")
        if name not in self._texts:
            path = self.root / name
            self._texts[name] = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        return self._texts[name]

    def content(self, name: str) -> bytes:
        """The bytes of one file; none when it does not exist."""
        if self._contents is not None:
            return self._contents.get(name, b"")
        path = self.root / name
        return path.read_bytes() if path.is_file() else b""

    def line(self, name: str, line: int) -> str:
        """One line of a file, without its end; empty when there is no such line."""
        lines = self.text(name).split("\n")
        return lines[line - 1] if 0 < line <= len(lines) else ""

    def uses_of(self, name: str) -> list[Use]:
        """The uses in one TeX source, in its order."""
        if name not in self._uses:
            self._uses[name] = list(scan(self.text(name), name))
        return self._uses[name]

    def uses(self, *kinds: Kind) -> list[Use]:
        """The uses of these kinds in all TeX sources."""
        return [use for name in self.tex_names for use in self.uses_of(name) if use.kind in kinds]

    def find(self, pattern: str, names: Iterable[str] | None = None) -> Place | None:
        """Where a regular expression first matches what TeX reads (not comments)."""
        for name in names if names is not None else self.tex_names:
            if match := re.search(pattern, masked(self.text(name))):
                return Place(name, *Lines(self.text(name)).at(match.start()))
        return None

    def author_line(self, place: Place) -> str:
        """The text of a line that `LineMap.origin` gave."""
        if self.line_map.project is not None and (path := self.line_map.project / place.file).is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
            return lines[place.line - 1] if 0 < place.line <= len(lines) else ""
        return self.line(place.file, place.line)

    def problem(
        self, code: Code, message: str, place: Place, *, cause: str = "", remedy: str = "", about: str = ""
    ) -> Problem:
        """A problem at a place of the tree, told at the author's place with the author's line."""
        origin = self.line_map.origin(place)
        return Problem(code, message, origin, self.author_line(origin), cause, remedy, about=about)
