r"""BibTeX or biber in a build's private folder: what a document asks of it, when it must run, what its log says.

BibTeX reads the .aux files of a pass. What they will hold is predicted from the sources where possible: then BibTeX
runs before the first pass, which saves one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from papergen.core.errors import MachineError
from papergen.core.files import digest_file, digest_json
from papergen.latex.build.engine import install_hint
from papergen.latex.build.process import Deadline, run
from papergen.latex.problems import Code, Place, Problem, TexError
from papergen.latex.sources import Use
from papergen.latex.tree import LineMap, SourceTree

_OF_CLASSES = re.compile(r"(?:REVTEX|apsrev|apsrmp|aip|aapm|sor)\w*Control")
"""Entries that revtex cites for itself, to tell its styles what to print: no citation of the paper's."""
_AUX_COMMAND = re.compile(r"\\(?P<what>citation|bibdata|bibstyle|@input)\{(?P<names>[^}]*)\}")


@dataclass(frozen=True)
class BibtexInput:
    """Keys in the order of their first citation, databases and styles: all that BibTeX takes from a document."""

    citations: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether there is anything for BibTeX to do."""
        return bool(self.databases) and not all(map(_OF_CLASSES.fullmatch, self.citations))

    def as_json(self) -> list[list[str]]:
        """Plain data, for a digest."""
        return [list(self.citations), list(self.databases), list(self.styles)]

    def as_aux(self) -> str:
        """An .aux file that says this much."""
        lines = [*(f"\\citation{{{key}}}" for key in self.citations)]
        lines += [f"\\bibstyle{{{style}}}" for style in self.styles]
        return "\n".join(["\\relax", *lines, f"\\bibdata{{{','.join(self.databases)}}}", ""])


def input_in_aux(folder: Path, aux: str) -> BibtexInput:
    r"""What an .aux file asks for, with those that it reads in (`\@input`, of `\include`), in BibTeX's order."""
    found: dict[str, dict[str, None]] = {"citation": {}, "bibdata": {}, "bibstyle": {}}
    for what, name in _aux_commands(folder, aux, set()):
        found[what].setdefault(name)
    return BibtexInput(tuple(found["citation"]), tuple(found["bibdata"]), tuple(found["bibstyle"]))


