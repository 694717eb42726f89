"""BibTeX or biber, run in a build's private folder, and only when what their answer depends on has changed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from papergen.errors import MachineError
from papergen.files import digest_file, digest_json
from papergen.latex.bibliography import read_blg
from papergen.latex.engine import install_hint
from papergen.latex.process import Deadline, run
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
        files = {name: digest for name, digest in self.inputs.items() if name.endswith((".bib", ".bst"))}
        if (control := self.control_file()).is_file():
            return digest_json([digest_file(control), files])
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(self.folder.rglob("*.aux"))]
        orders = [
            match[0] for text in texts for match in re.finditer(r"\\(?:citation|bibdata|bibstyle)\{[^}]*\}", text)
        ]
        if not all(any(order.startswith(head) for order in orders) for head in (r"\citation", r"\bibdata")):
            return ""
        return digest_json([list(dict.fromkeys(orders)), files])

    def run(self, deadline: Deadline) -> None:
        """Run the program; TexError with its problems."""
        if problems := self.problems(deadline):
            raise TexError(problems, "problems in the bibliography")
        self.done = self.digest()

    def problems(self, deadline: Deadline) -> list[Problem]:
        """Run the program; what it found."""
        name = self.program()
        program = shutil.which(name)
        if program is None:
            packages = ["biber"] if name == "biber" else ["texlive-binaries"]
            raise MachineError(f"No {name} on this machine.", hint=install_hint(packages, [name]))
        done = run(
            [program, self.job],
            folder=self.folder,
            environment=self.environment,
            deadline=deadline,
            terminal=self.terminal,
        )
        blg = self.folder / f"{self.job}.blg"
        seen = SourceTree(self.folder, self.line_map)
        found = read_blg(blg.read_text(encoding="utf-8", errors="replace"), seen) if blg.is_file() else []
        if done.returncode < 2 and not found:
            return []
        shown = "biber" if name == "biber" else "BibTeX"
        problems = [seen.problem("error", f"{shown}: {message}", place) for place, message in found]
        return problems or [Problem("error", f"{shown} failed (exit {done.returncode})", Place(blg.name))]
