"""A LaTeX tree as text: its files and lines, the uses in them, and the author's files they come from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from papergen.core.errors import PapergenError
from papergen.core.widths import width_of
from papergen.latex.sources import Kind, Lines, Use, masked, scan

TEX_SUFFIXES = {".tex", ".sty", ".cls", ".ltx"}


@dataclass(frozen=True)
class Place:
    """A position in a file of the tree; `line` and `column` count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0


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


@dataclass(frozen=True)
class Problem:
    """Something wrong with the paper: where (in the author's file), what, the line, the usual cause, the remedy."""

    severity: str
    message: str
    place: Place = Place("")
    excerpt: str = ""
    cause: str = ""
    remedy: str = ""
    size_pt: float = 0.0
    """Of an overfull box: by how much."""
    kind: str = ""
    """The family of checks that found it: "reference", "citation", "character"; empty for what only TeX says."""
    shared: str = ""
    """What it has in common with others (one stale experiment behind many results): many of them are told at once."""

    def __str__(self) -> str:
        """`file:line: message`, then the line with a mark under the column, the cause and the remedy."""
        where = self.place.file + (f":{self.place.line}" if self.place.line else "")
        lines = [f"{where}: {self.message}" if where else self.message]
        if self.excerpt:
            shown, column = _window(self.excerpt, self.place.column)
            lines.append(f"    {shown}")
            if column:
                lines.append(f"    {' ' * width_of(shown[: column - 1])}^")
        lines += [f"  {text}" for text in (self.cause, self.remedy) if text]
        return "\n".join(lines)


TOLD_ALONE = 3
"""Problems that share a cause and are each told in full; more are told at once."""
NAMED = 3
"""Places that are named of those told at once."""


def together(problems: Sequence[Problem]) -> list[list[int]]:
    """The numbers of the problems, in their order: those that share what many share in one list, others alone."""
    sharing: dict[tuple[str, str, str], list[int]] = {}
    for index, problem in enumerate(problems):
        if problem.shared:
            sharing.setdefault((problem.kind, problem.shared, problem.remedy), []).append(index)
    groups = {group[0]: group for group in sharing.values() if len(group) > TOLD_ALONE}
    grouped = {index for group in groups.values() for index in group}
    return [groups.get(index, [index]) for index in range(len(problems)) if index in groups or index not in grouped]


def told_at_once(problems: Sequence[Problem]) -> str:
    """Problems that share their cause: the cause, how many there are, the first few keys or files, the remedy."""
    remedy = problems[0].remedy
    lines = [f"{problems[0].shared}: {len(problems)} places"]
    named: dict[str, Place] = {}
    for problem in problems:
        named.setdefault(problem.message.partition(": ")[0], problem.place)
    for name, place in list(named.items())[:NAMED]:
        where = place.file + (f":{place.line}" if place.line else "")
        lines.append(f"    {where}: {name}")
    others = len(problems) - min(NAMED, len(named))
    return "\n".join([*lines, f"    and {others} more", *([f"  {remedy}"] if remedy else [])])


def _window(text: str, column: int, width: int = 100) -> tuple[str, int]:
    """At most `width` characters of a line around a column, and the column in them."""
    stripped = text.rstrip()
    if len(stripped) <= width:
        return stripped, column
    start = max(0, min(column - width // 2, len(stripped) - width))
    return stripped[start : start + width], max(0, column - start)


class TexError(PapergenError):
    """The paper does not compile, or must not be published as it is; `problems` holds every fault, the first first."""

    def __init__(self, problems: Sequence[Problem], heading: str = "problems in the paper", hint: str | None = None):
        assert problems, "a TexError says what is wrong"
        groups = [[problems[index] for index in group] for group in together(problems)]
        texts = [told_at_once(group) for group in groups if len(group) > 1]
        texts += _told_once([group[0] for group in groups if len(group) == 1])
        head = [] if len(problems) == 1 else [f"{len(problems)} {heading}:"]
        super().__init__("\n".join([*head, *texts]), hint=hint)
        self.problems = tuple(problems)


def _told_once(problems: Sequence[Problem]) -> list[str]:
    """The problems in order; what is wrong in several places is said at the first, which names the others."""
    alike: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        alike.setdefault((problem.message, problem.cause, problem.remedy), []).append(problem)
    texts = []
    for first, *others in alike.values():
        texts.append(str(first))
        places = dict.fromkeys(f"{other.place.file}:{other.place.line}" for other in others if other.place.line)
        if places:
            texts.append(f"  The same at {', '.join(places)}.")
    return texts


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

    def problem(self, severity: str, message: str, place: Place, *, cause: str = "", remedy: str = "") -> Problem:
        """A problem at a place of the tree, told at the author's place with the author's line."""
        origin = self.line_map.origin(place)
        return Problem(severity, message, origin, self.author_line(origin), cause, remedy)
