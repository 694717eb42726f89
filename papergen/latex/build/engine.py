"""Which TeX engine this machine has, and whether it has every file that a template declares; what to install if not."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from papergen.core.errors import MachineError, PapergenError, did_you_mean
from papergen.latex.build import kpathsea

if TYPE_CHECKING:
    from papergen.latex.text import Engine

ENGINES: tuple[Engine, ...] = ("pdflatex", "xelatex")
"""lualatex is not offered: its \\directlua reads and writes any file, whatever the flags say."""

APT_BASE = ("texlive-latex-recommended", "texlive-fonts-recommended", "cm-super-minimal")
APT_OF_FILE = {
    "texlive-latex-recommended": "article amsmath graphicx natbib hyperref geometry fancyhdr t1enc plainnat unsrtnat "
    "booktabs float caption microtype xcolor eso-pic lineno etoolbox textcase fontspec",
    "texlive-fonts-recommended": "mathptmx ptmr8t t1txtt t1xtt",
    "cm-super-minimal": "sftt1000",
    "texlive-latex-extra": "hyperxmp environ forloop "
    "cleveref multirow enumitem adjustbox threeparttable stfloats placeins balance authblk "
    "algorithmic mylatexformat todonotes makecell tabularray lastpage titlesec comment totpages xifthen ifmtarg",
    "texlive-publishers": "IEEEtran acmart revtex4-2 elsarticle llncs IEEEtranN ACM-Reference-Format "
    "apsrev4-2 elsarticle-num splncs04",
    "texlive-science": "siunitx algorithm algorithmicx algpseudocode algorithm2e mhchem physics",
    "texlive-bibtex-extra": "biblatex ieee",
    "biber": "biber",
    "texlive-plain-generic": "binhex",
    "texlive-xetex": "xelatex xltxtra",
    "texlive-lang-chinese": "ctex ctexart xeCJK FandolSong-Regular ctexrep ctexbook zhnumber",
    "texlive-fonts-extra": "libertine inconsolata newtxmath newtxtext zi4 fontawesome5 doclicense",
    "texlive-pictures": "tikz pgf pgfplots",
    "lmodern": "lmodern",
    "cm-super": "cm-super",
    "latexmk": "latexmk",
}
"""Debian package -> the files (without suffix) that come with it; most others are in texlive-latex-extra."""


@dataclass(frozen=True)
class Toolchain:
    """One engine as it was found on this machine; `version` is its first line of `--version`."""

    engine: Engine
    path: Path
    version: str


def find_engine(wanted: str | None = None) -> Toolchain:
    """The engine asked for, else pdflatex, else xelatex. MachineError (exit 3) says what to type when there is none."""
    if wanted is not None and wanted not in ENGINES:
        unsafe = wanted == "lualatex"
        reason = "lualatex can read and write any file of yours." if unsafe else did_you_mean(wanted, ENGINES)
        raise PapergenError(f"engine = {wanted!r} is not offered; {' or '.join(ENGINES)}.", hint=reason)
    for name in ENGINES:
        if wanted in {None, name} and (path := shutil.which(name)):
            return Toolchain(name, Path(path), _version(path))
    missing = wanted or "pdflatex"
    packages = [*APT_BASE, "texlive-xetex"] if missing == "xelatex" else list(APT_BASE)
    raise MachineError(
        f"No {missing} on this machine: the paper's LaTeX is written, but it cannot be compiled.",
        hint=install_hint(packages, ["xetex"] if missing == "xelatex" else []),
    )


@functools.cache
def _version(path: str) -> str:
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return answer.stdout.splitlines()[0] if answer.stdout else "unknown version"


def locate(names: Iterable[str]) -> dict[str, Path | None]:
    """Where kpathsea finds each TeX file (`article.cls`, `booktabs.sty`); None for the missing; one process for all."""
    return kpathsea.locate(names, hint=install_hint(list(APT_BASE), []))


def require_files(names: Iterable[str], *, tree: Path | None = None, why: str = "this paper") -> None:
    """MachineError (exit 3) naming every TeX file that neither `tree` nor this machine has, with what installs them."""
    wanted = [name for name in names if tree is None or not (tree / name).exists()]
    missing = kpathsea.missing(wanted, hint=install_hint(list(APT_BASE), []))
    if not missing:
        return
    stems = [Path(name).stem for name in missing]
    raise MachineError(
        f"{why} needs TeX files that this machine does not have: {', '.join(missing)}.",
        hint=install_hint(debian_packages(stems), stems),
    )


def debian_packages(stems: Iterable[str]) -> list[str]:
    """The Debian packages that bring these packages, classes or styles, each once."""
    packages = []
    for stem in stems:
        owners = [package for package, files in APT_OF_FILE.items() if stem in files.split()]
        packages.append(owners[-1] if owners else "texlive-latex-extra")
    return list(dict.fromkeys(packages))


def install_hint(apt: list[str], tlmgr: list[str]) -> str:
    """What to type to install packages of Debian and of TeX Live."""
    return "\n".join(["Install what is missing:", *install_lines(apt, tlmgr)])


def install_lines(apt: list[str], tlmgr: list[str]) -> list[str]:
    """The line to type on each system, that of this one first."""
    tlmgr = tlmgr or ["cm-super"]
    fedora = "texlive-scheme-small " + " ".join(f"texlive-{name}" for name in tlmgr)
    lines = {
        "apt": f"Debian, Ubuntu: sudo apt-get install --no-install-recommends {' '.join(apt)}",
        "dnf": f"Fedora:         sudo dnf install {fedora}",
        "brew": f"macOS:          brew install --cask basictex && sudo tlmgr install collection-latexrecommended "
        f"collection-fontsrecommended {' '.join(tlmgr)}",
        "tlmgr": f"TeX Live:       tlmgr install {' '.join(tlmgr)}",
    }
    here = "brew" if sys.platform == "darwin" else next((name for name in ("apt", "dnf") if shutil.which(name)), "apt")
    order = [here, *(name for name in lines if name != here)]
    return [lines[name] for name in order]