def _aux_commands(folder: Path, aux: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    path = folder / aux
    if aux in seen or not path.is_file():
        return
    seen.add(aux)
    for match in _AUX_COMMAND.finditer(path.read_text(encoding="utf-8", errors="replace")):
        if match["what"] == "@input":
            yield from _aux_commands(folder, match["names"], seen)
            continue
        for name in match["names"].split(","):
            if name.strip():
                yield match["what"], name.strip()


def predicted_input(tree: SourceTree, main: str) -> BibtexInput:
    r"""What the .aux files of the first pass will ask for, as far as the sources say so in plain words.

    Citations that a macro builds, and styles and databases that a class names, are not seen: BibTeX's answer to a
    prediction counts only when the first pass asks for the same. Nothing is predicted for biblatex.
    """
    citations: dict[str, None] = {}
    databases: dict[str, None] = {}
    styles: dict[str, None] = {}
    for use in _uses(tree, main, ()):
        if use.kind == "package" and use.argument == "biblatex":
            return BibtexInput()
        if use.kind == "cite":
            citations.setdefault(use.argument)
        elif use.command == "bibliography":
            databases.setdefault(use.argument)
        elif use.command == "bibliographystyle":
            styles.setdefault(use.argument)
    return BibtexInput(tuple(citations), tuple(databases), tuple(styles))


def _uses(tree: SourceTree, name: str, above: tuple[str, ...]) -> Iterator[Use]:
    r"""The uses of a source in the order in which TeX meets them, those of what it takes in at their place."""
    for use in tree.uses_of(name):
        yield use
        if use.kind == "input":
            found = next((file for file in (f"{use.argument}.tex", use.argument) if file in tree), "")
            if found and found not in (*above, name):
                yield from _uses(tree, found, (*above, name))


class BibliographyRun:
    """The bibliography of one build; `done` is the digest of what the .bbl file in the folder was made from."""

    def __init__(
        self, folder: Path, job: str, inputs: Mapping[str, str], line_map: LineMap, environment: dict[str, str]
    ) -> None:
        self.folder = folder
        self.job = job
        self.inputs = inputs
        self.line_map = line_map
        self.environment = environment
        self.terminal = folder.parent / "terminal.txt"
        self.done = ""

    def control_file(self) -> Path:
        """What biblatex writes for biber; without it, BibTeX reads the .aux files."""
        return self.folder / f"{self.job}.bcf"

    def program(self) -> str:
        """Biber for biblatex, else BibTeX."""
        return "biber" if self.control_file().is_file() else "bibtex"

    def is_needed(self) -> bool:
        """Whether the program must run. When the last citation is gone, the old .bbl file is deleted."""
        wanted, bbl = self.digest(), self.folder / f"{self.job}.bbl"
        if not wanted and bbl.name not in self.inputs:
            bbl.unlink(missing_ok=True)  # LaTeX would print its entries as long as it is there
        return bool(wanted) and (wanted != self.done or not bbl.is_file())

    def digest(self) -> str:
        """What the program's answer depends on: citations in order, styles, .bib and .bst files; "" without work."""
        if f"{self.job}.bbl" in self.inputs:
            return ""  # the tree brings its bibliography ready made
        if (control := self.control_file()).is_file():
            return digest_json([digest_file(control), self._databases()])
        return self._digest_of(input_in_aux(self.folder, f"{self.job}.aux"))

    def _digest_of(self, asked: BibtexInput) -> str:
        return digest_json([asked.as_json(), self._databases()]) if asked.is_complete else ""

    def _databases(self) -> dict[str, str]:
        return {name: digest for name, digest in self.inputs.items() if name.endswith((".bib", ".bst"))}

    def predicted_input(self, tree: SourceTree, main: str) -> BibtexInput | None:
        """What the first pass will ask of BibTeX, when that is something new.

        Then BibTeX can run before that pass, which saves one. When the pass asks for something else, BibTeX runs again
        (`is_needed`).
        """
        if f"{self.job}.bbl" in self.inputs or self.control_file().is_file():
            return None
        predicted = predicted_input(tree, main)
        return predicted if predicted.styles and self._digest_of(predicted) not in {"", self.done} else None

    def run_ahead(self, predicted: BibtexInput, deadline: Deadline) -> bool:
        """Run BibTeX on a prediction; what it finds wrong is found again, and told, after the first pass."""
        name = f"{self.job}-predicted"
        aux, bbl = self.folder / f"{name}.aux", self.folder / f"{name}.bbl"
        aux.write_text(predicted.as_aux(), encoding="utf-8")
        try:
            if not self.problems(deadline, name) and bbl.is_file():
                bbl.replace(self.folder / f"{self.job}.bbl")
                self.done = self._digest_of(predicted)
                return True
            return False
        finally:
            for path in (aux, bbl, aux.with_suffix(".blg")):
                path.unlink(missing_ok=True)

    def run(self, deadline: Deadline) -> None:
        """Run the program; TexError with its problems."""
        if problems := self.problems(deadline):
            raise TexError(problems, "problems in the bibliography")
        self.done = self.digest()

    def problems(self, deadline: Deadline, job: str = "") -> list[Problem]:
        """Run the program on the files of a job, the document's own by default; what it found."""
        job, name = job or self.job, self.program()
        program = shutil.which(name)
        if program is None:
            packages = ["biber"] if name == "biber" else ["texlive-binaries"]
            raise MachineError(f"No {name} on this machine.", hint=install_hint(packages, [name]))
        done = run(
            [program, job],
            folder=self.folder,
            environment=self.environment,
            deadline=deadline,
            terminal=self.terminal,
        )
        blg = self.folder / f"{job}.blg"
        seen = SourceTree(self.folder, self.line_map)
        found = read_blg(blg.read_text(encoding="utf-8", errors="replace"), seen) if blg.is_file() else []
        if done.returncode < 2 and not found:  # 1: BibTeX warned, of an empty field for example
            return []
        shown = "biber" if name == "biber" else "BibTeX"
        problems = [seen.problem(Code.BIBTEX, f"{shown}: {message}", place) for place, message in found]
        return problems or [Problem(Code.BIBTEX, f"{shown} failed (exit {done.returncode})", Place(blg.name))]


def read_blg(log: str, tree: SourceTree) -> list[tuple[Place, str]]:
    """The errors in the log of BibTeX or biber: where, and the message."""
    stumbles = re.finditer(r"^(?P<message>[^\n]+?)---line (?P<line>\d+) of file (?P<file>\S.*)$", log, re.MULTILINE)
    found = [(Place(match["file"], int(match["line"])), match["message"]) for match in stumbles]
    for match in re.finditer(r"^I (?:couldn't open|found no) [^\n]+", log, re.MULTILINE):
        if match[0].startswith("I found no style file") and found:
            continue  # BibTeX's echo of a style that it could not open
        name = (re.findall(r"file (\S+?)(?:\.bib|\.bst)?$", match[0]) or [""])[0]
        place = tree.find(rf"(?<=[{{,])\s*{re.escape(name)}(?=\s*[,}}]|\.bib)") if name else None
        found.append((place or Place(""), match[0]))
    for match in re.finditer(r"> ERROR - (?P<message>[^\n]+)", log):  # biber's form
        at = re.search(r"[\w./-]*/(?P<file>[^/\s]+\.bib)_?\S*,? line (?P<line>\d+)", match["message"])
        found.append((Place(at["file"], int(at["line"])) if at else Place(""), match["message"]))
    return found
