"""Two PDFs compared page by page: the text by pdftotext, the look by pdftoppm."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from papergen.core.errors import MachineError
from papergen.core.scratch import scratch_folder

DPI = 72
"""Enough to see a moved letter; the time grows with its square."""


def page_differences(first: Path, second: Path) -> list[str]:
    """In words and by page, in what the second PDF differs from the first; empty when every page is the same."""
    texts, others = page_texts(first), page_texts(second)
    found = [] if len(texts) == len(others) else [f"{len(others)} pages instead of {len(texts)}"]
    for number, (text, other) in enumerate(zip(texts, others, strict=False), 1):
        if text != other:
            found.append(f"page {number}: {_first_difference(text, other)}")
    if not found:
        pairs = zip(_pictures(first), _pictures(second), strict=True)
        found = [f"page {number}: looks different" for number, (one, two) in enumerate(pairs, 1) if one != two]
    return found


def _first_difference(text: str, other: str) -> str:
    lines, others = text.splitlines(), other.splitlines()
    for line, changed in zip(lines, others, strict=False):
        if line != changed:
            return f"{changed.strip()[:70]!r} instead of {line.strip()[:70]!r}"
    longer = (lines if len(lines) > len(others) else others)[min(len(lines), len(others)) :]
    return f"{'lacks' if len(lines) > len(others) else 'adds'} {' '.join(longer).strip()[:70]!r}"


def page_texts(pdf: Path) -> list[str]:
    """The text of each page as pdftotext reads it."""
    said = _run([_program("pdftotext"), "-enc", "UTF-8", str(pdf), "-"])
    return said.decode("utf-8", errors="replace").split("\f")[:-1]  # a form feed ends every page, the last too


def _pictures(pdf: Path) -> Iterator[bytes]:
    """Each page as grey pixels."""
    with scratch_folder("pages") as folder:
        _run([_program("pdftoppm"), "-r", str(DPI), "-gray", str(pdf), f"{folder}/page"])
        # pdftoppm pads numbers to the width of the last page's in some versions and not in others.
        for path in sorted(folder.iterdir(), key=lambda path: (len(path.name), path.name)):
            yield path.read_bytes()


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MachineError(
            f"No {name} on this machine: pages cannot be compared.",
            hint="Install it: sudo apt-get install poppler-utils (macOS: brew install poppler).",
        )
    return found


def _run(command: list[str]) -> bytes:
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", errors="replace").strip()[:300]
        raise MachineError(f"{Path(command[0]).name} failed: {said}")
    return done.stdout
