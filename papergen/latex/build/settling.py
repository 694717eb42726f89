r"""What a pass leaves for the next: when it says the same as before, the document has settled."""

from __future__ import annotations

import re
from pathlib import Path

SETTLED = {".aux", ".bbl", ".lof", ".lot", ".nav", ".out", ".snm", ".toc"}
"""Files that a pass reads from the pass before."""

_DEFINES = re.compile(rb"\\(?:newlabel|bibcite)\{([^{}]*)\}\{")


def meaning(path: Path) -> bytes:
    r"""The content of such a file, the same for two that TeX reads alike.

    The lines of an .aux file that each define one name (`\newlabel`, `\bibcite`) are sorted: they stand in the order of
    the pages they were shipped out with, and two entries of a bibliography that change the page change places. Where a
    name comes twice, or a line is not whole by itself, the content stays as it is.
    """
    content = path.read_bytes()
    if path.suffix != ".aux":
        return content
    lines = content.split(b"\n")
    found = [_DEFINES.match(line) for line in lines]
    defining = [line for line, match in zip(lines, found, strict=True) if match]
    names = [(match[0], match[1]) for match in found if match]
    if len(set(names)) < len(names) or any(line.count(b"{") != line.count(b"}") for line in defining):
        return content
    return b"\n".join([*(line for line, match in zip(lines, found, strict=True) if not match), *sorted(defining)])
