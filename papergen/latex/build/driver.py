"""The build driver: a LaTeX tree becomes a PDF, or nothing does and every problem is told.

The tree is copied into a private folder beside it and compiled there, with no shell escape and no file outside that
folder read or written. As many passes run as the auxiliary files need, BibTeX only when citations or entries
changed, and nothing at all when no input changed. The PDF is put in its place by a rename, only after a run with
exit code 0, no error in the log and a PDF that this run wrote; after a failure the PDF of an earlier build is set
aside under another name.
"""

from __future__ import annotations

import functools
import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from papergen.core.files import digest_bytes, digest_file, digest_json, write_atomic
from papergen.core.stamps import Stamp
from papergen.latex.bibliography.run import BibliographyRun
from papergen.latex.build.auxiliary import AUXILIARY, SCHEMA, LastBuild, auxiliary_digests
from papergen.latex.build.engine import Toolchain
from papergen.latex.build.kpathsea import clean_environment
from papergen.latex.build.preamble import PreambleFormat, recorded, stamps_of
from papergen.latex.build.process import Deadline, TimeLimitError, run
from papergen.latex.log.explain import explain
from papergen.latex.log.reader import read_errors, read_log
from papergen.latex.pdf import is_whole
from papergen.latex.problems import Code, Place, Problem, TexError
from papergen.latex.text import Engine
from papergen.latex.tree import LineMap, SourceTree

MAX_PASSES = 5
SETTLE_LATER = {Code.UNDEFINED_CITATION, Code.UNDEFINED_REFERENCE}
"""What a later pass may resolve: a pass knows the labels that the pass before wrote."""
DEFAULT_EPOCH_S = 1_704_067_200
"""2024-01-01 UTC, the date inside PDFs when the caller names none: equal input gives equal bytes."""
# -file-line-error: errors begin with file:line. -no-parse-first-line: a document cannot choose another format in its
# first line. -recorder: TeX lists every file that it opens.
FLAGS = (
    "-no-shell-escape",
    "-interaction=nonstopmode",
    "-file-line-error",
    "-no-parse-first-line",
    "-recorder",
)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Compiled:
    """A paper that compiled: `num_passes` is 0 when nothing had changed and no process was started."""

    pdf: Path
    num_passes: int
    pages: int
    warnings: tuple[Problem, ...]
    """Overfull boxes and what LaTeX warned of."""
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
    build = Build(tree, main, engine, output, line_map or LineMap(), epoch_s)
    if (done := build.unchanged()) is not None:
        return done
    say, deadline = (lambda _: None) if progress is None else progress, Deadline(timeout_s)
    try:
        try:
            return build.run(deadline, say)
        except TexError as error:
            if not build.has_old_auxiliary_files or not _is_of_auxiliary_files(error.problems):
                raise
            say("the auxiliary files that were there before do not suit this build; once more without them")
            build.forget()
            return build.run(deadline, say)
    except BaseException:
        set_aside(output)
        raise


def _work_folder(tree: Path, engine: Engine) -> Path:
    return tree.parent / f".{tree.name}-{engine}"


def auxiliary_folder(tree: Path, engine: Engine) -> Path:
    """Where the auxiliary files of the last good build of `tree` lie."""
    return _work_folder(tree, engine) / "settled"


def last_build(tree: Path, main: str, *, engine: Toolchain, output: Path) -> Compiled | None:
    """What the last build of `tree` gave, when nothing that it read has changed and its PDF is in place; else None.

    Nothing is run and nothing is written.
    """
    if not (tree / main).is_file() or not output.is_file():
        return None
    build = Build(tree, main, engine, output, LineMap(), None)
    done = build.unchanged(publishes=False)
    return done if done is not None and digest_file(output) == build.last.record["pdf"] else None


