"""Fonts with Chinese letters for figures: TrueType ones first, then TeX's Fandol and others with CFF outlines.

Matplotlib embeds TrueType as it should be; a CFF font it marks as TrueType, which readers show but pdffonts warns of.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.fonts",
    "~/.local/share/fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
)
TRUETYPE = ("gbsn00lp.ttf", "uming.ttc", "simsun.ttc", "Songti.ttc", "wqy-zenhei.ttc", "wqy-microhei.ttc")
TEX_FILE = "FandolSong-Regular.otf"
CFF = ("NotoSerifCJKsc-Regular.otf", "SourceHanSerifSC-Regular.otf", "NotoSerifCJK-Regular.ttc")

INSTALL = "sudo apt-get install --no-install-recommends fonts-arphic-gbsn00lp   (or fonts-arphic-uming, fonts-noto-cjk)"


@functools.cache
def cjk_fonts() -> tuple[str, ...]:
    """The files of the fonts with Chinese letters on this machine, the one to use first."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for place, _, files in os.walk(Path(folder).expanduser()):
            for name in sorted({*TRUETYPE, *CFF} & set(files)):
                found.setdefault(name, str(Path(place) / name))
    if program := shutil.which("kpsewhich"):
        done = subprocess.run(
            [program, TEX_FILE], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        if done.stdout.strip():
            found[TEX_FILE] = done.stdout.strip()
    return tuple(found[name] for name in (*TRUETYPE, TEX_FILE, *CFF) if name in found)


def advice() -> str:
    """What to type for a letter that no font has, and where it was looked for."""
    tried = ", ".join(Path(path).name for path in cjk_fonts())
    looked = f"Tried: {tried}." if tried else f"Looked for {', '.join((*TRUETYPE, TEX_FILE, *CFF))}; none is installed."
    return f"{INSTALL}, then build again; or name a font that has it (font=...). {looked}"
