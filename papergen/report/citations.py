"""The built-in bibliography: verified BibTeX entries of the methods, metrics and tools that papergen uses.

A field stands in `methods.bib` only where it was checked; what is not sure was left out, not guessed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from papergen.core.errors import PapergenError, did_you_mean

FILE = Path(__file__).with_name("methods.bib")

_HEAD = re.compile(r"^@(\w+)\{([^,\s]+),$", re.MULTILINE)


def entry(key: str) -> str:
    """The BibTeX entry of that key, complete from `@` to the closing brace."""
    found = entries()
    if key not in found:
        raise PapergenError(f"{key}: not a built-in reference. {did_you_mean(key, found)}")
    return found[key]


def known() -> list[str]:
    """Every built-in key, in alphabetical order."""
    return sorted(entries())


def search(words: str) -> list[str]:
    """Keys of the entries that hold every word (in a name, the title, the venue, the year or a keyword), best first."""
    wanted = [word for word in re.split(r"\W+", words.lower()) if word]
    scored: list[tuple[int, str]] = []
    for key, text in entries().items():
        plain = re.sub(r"[{}\\]", "", text.lower())
        title = re.sub(r"[{}]", "", field(text, "title").lower())
        if wanted and all(word in plain for word in wanted):
            scored.append((-sum((word in title) + (word in key) for word in wanted), key))
    return [key for _, key in sorted(scored)]


def field(text: str, name: str) -> str:
    """The value of a field of a built-in entry, "" when it has none."""
    match = re.search(rf"^  {name} = \{{(.*)\}},?$", text, re.MULTILINE)
    return match[1] if match else ""


@functools.cache
def entries() -> Mapping[str, str]:
    """Key -> entry of the whole built-in bibliography."""
    text = FILE.read_text(encoding="utf-8")
    heads = list(_HEAD.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    found = {head[2]: text[head.start() : end].strip() + "\n" for head, end in zip(heads, ends, strict=True)}
    assert len(found) == len(heads), "methods.bib holds a key twice"
    return found
