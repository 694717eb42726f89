"""The built-in bibliography: one checked BibTeX entry for every method that papergen implements or reports with."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from papergen.errors import PapergenError, did_you_mean

FILE = Path(__file__).with_name("methods.bib")


@functools.cache
def entries() -> Mapping[str, str]:
    """Key -> the text of its entry, in the order of the file."""
    texts = re.split(r"\n(?=@)", FILE.read_text(encoding="utf-8").strip())
    return {re.match(r"@\w+\{([^,\s]+),", text)[1]: text.strip() + "\n" for text in texts}  # type: ignore[index]


def known() -> list[str]:
    """All keys, in alphabetical order."""
    return sorted(entries())


def entry(key: str) -> str:
    """The BibTeX text of a key; PapergenError with the nearest key when there is none."""
    if key not in entries():
        raise PapergenError(f"{key}: not a built-in reference. {did_you_mean(key, entries())}")
    return entries()[key]


def search(words: str) -> list[str]:
    """Keys of the entries that contain every one of the words, whatever their case."""
    wanted = words.lower().split()
    return [key for key, text in entries().items() if all(word in text.lower() for word in wanted)]
