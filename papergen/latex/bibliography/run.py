"""BibTeX or biber, run in a build's private folder, and only when what their answer depends on has changed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from papergen.core.errors import MachineError
from papergen.core.files import digest_file, digest_json
from papergen.latex.bibliography.requests import Orders, foreseen, orders_of
from papergen.latex.build.engine import install_hint
from papergen.latex.build.process import Deadline, run
from papergen.latex.tree import LineMap, Place, Problem, SourceTree, TexError


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
        """Whether the program must run; a ready-made answer to no citation is taken away."""
        wanted, bbl = self.digest(), self.folder / f"{self.job}.bbl"
        if not wanted and bbl.name not in self.inputs:
            bbl.unlink(missing_ok=True)  # the last citation is gone; its entry must not stay printed
        return bool(wanted) and (wanted != self.done or not bbl.is_file())

    def digest(self) -> str:
        """What the program's answer depends on: citations in order, styles, .bib and .bst files; "" without work."""
        if f"{self.job}.bbl" in self.inputs:
            return ""  # the tree brings its bibliography ready made
        if (control := self.control_file()).is_file():
            return digest_json([digest_file(control), self._databases()])
        return self._digest_of(orders_of(self.folder, f"{self.job}.aux"))

    def _digest_of(self, orders: Orders) -> str:
        return digest_json([orders.as_json(), self._databases()]) if orders.is_complete else ""

    def _databases(self) -> dict[str, str]:
        return {name: digest for name, digest in self.inputs.items() if name.endswith((".bib", ".bst"))}

    def foreseen(self, tree: SourceTree, main: str) -> Orders | None:
        """What the first pass will ask of BibTeX, when that is something new.

        Then BibTeX can run before that pass, which saves one: its answer stands when the pass asks just this
        (`is_needed`), and is asked for again when it does not.
        """
        if f"{self.job}.bbl" in self.inputs or self.control_file().is_file():
            return None
        orders = foreseen(tree, main)
        return orders if orders.styles and self._digest_of(orders) not in {"", self.done} else None

    def prepare(self, orders: Orders, deadline: Deadline) -> bool:
        """Run BibTeX on what was foreseen; what it finds wrong is found again, and told, after the first pass."""
        name = f"{self.job}-foreseen"
        aux, bbl = self.folder / f"{name}.aux", self.folder / f"{name}.bbl"
        aux.write_text(orders.as_aux(), encoding="utf-8")
        try:
            if not self.problems(deadline, name) and bbl.is_file():
                bbl.replace(self.folder / f"{self.job}.bbl")
                self.done = self._digest_of(orders)
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
        from papergen.latex.bibliography.database import read_blg

        blg = self.folder / f"{job}.blg"
        seen = SourceTree(self.folder, self.line_map)
        found = read_blg(blg.read_text(encoding="utf-8", errors="replace"), seen) if blg.is_file() else []
        if done.returncode < 2 and not found:
            return []
        shown = "biber" if name == "biber" else "BibTeX"
        problems = [seen.problem("error", f"{shown}: {message}", place) for place, message in found]
        return problems or [Problem("error", f"{shown} failed (exit {done.returncode})", Place(blg.name))]
