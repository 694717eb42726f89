r"""A format of the paper's preamble: pdfTeX loads class and packages once, and later passes start from there.

The format is dumped from the lines before the first `\input` or `\begin{document}` and is good for those lines, the
files that they read (those of the tree by content, TeX's own by size and time), the file names of the tree, the
engine, its environment and the day. A dump is used only when the PDF that it gives is, byte for byte, that of a plain
run; whatever writes files or puts material on the page before the document begins is left to plain runs. XeTeX cannot
dump the fonts that fontspec loads, so this is for pdflatex alone.
"""

from __future__ import annotations

import datetime as dt
import gzip
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from papergen.core.cache import read_cached, write_cached
from papergen.core.files import digest_json
from papergen.core.stamps import Stamp, settled_stamp, stamp_of
from papergen.latex.build.engine import Toolchain
from papergen.latex.build.kpathsea import tex_folders
from papergen.latex.tree import SourceTree

FORMAT = "papergen-preamble"
"""The name under which TeX finds the format in its folder."""
_BEGIN = re.compile(r"^[ \t]*\\(?:begin\{document\}|input\b)", re.MULTILINE)
_LISTS = "\\showboxdepth=9\\showboxbreadth=999\\showlists\n\\dump\n"
"""Writes what lies on the page so far into the log, and dumps the format."""
_COLOR = re.compile(r"\\pdfcolorstack \d+ (?:push|set) \{[-\d. gGrRkK]*\}")
# Lines of \showlists that tell of nothing on the page, and writes to the log alone.
_HARMLESS = re.compile(r"\\write-\{.*\}|prevdepth .*|### .*|total height .*|goal height .*|")


def recorded(recorder: Path) -> set[str]:
    """The files that a run of TeX read, those of its folder by relative name."""
    lines = recorder.read_text(encoding="utf-8", errors="replace").splitlines() if recorder.is_file() else []
    return {line[6:].removeprefix("./") for line in lines if line.startswith("INPUT ")}


def stamps_of(opened: Iterable[str], *, read_ns: int) -> dict[str, Stamp]:
    """The files of the TeX installation among those that a run opened, which began at `read_ns`, with their stamps."""
    return {name: settled_stamp(name, read_ns=read_ns) for name in sorted(opened) if Path(name).is_absolute()}


def written(recorder: Path) -> set[str]:
    """The files that a run of TeX wrote."""
    lines = recorder.read_text(encoding="utf-8", errors="replace").splitlines() if recorder.is_file() else []
    return {line[7:].removeprefix("./") for line in lines if line.startswith("OUTPUT ")}


@dataclass(frozen=True)
class Split:
    r"""A main file taken apart at its first `\input` or `\begin{document}`: results and text change at every build."""

    preamble: str
    body: str

    @classmethod
    def of(cls, text: str) -> Split | None:
        """None when the document does not begin on a line of its own."""
        found = _BEGIN.search(text)
        if found is None or not text[: found.start()].strip() or r"\begin{document}" in text[: found.start()]:
            return None
        return cls(text[: found.start()], text[found.start() :])

    @property
    def to_dump(self) -> str:
        """What TeX reads to dump the format; what the preamble put on the page is shown in the log before."""
        return self.preamble + _LISTS

    def resumed(self, replayed: str) -> str:
        """What TeX reads with the format: the body on its own lines, so that errors keep theirs."""
        return replayed + "%\n" * self.preamble.count("\n") + self.body


def left_on_page(log: str) -> str | None:
    """What the preamble left on the page, as TeX to say again, since a dump loses it; None when it cannot be said."""
    _, shown, rest = log.partition("### vertical mode entered at line 0")
    if not shown:
        return None
    replayed = []
    # \showlists ends with "OK." in the form of an error.
    for line in re.split(r"^(?:! |\S+:\d+: )OK\.$", rest, maxsplit=1, flags=re.MULTILINE)[0].split("\n"):
        if _COLOR.fullmatch(line):
            replayed.append(line)
        elif not _HARMLESS.fullmatch(line):
            return None
    return "".join(replayed)


