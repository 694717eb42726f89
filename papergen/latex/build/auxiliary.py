r"""LaTeX's auxiliary files: what a pass leaves for the next one, and the last good build for the next build.

A pass reads what the pass before wrote. When it writes the same again, the document has settled. A build that starts
from the files of the last one often needs one pass.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from papergen.core.cache import read_cached, write_cached
from papergen.core.files import digest_bytes
from papergen.core.stamps import stamp_of
from papergen.latex.problems import Problem

AUXILIARY = {".aux", ".bbl", ".lof", ".lot", ".nav", ".out", ".snm", ".toc"}
"""Files that a pass reads from the pass before."""
SCHEMA = 3

_DEFINES = re.compile(rb"\\(?:newlabel|bibcite)\{([^{}]*)\}\{")


class LastBuild:
    """The last good build of one tree in `work`; its record is empty when it was made under another setting."""

    def __init__(self, work: Path, job: str, setting: str) -> None:
        self.folder = work / "settled"
        self.pdf = self.folder / f"{job}.pdf"
        self._path = work / "state.json"
        self._setting = setting
        record: dict[str, Any] = read_cached(self._path) or {}
        self.record = record if record.get("setting") == setting else {}

    def is_of(self, inputs: Mapping[str, str]) -> bool:
        """Whether it read these files (name -> digest) and TeX's own as they are now; False when there was none."""
        if not self.record or not self.pdf.is_file():
            return False
        if set(inputs) - set(self.record["names"]):
            return False  # a file that did not exist before may now be found first
        if any(inputs.get(name) != digest for name, digest in self.record["read"].items()):
            return False
        return all(stamp_of(path) == seen for path, seen in self.record["system"].items())

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What it warned of."""
        return tuple(map(Problem.from_json, self.record["warnings"]))

    def restore(self, tex: Path) -> None:
        """Copy its auxiliary files into the folder where TeX runs."""
        for path in self.folder.rglob("*"):
            if path.suffix in AUXILIARY:
                target = tex / path.relative_to(self.folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)

    def keep(self, tex: Path, inputs: Collection[str]) -> None:
        """Take the PDF and the auxiliary files of the build that just ended; there is no record until `write`."""
        self._path.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in tex.rglob("*"):
            name = path.relative_to(tex)
            if name.as_posix() not in inputs and (path.suffix in AUXILIARY or name.name == self.pdf.name):
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, self.folder / name)

    def write(self, record: Mapping[str, Any]) -> None:
        """Record what the build was made from; losing it costs a build."""
        write_cached(self._path, {"setting": self._setting, **record})


def auxiliary_digests(tex: Path, inputs: Collection[str]) -> dict[str, str]:
    """The auxiliary files that a pass left and their digests: equal after two passes, the document has settled."""
    paths = (path for path in tex.rglob("*") if path.suffix in AUXILIARY)
    names = {path.relative_to(tex).as_posix(): path for path in paths}
    return {name: digest_bytes(meaning(path)) for name, path in sorted(names.items()) if name not in inputs}


def meaning(path: Path) -> bytes:
    r"""The content of an auxiliary file, the same for two that TeX reads alike.

    The lines of an .aux file that each define one name (`\newlabel`, `\bibcite`) are sorted: they stand in the order of
    the pages they were shipped out with, and two entries of a bibliography that change the page change places. Where a
    name comes twice, or a line is not whole by itself, the content stays as it is.
    """
    content = path.read_bytes()
    if path.suffix != ".aux":
        return content
    lines = content.split(b"\n")
    found = [_DEFINES.match(line) for line in lines]
    defining = [line for line, match in zip(lines, found, strict=True) if match]
    names = [(match[0], match[1]) for match in found if match]
    if len(set(names)) < len(names) or any(line.count(b"{") != line.count(b"}") for line in defining):
        return content
    return b"\n".join([*(line for line, match in zip(lines, found, strict=True) if not match), *sorted(defining)])
