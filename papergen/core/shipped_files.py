"""Where the files that ship with papergen lie, in a wheel and in an editable checkout alike."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def shipped(name: Literal["templates", "experiments"]) -> Path:
    """The folder of that name: inside the installed package, else beside it in the checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise AssertionError(f"this installation of papergen lacks its {name} folder: install it again")