class PreambleFormat:
    """The format of one build folder, kept in `folder`; `split` is None where there can be none."""

    def __init__(self, folder: Path, tree: SourceTree, main: str, engine: Toolchain, setting: str) -> None:
        self.folder = folder
        self.main = main
        self.split: Split | None = None
        self.key = ""
        text = (tree.root / main).read_bytes()
        if engine.engine != "pdflatex" or b"\r" in text:  # a \r ends a line for TeX, and our line numbers count \n
            return
        try:
            self.split = Split.of(text.decode("utf-8"))
        except UnicodeDecodeError:
            return
        if self.split is not None:
            today = dt.datetime.now(dt.UTC).date().isoformat()  # packages may keep \today in the format
            # A package that was installed or removed since changes the lists of files that TeX searches.
            databases = {str(folder): stamp_of(folder / "ls-R") for folder in tex_folders(engine.path)}
            self.key = digest_json([setting, self.split.preamble, tree.names, today, databases])

    def known(self, inputs: Mapping[str, str]) -> dict[str, Any] | None:
        """What is known of the format of exactly this preamble: `usable`, `replayed`, `log`, `read`, `system`.

        `inputs` are the digests of the tree's files.
        """
        known: dict[str, Any] | None = read_cached(self._record)
        if self.split is None or known is None or known["key"] != self.key:
            return None
        if any(inputs.get(name) != digest for name, digest in known["read"].items()):
            return None
        if any(stamp_of(name) != seen for name, seen in known["system"].items()):
            return None
        return known

    def refuse(self) -> None:
        """Never try this preamble again."""
        write_cached(self._record, {"read": {}, "system": {}, "key": self.key, "usable": False})
        self.dump.unlink(missing_ok=True)

    @property
    def _record(self) -> Path:
        """What is known of the format."""
        return self.folder / "format.json"

    @property
    def dump(self) -> Path:
        """The format itself."""
        return self.folder / f"{FORMAT}.fmt"

    def describe(self, tex: Path, job: str, inputs: Mapping[str, str], *, began_ns: int) -> dict[str, Any] | None:
        """What the dump in the folder `tex` says of itself; None when it is not to be used."""
        recorder, dumped, log_path = tex / f"{job}.fls", tex / f"{job}.fmt", tex / f"{job}.log"
        if not dumped.is_file() or not log_path.is_file():
            return None
        log = log_path.read_text(encoding="utf-8", errors="replace")
        replayed = left_on_page(log)
        said = log.partition("### ")[0]
        has_errors = re.search(r"^(?:!|[^\s:]+:\d+: )", said, re.MULTILINE) is not None
        # A file that the preamble wrote would not be written by a build that begins behind the preamble.
        if replayed is None or has_errors or written(recorder) - {dumped.name, log_path.name}:
            return None
        opened = recorded(recorder)
        return {
            "key": self.key,
            "replayed": replayed,
            "log": said,
            "read": {name: digest for name, digest in inputs.items() if name in opened - {self.main}},
            "system": stamps_of(opened, read_ns=began_ns),
        }

    def name_from(self, folder: Path) -> str:
        """The name by which TeX loads the format from `folder`, which a document may write in: it lies elsewhere."""
        return Path(os.path.relpath(self.folder / FORMAT, folder)).as_posix()

    def keep(self, dumped: Path) -> None:
        """Take a dump into the folder; it is not used before `approve`.

        TeX packs it, and reads it as well unpacked: a sixth of a pass is spent on unpacking (docs/LOG.md).
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._record.unlink(missing_ok=True)
        content = dumped.read_bytes()
        self.dump.write_bytes(gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content)

    def approve(self, known: Mapping[str, Any]) -> None:
        """Use the format from now on: it gave the bytes of a plain run."""
        write_cached(self._record, {**known, "usable": True})

    @contextmanager
    def main_file(self, tex: Path, content: str) -> Iterator[None]:
        """The main file with another content for as long as TeX runs."""
        path = tex / self.main
        original = path.read_bytes()
        path.write_bytes(content.encode())
        try:
            yield
        finally:
            path.write_bytes(original)