class Build:
    """One compilation, which `precompile` starts from too.

    `work` holds what TeX sees (`tex`) and what the last good build left (`last`).
    """

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
        self.work = _work_folder(tree, engine.engine)
        self.tex = self.work / "tex"
        self.began_ns = time.time_ns()
        self.environment = clean_environment({"SOURCE_DATE_EPOCH": str(epoch_s or DEFAULT_EPOCH_S)})
        if epoch_s is not None:
            self.environment["FORCE_SOURCE_DATE"] = "1"
        # Without PATH: TeX starts no program, and another PATH must not make a build of every paper.
        decisive = sorted(item for item in self.environment.items() if item[0] != "PATH")
        fixed = [SCHEMA, main, engine.version, str(engine.path), FLAGS, decisive]
        self.setting = digest_json(fixed)
        self.inputs = {name: digest_file(tree / name) for name in self.tree.names}
        self.last = LastBuild(self.work, self.job, self.setting)
        self.bibliography = BibliographyRun(self.tex, self.job, self.inputs, self.line_map, self.environment)
        self.bibliography.done = str(self.last.record.get("bibliography", ""))
        self.known: dict[str, Any] = {}
        self.predicts_input = bool(self.last.record.get("predicts_input", True))
        self.has_run_ahead = False

    @functools.cached_property
    def format(self) -> PreambleFormat:
        """The preamble's format, looked at only when something is to be done."""
        return PreambleFormat(self.work / "format", self.tree, self.main, self.engine, self.setting)

    def unchanged(self, *, publishes: bool = True) -> Compiled | None:
        """The earlier result when no input changed; its PDF is put back in place if somebody removed or changed it."""
        last = self.last
        if not last.is_of(self.inputs) or digest_file(last.pdf) != last.record["pdf"]:
            return None
        if publishes:
            self._publish(last.pdf.read_bytes())
        system = (str(self.engine.path), *last.record["system"])
        return Compiled(self.output, 0, int(last.record["pages"]), last.warnings, system)

    # -- compiling -------------------------------------------------------------------------------------------------

    def run(self, deadline: Deadline, progress: Progress) -> Compiled:
        """All passes, then the publication."""
        self.prepare()
        known = self.format.known(self.inputs)
        self.known = known if known and known["usable"] and self.format.dump.is_file() else {}
        self._prepare_bibliography(deadline, progress)
        log, before = "", auxiliary_digests(self.tex, self.inputs)
        for num_passes in range(1, MAX_PASSES + 1):
            progress(f"{self.engine.engine} pass {num_passes}")
            log = self._pass(deadline)
            if self.bibliography.is_needed():
                progress(self.bibliography.program())
                self.bibliography.run(deadline)
            after = auxiliary_digests(self.tex, self.inputs)
            if after == before:
                return self._finish(log, num_passes)
            changed = sorted(name for name in after if after[name] != before.get(name))
            before = after
        message = f"{', '.join(changed)} still changed after {MAX_PASSES} passes; the references never settle"
        raise TexError([Problem(Code.UNSETTLED, message, Place(self.main))])

    def _prepare_bibliography(self, deadline: Deadline, progress: Progress) -> None:
        """Run BibTeX before the first pass where the sources say what it will be asked, as they did the last time."""
        if not self.predicts_input or (predicted := self.bibliography.predicted_input(self.tree, self.main)) is None:
            return
        progress(self.bibliography.program())
        self.has_run_ahead = self.bibliography.run_ahead(predicted, deadline)

    def forget(self) -> None:
        """Start from nothing, as if there had been no build before."""
        shutil.rmtree(self.tex, ignore_errors=True)
        self.last.record, self.bibliography.done = {}, ""
        self.predicts_input = self.has_run_ahead = False

    @property
    def has_old_auxiliary_files(self) -> bool:
        """Whether the first pass found auxiliary files that no pass of this build wrote."""
        return bool(self.last.record) or self.has_run_ahead

    def prepare(self) -> None:
        """Make the private folder hold the tree, and the auxiliary files of the last good build, and nothing else."""
        self.tex.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.tex.rglob("*"), reverse=True):
            name = path.relative_to(self.tex).as_posix()
            # Links too: a link that somebody put here would lead TeX's writing elsewhere.
            if path.is_symlink() or (path.is_file() and name not in self.inputs):
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        for name, digest in self.inputs.items():
            target = self.tex / name
            if not target.is_file() or digest_file(target) != digest:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.tree.root / name, target)
        if self.last.record and self.last.folder.is_dir():
            self.last.restore(self.tex)
        else:
            self.bibliography.done = ""

    def _pass(self, deadline: Deadline) -> str:
        """One run of the engine; its log. Raises TexError when it did not give a whole PDF.

        What goes wrong with the preamble's format is tried again without it, so that every fault is told as ever.
        """
        try:
            return self.one_pass(deadline)
        except TexError:
            if not self.known:
                raise
            self.known = {}
            log = self.one_pass(deadline)
            self.format.refuse()
            return log

    def run_engine(self, deadline: Deadline, *more: str) -> int:
        """Run the engine on the main file; its exit code."""
        for ending in (".pdf", ".log"):
            (self.tex / f"{self.job}{ending}").unlink(missing_ok=True)
        return run(
            [str(self.engine.path), *FLAGS, *more, self.main],
            folder=self.tex,
            environment=self.environment,
            deadline=deadline,
            terminal=self.work / "terminal.txt",
            read=[self.format.folder],
        ).returncode

    def one_pass(self, deadline: Deadline) -> str:
        """One run of the engine, from the format where one is `known`; its log, or TexError."""
        pdf, log_path = self.tex / f"{self.job}.pdf", self.tex / f"{self.job}.log"
        if self.known and self.format.split:
            with self.format.main_file(self.tex, self.format.split.resumed(self.known["replayed"])):
                format_ = f"-fmt={self.format.name_from(self.tex)}"
                code = self.run_engine(deadline, f"-progname={self.engine.engine}", format_)
        else:
            code = self.run_engine(deadline)
        log = log_path.read_text(encoding="utf-8", errors="replace") if log_path.is_file() else ""
        seen = SourceTree(self.tex, self.line_map)
        errors = [problem for problem in read_errors(log, seen) if problem.code not in SETTLE_LATER]
        if not errors and "No pages of output" in log:
            known = explain("No pages of output")
            where = Place(self.main)
            errors = [Problem(Code.NO_PAGES, "the document has no page", where, "", known.cause, known.remedy)]
        if not errors and (code != 0 or not is_whole(pdf)):
            said = (self.work / "terminal.txt").read_text(encoding="utf-8", errors="replace").strip().split("\n")[-8:]
            message = "\n".join([f"{self.engine.engine} failed (exit {code}):", *said])
            errors = [Problem(Code.ENGINE_FAILED, message)]
        if errors:
            if self.bibliography.is_needed() and not self.bibliography.control_file().is_file():
                errors += self.bibliography.problems(deadline)
            raise TexError(errors)
        return str(self.known.get("log", "")) + log

    # -- publication -----------------------------------------------------------------------------------------------

    def _finish(self, log: str, num_passes: int) -> Compiled:
        problems = read_log(log, SourceTree(self.tex, self.line_map))
        if errors := [problem for problem in problems if problem.is_error]:
            raise TexError(errors)
        warnings = tuple(problem for problem in problems if not problem.is_error)
        pages = re.findall(r"Output written on .*?\((\d+) pages?", log)
        num_pages = int(pages[-1]) if pages else 0
        content = (self.tex / f"{self.job}.pdf").read_bytes()
        self.last.keep(self.tex, self.inputs)
        read, system = self._recorded()
        is_same_preamble = self.last.record.get("preamble") == self.format.key
        record = {
            "names": sorted(self.inputs),
            "read": read,
            "system": system,
            "bibliography": self.bibliography.done,
            "predicts_input": self.bibliography.predicted_input(self.tree, self.main) is None,
            "preamble": self.format.key,
            "num_builds": int(self.last.record["num_builds"]) + 1 if is_same_preamble else 1,
            "pdf": digest_bytes(content),
            "pages": num_pages,
            "warnings": [problem.to_json() for problem in warnings],
        }
        self._publish(content)
        self.last.write(record)
        return Compiled(self.output, num_passes, num_pages, warnings, (str(self.engine.path), *system))

    def _recorded(self) -> tuple[dict[str, str], dict[str, Stamp]]:
        """The inputs of the tree that TeX opened (with digests), and the files outside it (with stamps)."""
        opened = recorded(self.tex / f"{self.job}.fls")
        if self.known:
            opened |= {*self.known["read"], *self.known["system"]}
        bib = {name for name in self.inputs if name.endswith((".bib", ".bst"))}
        read = {name: self.inputs[name] for name in self.inputs if name in opened | bib | {self.main}}
        system = stamps_of(opened, read_ns=self.began_ns)
        return read, system

    def _publish(self, content: bytes) -> None:
        if not self.output.is_file() or self.output.read_bytes() != content:
            write_atomic(self.output, content)
        self.output.with_name(f"{self.output.stem}.previous{self.output.suffix}").unlink(missing_ok=True)


def _is_of_auxiliary_files(problems: Iterable[Problem]) -> bool:
    """Whether TeX stumbled over a file that an earlier pass wrote, such as a .bbl for another bibliography program.

    TeX names the file in its message, or as the place of the error.
    """
    endings = re.compile(rf"\.(?:{'|'.join(sorted(suffix[1:] for suffix in AUXILIARY))})\b")
    return any(
        endings.search(problem.place.file) or (problem.code is Code.TEX and endings.search(problem.message))
        for problem in problems
    )


__all__ = ["Compiled", "Progress", "TimeLimitError", "compile_tree", "last_build", "set_aside"]
