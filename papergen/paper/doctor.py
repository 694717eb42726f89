"""What this machine has and lacks for every step of a paper, and the line that installs what is missing.

Nothing heavy is imported: torch and transformers are asked for their version only.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from papergen import __version__
from papergen.core.errors import MachineError
from papergen.execution.devices import cpu_model, find_gpus, memory_gib, num_cores, torch_cuda
from papergen.latex.build.engine import APT_BASE, install_hint
from papergen.latex.venues.installed import survey
from papergen.report.figures import cjk

MIN_FREE_GIB = 2.0
"""Less room than this on the disk is said: checkpoints and TeX need it."""

State = Literal["ok", "lacks", "optional"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at: `lacks` stops new, run-exp or build-pdf of the default paper, `optional` something else."""

    what: str
    state: State
    found: str
    remedy: str = ""


def examine(folder: Path) -> list[Finding]:
    """Everything, in the order in which a paper needs it; `folder` is where the paper is or will be."""
    return [*_python(), *_hardware(), _disk(folder), *_tex(), _fonts(), _git()]


def _python() -> Iterator[Finding]:
    is_known = (3, 11) <= sys.version_info < (3, 14)
    shown = f"{platform.python_version()}, papergen {__version__}"
    yield Finding(
        what="Python",
        state="ok" if is_known else "lacks",
        found=shown,
        remedy="" if is_known else "papergen needs Python 3.11 to 3.13.",
    )
    for name in ("torch", "transformers"):
        try:
            yield Finding(what=name, state="ok", found=metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(what=name, state="lacks", found="not installed", remedy=f"pip install {name}")


def _hardware() -> Iterator[Finding]:
    yield Finding(what="CPU", state="ok", found=f"{cpu_model()}, {num_cores()} cores, {memory_gib():.1f} GiB of memory")
    try:
        gpus = find_gpus()
    except MachineError as error:
        yield Finding(what="GPU", state="optional", found=error.message, remedy=error.hint or "")
        return
    if not gpus:
        yield Finding(what="GPU", state="optional", found="none; experiments run on the CPU")
        return
    names = ", ".join(gpu.name or gpu.name_for_cuda for gpu in gpus)
    if torch_cuda() is None:
        wanted = "pip install torch --index-url https://download.pytorch.org/whl/cu128"
        yield Finding(what="GPU", state="optional", found=f"{names}, but torch is a CPU build", remedy=wanted)
    else:
        yield Finding(what="GPU", state="ok", found=f"{names} (CUDA {torch_cuda()})")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 2**30
    enough = free >= MIN_FREE_GIB
    remedy = "" if enough else f"Make room: at least {MIN_FREE_GIB:g} GiB should be free."
    return Finding(what="Disk", state="ok" if enough else "lacks", found=f"{free:.1f} GiB free", remedy=remedy)


def _tex() -> Iterator[Finding]:
    if shutil.which("kpsewhich") is None:
        yield Finding(what="TeX", state="lacks", found="not installed", remedy=install_hint(list(APT_BASE), []))
        return
    for item in survey():
        name = f"TeX: {item.template.name} ({item.language})"
        if item.is_installed:
            mine = [style.file for style in item.template.style_files]
            yield Finding(what=name, state="ok", found="ready" + (f"; you supply {', '.join(mine)}" if mine else ""))
        else:
            is_default = item.template.name == "twocolumn" and item.language == "en"
            state: State = "lacks" if is_default else "optional"
            yield Finding(what=name, state=state, found=f"lacks {', '.join(item.missing)}", remedy=item.hint())
    for program, package, use in (
        ("biber", "biber", "bibliography: biber"),
        ("latexdiff", "latexdiff", "the PDF of papergen diff"),
        ("pdftotext", "poppler-utils", "comparing pages in papergen export"),
    ):
        path = shutil.which(program)
        yield Finding(
            what=program,
            state="ok" if path else "optional",
            found=path or f"not installed ({use})",
            remedy="" if path else install_hint([package], [program]).splitlines()[1],
        )


def _fonts() -> Finding:
    if fonts := cjk.cjk_fonts():
        return Finding(what="Chinese in figures", state="ok", found=fonts[0])
    return Finding(what="Chinese in figures", state="optional", found="no font has Chinese", remedy=cjk.INSTALL)


def _git() -> Finding:
    path = shutil.which("git")
    if path is None:
        return Finding(
            what="git", state="optional", found="not installed", remedy="sudo apt-get install git  (records commits)"
        )
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return Finding(what="git", state="ok", found=answer.stdout.strip().removeprefix("git version "))
