r"""The prose of a TeX source: what a reader will read, with commands and their technical arguments blanked out."""

from __future__ import annotations

import re

from papergen.latex.sources import CITE, COMMANDS, group, masked

_ONE = """
typed url nolinkurl path href hspace vspace textcolor color bibliographystyle pagestyle thispagestyle bibitem
pagenumbering linespread hypersetup geometry raisebox parbox end usetikzlibrary graphicspath cline cmidrule
hyperref hyperlink hypertarget includepdf captionsetup ctexset sisetup num lstset pdfinfo
"""
_TWO = """
setlength addtolength setcounter addtocounter resizebox fontsize rule multicolumn multirow newcommand renewcommand
providecommand DeclareMathOperator newtheorem DeclareRobustCommand
"""
NUM_BLANKED = {
    **dict.fromkeys(COMMANDS, 1),
    **dict.fromkeys(_ONE.split(), 1),
    **dict.fromkeys(_TWO.split(), 2),
    "definecolor": 3,
    "claim": 0,
    "says": 0,
    "title": 0,
}
"""Command -> how many of its arguments in braces are no prose; those in square brackets never are."""

_ENVIRONMENT_ARGUMENTS = {"tabular": 1, "tabular*": 2, "tabularx": 2, "array": 1, "minipage": 1, "multicols": 1}
_COMMAND = re.compile(r"\\(?:([A-Za-z@]+)\*?|\\\*?)")


def prose_of(text: str) -> str:
    """The prose of one source: of equal length, with the same line ends; of a main file, title and body only."""
    plain = masked(text)
    out = list(plain)

    def blank(start: int, end: int) -> None:
        for index in range(start, end):
            if out[index] != "\n":
                out[index] = " "

    body = re.search(r"\\begin\s*\{document\}", plain)
    if body:
        blank(0, body.end())
        if title := re.search(r"\\title\s*(?=\{)", plain[: body.start()]):
            argument = group(plain, title.end(), "{}")
            if argument is not None:
                out[argument[1] : argument[2] - 1] = plain[argument[1] : argument[2] - 1]
    for match in _COMMAND.finditer(plain):
        position, count = match.end(), _blanked(match[1] or "")
        if match[1] == "begin":
            if (found := group(plain, position, "{}")) is None:
                continue
            blank(found[1], found[2])
            position, count = found[2], _ENVIRONMENT_ARGUMENTS.get(found[0], 0)
        while found := group(plain, position, "[]"):
            if match[1] is None and not re.fullmatch(r"\s*-?[\d.]+\s*\\?[a-z]+\s*", found[0]):
                break
            blank(found[1] - 1, found[2])
            position = found[2]
        for _ in range(count):
            if (found := group(plain, position, "{}")) is None:
                break
            blank(found[1] - 1, found[2])
            position = found[2]
    return "".join(out)


def _blanked(command: str) -> int:
    if command in NUM_BLANKED:
        return NUM_BLANKED[command]
    return 1 if CITE.fullmatch(command) else 0
