"""The build driver: a LaTeX tree becomes a PDF, or nothing does and every problem is told.

The tree is copied into a private folder beside it and compiled there, with no shell escape and no file outside that
folder read or written. As many passes run as the auxiliary files need, BibTeX only when citations or entries
changed, and nothing at all when no input changed. The PDF is put in its place by a rename, only after a run with
exit code 0, no error in the log and a PDF that this run wrote; after a failure the PDF of an earlier build is set
aside under another name.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from papergen.errors import MachineError
from papergen.files import digest_bytes, digest_file, digest_json, write_atomic, write_json
from papergen.latex.bibliography import read_blg
from papergen.latex.engine import Toolchain, clean_environment, install_hint
from papergen.latex.explain import explain
from papergen.latex.logs import read_log
from papergen.latex.process import Deadline, TimeLimitError, run
from papergen.latex.tree import LineMap, Place, Problem, SourceTree, TexError

MAX_PASSES = 5
SETTLED = {".aux", ".bbl", ".lof", ".lot", ".nav", ".out", ".snm", ".toc"}
"""Files that a pass reads from the pass before: when none of them changed, the document has settled."""
DEFAULT_EPOCH_S = 1_704_067_200
"""2024-01-01 UTC, the date inside PDFs when the caller names none: equal input gives equal bytes."""
FLAGS = (
    "-no-shell-escape",
    "-interaction=nonstopmode",
    "-file-line-error",
    "-no-parse-first-line",
    "-recorder",
)
STATE_SCHEMA = 1

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Compiled:
    """A paper that compiled: `num_passes` is 0 when nothing had changed and no process was started."""

    pdf: Path
    num_passes: int
    pages: int
    warnings: tuple[Problem, ...]
    """Overfull boxes (severity "box") and what LaTeX warned of."""
    system_files: tuple[str, ...] = ()
    """Files of the TeX installation that it was made from, programs included."""


def set_aside(output: Path) -> Path | None:
    """Rename the PDF of an earlier build to `NAME.previous.pdf`, lest it pass for the result of a failed one."""
    if not output.exists():
        return None
    previous = output.with_name(f"{output.stem}.previous{output.suffix}")
    output.replace(previous)
    return previous


def compile_tree(
    tree: Path,
    main: str,
    *,
    engine: Toolchain,
    output: Path,
    line_map: LineMap | None = None,
    timeout_s: float = 120,
    epoch_s: int | None = None,
    progress: Progress | None = None,
) -> Compiled:
    """Compile `tree/main` and publish the PDF as `output`.

    Raises TexError with every problem (undefined citations and references and lost characters are problems),
    TimeLimitError, or MachineError; then `output` does not exist, and an earlier PDF is beside it as
    `NAME.previous.pdf`.
    """
    build = _Build(tree, main, engine, output, line_map or LineMap(), epoch_s)
    if (done := build.unchanged()) is not None:
        return done
    say, deadline = (lambda _: None) if progress is None else progress, Deadline(timeout_s)
    try:
        try:
            return build.run(deadline, say)
        except TexError as error:
            if not build.state or not _is_of_auxiliary_files(error.problems):
                raise
            say("the auxiliary files of the last build do not suit this one; once more without them")
            build.forget()
            return build.run(deadline, say)
    except BaseException:
        set_aside(output)
        raise


def last_build(tree: Path, main: str, *, engine: Toolchain, output: Path) -> Compiled | None:
    """What the last build of `tree` gave, when nothing that it read has changed and its PDF is in place; else None.

    Nothing is run and nothing is written.
    """
    if not (tree / main).is_file() or not output.is_file():
        return None
    build = _Build(tree, main, engine, output, LineMap(), None)
    done = build.unchanged(publishes=False)
    return done if done is not None and digest_file(output) == build.state["pdf"] else None


class _Build:
    """One compilation. `work` holds what TeX sees (`tex`), those of the last good build (`settled`) and the state."""

    def __init__(
        self, tree: Path, main: str, engine: Toolchain, output: Path, line_map: LineMap, epoch_s: int | None
    ) -> None:
        assert main.endswith(".tex"), f"the main file of a tree ends in .tex: {main}"
        assert (tree / main).is_file(), f"{tree} has no {main}"
        self.tree = SourceTree(tree)
        self.main = main
        self.job = Path(main).stem
        self.engine = engine
        self.output = output
        self.line_map = line_map
        self.work = tree.parent / f".{tree.name}-{engine.engine}"
        self.tex = self.work / "tex"
        self.settled = self.work / "settled"
        self.state_path = self.work / "state.json"
        self.environment = clean_environment({"SOURCE_DATE_EPOCH": str(epoch_s or DEFAULT_EPOCH_S)})
        if epoch_s is not None:
            self.environment["FORCE_SOURCE_DATE"] = "1"
        fixed = [STATE_SCHEMA, main, engine.version, str(engine.path), FLAGS, sorted(self.environment.items())]
        self.setting = digest_json(fixed)
        self.inputs = {name: digest_file(tree / name) for name in self.tree.names}
        self.state = self._read_state()
        self.bibliography = str(self.state.get("bibliography", ""))

    # -- nothing to do ---------------------------------------------------------------------------------------------

    def _read_state(self) -> dict[str, object]:
        try:
            state = json.loads(self.state_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) and state.get("setting") == self.setting else {}

    def unchanged(self, *, publishes: bool = True) -> Compiled | None:
        """The earlier result when no input changed; its PDF is put back in place if somebody removed or changed it."""
        good = self.settled / f"{self.job}.pdf"
        if not self.state or not good.is_file() or not self._same_inputs():
            return None
        if digest_file(good) != self.state["pdf"]:
            return None
        if publishes:
            self._publish(good.read_bytes())
        raw = self.state["warnings"]
        assert isinstance(raw, list), "the state's warnings are a list"
        warnings = tuple(Problem(**{**item, "place": Place(**item["place"])}) for item in raw)
        return Compiled(
            self.output, 0, int(str(self.state["pages"])), warnings, self._system_files(self.state["system"])
        )

    def _same_inputs(self) -> bool:
        read, names, system = self.state["read"], self.state["names"], self.state["system"]
        assert isinstance(read, dict), "the state holds the digests of the files read"
        assert isinstance(names, list), "the state holds the names of the tree"
        assert isinstance(system, dict), "the state holds the stamps of TeX's own files"
        if set(self.inputs) - set(names):
            return False  # a file that did not exist before may now be found first
        if any(self.inputs.get(name) != digest for name, digest in read.items()):
            return False
        return all(_stamp(Path(path)) == stamp for path, stamp in system.items())

    # -- compiling -------------------------------------------------------------------------------------------------

    def run(self, deadline: Deadline, progress: Progress) -> Compiled:
        """All passes, then the publication."""
        self._prepare()
        log, before = "", self._settling()
        for num_passes in range(1, MAX_PASSES + 1):
            progress(f"{self.engine.engine} pass {num_passes}")
            log = self._pass(deadline)
            if self._bibliography_needed():
                progress(self._bibliography_program())
                self._bibliography(deadline)
            after = self._settling()
            if after == before:
                return self._finish(log, num_passes)
            changed = sorted(name for name in after if after[name] != before.get(name))
            before = after
        message = f"{', '.join(changed)} still changed after {MAX_PASSES} passes; the references never settle"
        raise TexError([Problem("error", message, Place(self.main))])

    def forget(self) -> None:
        """Start from nothing, as if there had been no build before."""
        shutil.rmtree(self.tex, ignore_errors=True)
        self.state, self.bibliography = {}, ""

    def _prepare(self) -> None:
        """Make the private folder hold the tree, and the auxiliary files of the last good build, and nothing else."""
        self.tex.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.tex.rglob("*"), reverse=True):
            name = path.relative_to(self.tex).as_posix()
            if path.is_symlink() or (path.is_file() and name not in self.inputs):
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        for name, digest in self.inputs.items():
            target = self.tex / name
            if not target.is_file() or digest_file(target) != digest:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.tree.root / name, target)
        if self.state and self.settled.is_dir():
            for path in self.settled.rglob("*"):
                if path.suffix in SETTLED:
                    target = self.tex / path.relative_to(self.settled)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
        else:
            self.bibliography = ""

    def _settling(self) -> dict[str, str]:
        paths = (path for path in self.tex.rglob("*") if path.suffix in SETTLED)
        names = {path.relative_to(self.tex).as_posix(): path for path in paths}
        return {name: digest_file(path) for name, path in sorted(names.items()) if name not in self.inputs}

    def _pass(self, deadline: Deadline) -> str:
        """One run of the engine; its log. Raises TexError when it did not give a whole PDF."""
        pdf, log_path = self.tex / f"{self.job}.pdf", self.tex / f"{self.job}.log"
        for path in (pdf, log_path):
            path.unlink(missing_ok=True)
        done = run(
            [str(self.engine.path), *FLAGS, self.main],
            folder=self.tex,
            environment=self.environment,
            deadline=deadline,
            terminal=self.work / "terminal.txt",
        )
        log = log_path.read_text(encoding="utf-8", errors="replace") if log_path.is_file() else ""
        seen = SourceTree(self.tex, self.line_map)
        errors = [problem for problem in read_log(log, seen) if problem.severity == "error" and not _unsettled(problem)]
        if not errors and "No pages of output" in log:
            known = explain("No pages of output")
            errors = [Problem("error", "the document has no page", Place(self.main), "", known.cause, known.remedy)]
        if not errors and (done.returncode != 0 or not _is_whole(pdf)):
            said = (self.work / "terminal.txt").read_text(encoding="utf-8", errors="replace").strip().split("\n")[-8:]
            errors = [Problem("error", f"{self.engine.engine} failed (exit {done.returncode}):\n" + "\n".join(said))]
        if errors:
            if self._bibliography_needed() and not self._control_file().is_file():
                errors += self._bibliography_problems(deadline)
            raise TexError(errors)
        return log

    # -- bibliography ----------------------------------------------------------------------------------------------

    def _control_file(self) -> Path:
        """What biblatex writes for biber; without it, BibTeX reads the .aux files."""
        return self.tex / f"{self.job}.bcf"

    def _bibliography_program(self) -> str:
        return "biber" if self._control_file().is_file() else "bibtex"

    def _bibliography_needed(self) -> bool:
        wanted, bbl = self._bibliography_digest(), self.tex / f"{self.job}.bbl"
        if not wanted and bbl.name not in self.inputs:
            bbl.unlink(missing_ok=True)  # the last citation is gone; its entry must not stay printed
        return bool(wanted) and (wanted != self.bibliography or not bbl.is_file())

    def _bibliography_digest(self) -> str:
        """What the program's answer depends on: citations in order, styles, .bib and .bst files; "" without work."""
        if f"{self.job}.bbl" in self.inputs:
            return ""  # the tree brings its bibliography ready made
        files = {name: digest for name, digest in self.inputs.items() if name.endswith((".bib", ".bst"))}
        if (control := self._control_file()).is_file():
            return digest_json([digest_file(control), files])
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(self.tex.rglob("*.aux"))]
        orders = [
            match[0] for text in texts for match in re.finditer(r"\\(?:citation|bibdata|bibstyle)\{[^}]*\}", text)
        ]
        if not all(any(order.startswith(head) for order in orders) for head in (r"\citation", r"\bibdata")):
            return ""
        return digest_json([list(dict.fromkeys(orders)), files])

    def _bibliography(self, deadline: Deadline) -> None:
        if problems := self._bibliography_problems(deadline):
            raise TexError(problems, "problems in the bibliography")
        self.bibliography = self._bibliography_digest()

    def _bibliography_problems(self, deadline: Deadline) -> list[Problem]:
        name = self._bibliography_program()
        program = shutil.which(name)
        if program is None:
            packages = ["biber"] if name == "biber" else ["texlive-binaries"]
            raise MachineError(f"No {name} on this machine.", hint=install_hint(packages, [name]))
        done = run(
            [program, self.job],
            folder=self.tex,
            environment=self.environment,
            deadline=deadline,
            terminal=self.work / "terminal.txt",
        )
        blg = self.tex / f"{self.job}.blg"
        seen = SourceTree(self.tex, self.line_map)
        found = read_blg(blg.read_text(encoding="utf-8", errors="replace"), seen) if blg.is_file() else []
        if done.returncode < 2 and not found:
            return []
        shown = "biber" if name == "biber" else "BibTeX"
        problems = [seen.problem("error", f"{shown}: {message}", place) for place, message in found]
        return problems or [Problem("error", f"{shown} failed (exit {done.returncode})", Place(blg.name))]

    # -- publication -----------------------------------------------------------------------------------------------

    def _finish(self, log: str, num_passes: int) -> Compiled:
        problems = read_log(log, SourceTree(self.tex, self.line_map))
        if errors := [problem for problem in problems if problem.severity == "error"]:
            raise TexError(errors)
        warnings = tuple(problem for problem in problems if problem.severity != "error")
        pdf = self.tex / f"{self.job}.pdf"
        pages = re.findall(r"Output written on .*?\((\d+) pages?", log)
        num_pages = int(pages[-1]) if pages else 0
        content = pdf.read_bytes()
        self._keep()
        read, system = self._recorded()
        state = {
            "setting": self.setting,
            "names": sorted(self.inputs),
            "read": read,
            "system": system,
            "bibliography": self.bibliography,
            "pdf": digest_bytes(content),
            "pages": num_pages,
            "warnings": [{**vars(problem), "place": vars(problem.place)} for problem in warnings],
        }
        self._publish(content)
        write_json(self.state_path, state)
        return Compiled(self.output, num_passes, num_pages, warnings, self._system_files(system))

    def _system_files(self, system: Any) -> tuple[str, ...]:
        return (str(self.engine.path), *system)

    def _keep(self) -> None:
        """Copy what the next build starts from into `settled`; the state is invalid meanwhile."""
        self.state_path.unlink(missing_ok=True)
        shutil.rmtree(self.settled, ignore_errors=True)
        for path in self.tex.rglob("*"):
            name = path.relative_to(self.tex)
            if name.as_posix() not in self.inputs and (path.suffix in SETTLED or name.name == f"{self.job}.pdf"):
                (self.settled / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, self.settled / name)

    def _recorded(self) -> tuple[dict[str, str], dict[str, list[int]]]:
        """The inputs of the tree that TeX opened (with digests), and the files outside it (with size and time)."""
        recorder = self.tex / f"{self.job}.fls"
        lines = recorder.read_text(encoding="utf-8", errors="replace").splitlines() if recorder.is_file() else []
        opened = {line[6:].removeprefix("./") for line in lines if line.startswith("INPUT ")}
        bib = {name for name in self.inputs if name.endswith((".bib", ".bst"))}
        read = {name: self.inputs[name] for name in self.inputs if name in opened | bib | {self.main}}
        system = {name: _stamp(Path(name)) for name in sorted(opened) if Path(name).is_absolute()}
        return read, system

    def _publish(self, content: bytes) -> None:
        if not self.output.is_file() or self.output.read_bytes() != content:
            write_atomic(self.output, content)
        self.output.with_name(f"{self.output.stem}.previous{self.output.suffix}").unlink(missing_ok=True)


def _stamp(path: Path) -> list[int]:
    """Size and time of a file of the TeX installation; a reinstalled package changes them."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _is_whole(pdf: Path) -> bool:
    """Whether a PDF begins and ends as one does."""
    if not pdf.is_file():
        return False
    content = pdf.read_bytes()
    return content.startswith(b"%PDF-") and b"%%EOF" in content[-1024:]


def _is_of_auxiliary_files(problems: Iterable[Problem]) -> bool:
    """Whether TeX stumbled over a file that an earlier pass wrote, such as a .bbl for another bibliography program."""
    endings = "|".join(sorted(suffix[1:] for suffix in SETTLED))
    return any(re.search(rf"\.(?:{endings})\b", f"{problem.message} {problem.place.file}") for problem in problems)


def _unsettled(problem: Problem) -> bool:
    """Whether a later pass may resolve the problem."""
    return problem.message.startswith(("undefined citation", "undefined reference"))


__all__ = ["Compiled", "Progress", "TimeLimitError", "compile_tree", "last_build", "set_aside"]
