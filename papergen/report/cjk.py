"""Fonts with Chinese letters for figures: the system's, or the Fandol fonts that come with TeX."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

SYSTEM_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts", "/Library/Fonts")
SYSTEM_FILES = ("NotoSerifCJK-Regular.ttc", "NotoSerifCJKsc-Regular.otf", "SourceHanSerifSC-Regular.otf", "Songti.ttc")
TEX_FILE = "FandolSong-Regular.otf"


@functools.cache
def find_cjk_font() -> tuple[str, str] | None:
    """What it is called, and the file of a font with Chinese letters; TeX's Fandol first, which the text has too."""
    if program := shutil.which("kpsewhich"):
        done = subprocess.run(
            [program, TEX_FILE], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        if done.stdout.strip():
            return "FandolSong (TeX)", done.stdout.strip()
    for folder in SYSTEM_FOLDERS:
        for name in SYSTEM_FILES:
            for path in sorted(Path(folder).expanduser().rglob(name)):
                return path.stem, str(path)
    return None
