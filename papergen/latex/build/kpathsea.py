"""What kpathsea says of this machine's TeX files: one process for each new question, none for one asked before.

An answer is believed as long as kpsewhich, every texmf.cnf that decides it and the files that it names are the same.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from papergen.core.cache import Cache
from papergen.core.errors import MachineError
from papergen.core.files import digest_json

ANSWERS = Cache("kpathsea", most=64)

KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "TMPDIR",
    "TEXMFHOME",
    "TEXMFVAR",
    "TEXMFCONFIG",
    "TEXMFCNF",
    "TEXMFROOT",
    "TEXMFLOCAL",
)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The few variables TeX programs get: no TEXINPUTS of the user's shell, no reading or writing outside the folder.

    MKTEXPK=0: a font that exists only as a bitmap is an error, not a Type 3 font that a venue refuses.
    """
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    fixed = {
        "LC_ALL": "C",
        "TZ": "UTC",
        "openin_any": "p",
        "openout_any": "p",
        "shell_escape": "f",
        "max_print_line": "10000",
        "error_line": "254",
        "half_error_line": "238",
        "MKTEXPK": "0",
    }
    return kept | fixed | dict(extra or {})


def _kpsewhich(program: str, *arguments: str) -> list[str]:
    """The lines of an answer."""
    answer = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=clean_environment(),
        check=False,
    )
    return [line for line in answer.stdout.splitlines() if line]


def _asked(program: str, *arguments: str, num_lines: int = 1) -> list[str]:
    """The lines of kpsewhich's answer; from the cache where they are so many and nothing that decides them changed."""
    environment = {name: value for name, value in clean_environment().items() if name not in {"PATH", "TMPDIR"}}

    def find() -> tuple[list[str], set[str]]:
        answer = _kpsewhich(program, *arguments)
        folders = _kpsewhich(program, "--expand-braces=$TEXMFCNF")
        decided = set(_kpsewhich(program, "--all", "texmf.cnf"))
        # A texmf.cnf that appears in a folder of the list would be read as well: the absent ones decide too.
        decided |= {f"{folder}/texmf.cnf" for line in folders for folder in line.split(":") if folder}
        return answer, decided | {line for line in answer if Path(line).is_file()}

    question, files = digest_json([arguments, sorted(environment.items())]), [os.path.realpath(program)]
    # What is not found may be installed at any time, in any folder: fewer lines than wanted are asked for again.
    return list(ANSWERS.answer(question, files, find, is_enough=lambda lines: len(lines) >= num_lines))


@functools.cache
def tex_folders(program: Path) -> tuple[Path, ...]:
    """Where a TeX program's own files lie: its installation and the trees of TEXMF, the user's among them."""
    folders = [program.resolve().parents[1]]
    if kpsewhich := shutil.which("kpsewhich"):
        parts = [part for line in _asked(kpsewhich, "--expand-braces=$TEXMF") for part in line.split(":")]
        folders += [Path(part.lstrip("!")) for part in parts if part]
    home = Path.home()
    folders += [home / ".fonts", home / ".local/share/fonts", home / ".cache/fontconfig", home / ".fonts.conf"]
    return tuple(
        folder for folder in folders if folder.is_absolute() and folder not in {Path("/"), home, *home.parents}
    )


def locate(names: Iterable[str], *, hint: str = "") -> dict[str, Path | None]:
    """Where kpathsea finds each TeX file (`article.cls`, `booktabs.sty`); None for the missing; one process for all.

    MachineError, with the hint, on a machine without kpsewhich.
    """
    wanted = list(dict.fromkeys(names))
    return _places(wanted, _kpsewhich(_program(hint), *wanted)) if wanted else {}


def missing(names: Iterable[str], *, hint: str = "") -> list[str]:
    """Those of the TeX files that kpathsea does not find; no process when all were found before and still are there."""
    wanted = list(dict.fromkeys(names))
    places = _places(wanted, _asked(_program(hint), *wanted, num_lines=len(wanted))) if wanted else {}
    return [name for name, path in places.items() if path is None]


def _program(hint: str) -> str:
    program = shutil.which("kpsewhich")
    if program is None:
        raise MachineError("No kpsewhich on this machine: TeX is not installed.", hint=hint)
    return program


def _places(wanted: Iterable[str], lines: Iterable[str]) -> dict[str, Path | None]:
    found = {Path(line).name: Path(line) for line in lines}
    return {name: found.get(Path(name).name) for name in wanted}
